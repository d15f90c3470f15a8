//! Failures as clients see them: a stable code, a sentence of ours, and never a backend's own words.

use async_graphql::{ErrorExtensions, Value};
use cs_policy::Denied;
use cs_proto::errors::v1::Reason;
use cs_rpc::{Failure, FieldViolation};
use tonic::Status;

/// `extensions.code`. Which reason has which code stands in `docs/errors.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Unauthenticated,
    Forbidden,
    NotFound,
    BadUserInput,
    Conflict,
    RateLimited,
    TooComplex,
    Unavailable,
    Internal,
}

impl Code {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::Conflict => "CONFLICT",
            Self::RateLimited => "RATE_LIMITED",
            Self::TooComplex => "TOO_COMPLEX",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Unauthenticated => "Sign in first.",
            Self::Forbidden => "This is not yours to do.",
            Self::NotFound => "There is no such thing.",
            Self::BadUserInput => "The input breaks a rule; `fields` says which.",
            Self::Conflict => "This is not possible in its present state.",
            Self::RateLimited => "Too many requests. Try again in a moment.",
            Self::TooComplex => "This asks for too much at once.",
            Self::Unavailable => "This is not possible just now. Try again in a moment.",
            Self::Internal => "Something went wrong here.",
        }
    }
}

/// The code of a reason.
pub(crate) fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidArgument
        | Reason::UnknownCity
        | Reason::UnknownSourceKind
        | Reason::ArtifactTooLarge
        | Reason::InvalidCursor => Code::BadUserInput,
        Reason::NotFound => Code::NotFound,
        Reason::AlreadyExists
        | Reason::Conflict
        | Reason::InvalidTransition
        | Reason::StaleVersion
        | Reason::LastOwner
        | Reason::ClaimWithoutEvidence
        | Reason::ExcerptMismatch => Code::Conflict,
        Reason::Forbidden => Code::Forbidden,
        Reason::Unauthenticated => Code::Unauthenticated,
        Reason::RateLimited => Code::RateLimited,
        Reason::Unavailable | Reason::StorageFull | Reason::IndexUnavailable => Code::Unavailable,
        Reason::Unspecified | Reason::Internal => Code::Internal,
    }
}

/// Why a field has no value.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) reason: Reason,
    pub(crate) retryable: bool,
    pub(crate) fields: Vec<FieldViolation>,
}

impl Fault {
    fn of(code: Code, reason: Reason) -> Self {
        Self { code, reason, retryable: code == Code::Unavailable, fields: Vec::new() }
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::of(Code::Unauthenticated, Reason::Unauthenticated)
    }

    pub(crate) fn too_complex() -> Self {
        Self::of(Code::TooComplex, Reason::InvalidArgument)
    }

    pub(crate) fn not_found() -> Self {
        Self::of(Code::NotFound, Reason::NotFound)
    }

    pub(crate) fn internal() -> Self {
        Self::of(Code::Internal, Reason::Internal)
    }

    pub(crate) fn unavailable() -> Self {
        Self::of(Code::Unavailable, Reason::Unavailable)
    }

    /// The same request is under way; its answer will be there soon.
    pub(crate) fn under_way() -> Self {
        Self { retryable: true, ..Self::of(Code::Conflict, Reason::Conflict) }
    }

    /// `field` broke a rule.
    pub(crate) fn input(field: &str, rule: impl Into<String>) -> Self {
        Self {
            fields: vec![FieldViolation::new(field, rule)],
            ..Self::of(Code::BadUserInput, Reason::InvalidArgument)
        }
    }
}

impl From<Denied> for Fault {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::SignInFirst => Self::unauthenticated(),
            Denied::NeedsRole(_) | Denied::ServicesOnly | Denied::NotPermitted => {
                Self::of(Code::Forbidden, Reason::Forbidden)
            }
        }
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let failure = Failure::from(&status);
        let code = code(failure.reason);
        if matches!(code, Code::Internal | Code::Unavailable) {
            // The only place where a backend's words are kept.
            tracing::warn!(code = ?status.code(), message = status.message(), "a call failed");
        }
        Self {
            code,
            reason: failure.reason,
            retryable: failure.retryable,
            fields: failure
                .fields
                .into_iter()
                .map(|violation| FieldViolation::new(&camel_case(&violation.field), violation.description))
                .collect(),
        }
    }
}

/// A field of a message as GraphQL spells it.
pub(crate) fn camel_case(field: &str) -> String {
    let mut upper = false;
    field
        .chars()
        .filter_map(|c| {
            if c == '_' {
                upper = true;
                return None;
            }
            let next = if upper { c.to_ascii_uppercase() } else { c };
            upper = false;
            Some(next)
        })
        .collect()
}

impl From<Fault> for async_graphql::Error {
    fn from(fault: Fault) -> Self {
        Self::new(fault.code.sentence()).extend_with(|_, extensions| {
            extensions.set("code", fault.code.as_str());
            extensions.set("reason", fault.reason.as_str_name());
            extensions.set("retryable", fault.retryable);
            if !fault.fields.is_empty() {
                let fields = fault.fields.iter().map(|violation| {
                    let pairs = [
                        (async_graphql::Name::new("field"), Value::from(violation.field.as_str())),
                        (async_graphql::Name::new("message"), Value::from(violation.description.as_str())),
                    ];
                    Value::Object(pairs.into_iter().collect())
                });
                extensions.set("fields", Value::List(fields.collect()));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_s_words_stay_inside() {
        let fault = Fault::from(Status::internal("relation \"users\" does not exist"));
        let error = async_graphql::Error::from(fault);
        assert!(!format!("{error:?}").contains("users"));
        let named = cs_rpc::status(
            Reason::UnknownCity,
            "canary",
            &[FieldViolation::new("city_id", "must name a city")],
        );
        let fault = Fault::from(named);
        assert_eq!((fault.code, fault.fields[0].field.as_str()), (Code::BadUserInput, "cityId"));
        assert!(!format!("{:?}", async_graphql::Error::from(fault)).contains("canary"));
    }
}
