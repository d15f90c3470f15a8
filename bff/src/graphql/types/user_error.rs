//! Broken rules of the domain, as part of an answer.

use async_graphql::SimpleObject;
use cs_proto::errors::v1::Reason;
use serde::{Deserialize, Serialize};

use crate::graphql::error::Fault;

/// A rule of the domain was broken; nothing was changed.
#[derive(SimpleObject, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserError {
    /// Where in the input.
    field: Option<Vec<String>>,
    message: String,
    /// Stable; for programs.
    reason: String,
}

/// Sorts a failed change: a rule that a person can do something about is part of the answer, everything else an error.
pub(crate) fn domain(fault: Fault) -> Result<Vec<UserError>, Fault> {
    let sentence = match fault.reason {
        Reason::UnknownCity => "There is no such city.",
        Reason::UnknownSourceKind => "There is no such kind of source.",
        Reason::NotFound => "It is not there any more.",
        Reason::AlreadyExists => "It is there already.",
        Reason::Conflict | Reason::StaleVersion => "It has changed meanwhile. Look at it again.",
        Reason::InvalidTransition => "This is not possible in its present state.",
        Reason::LastOwner => "You are the only owner of this space: make somebody else an owner first.",
        Reason::Unspecified
        | Reason::InvalidArgument
        | Reason::Forbidden
        | Reason::Unauthenticated
        | Reason::RateLimited
        | Reason::Unavailable
        | Reason::Internal
        | Reason::ArtifactTooLarge
        | Reason::InvalidCursor
        | Reason::ClaimWithoutEvidence
        | Reason::ExcerptMismatch
        | Reason::StorageFull
        | Reason::IndexUnavailable => return Err(fault),
    };
    if fault.retryable {
        return Err(fault);
    }
    let reason = fault.reason.as_str_name().to_owned();
    if fault.fields.is_empty() {
        return Ok(vec![UserError { field: None, message: sentence.to_owned(), reason }]);
    }
    Ok(fault
        .fields
        .into_iter()
        .map(|violation| UserError {
            field: Some(violation.field.split('.').map(str::to_owned).collect()),
            message: violation.description,
            reason: reason.clone(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use cs_rpc::{FieldViolation, status};

    use super::*;

    #[test]
    fn rules_are_part_of_the_answer_and_outages_are_not() {
        let violation = FieldViolation::new("city_id", "names no city of this tenant");
        let errors = domain(Fault::from(status(Reason::UnknownCity, "x", &[violation]))).unwrap();
        assert_eq!(errors[0].field.as_deref(), Some(&["cityId".to_owned()][..]));
        assert_eq!(errors[0].reason, "UNKNOWN_CITY");
        assert!(domain(Fault::from(status(Reason::Unavailable, "x", &[]))).is_err());
        assert!(domain(Fault::from(status(Reason::InvalidArgument, "x", &[]))).is_err());
        assert!(domain(Fault::under_way()).is_err());
    }
}
