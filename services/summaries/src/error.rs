//! What can go wrong here, and how it is told.

use cs_db::DbError;
use cs_events::{HandlerError, PayloadError};
use cs_policy::Denied;
use cs_proto::errors::v1::Reason;
use cs_rpc::FieldViolation;
use tonic::Status;

/// SQLSTATE of the trigger that compares an excerpt with the text at its offsets.
const EXCERPT_MISMATCH: &str = "CS003";
/// SQLSTATE of the trigger that demands evidence for every claim.
const WITHOUT_EVIDENCE: &str = "CS004";

/// An error of this service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request breaks a rule.
    #[error("{}: {}", .0.field, .0.description)]
    Invalid(FieldViolation),
    /// There is no such thing, or the caller may not see it.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Something newer has taken its place.
    #[error("{0}")]
    Stale(&'static str),
    /// Nothing of it can be shown.
    #[error(
        "no claim of this summary has verified evidence, so none of it can be published: rerun the meeting when its documents are better"
    )]
    NothingVerified,
    /// A person has as many open flags as they may.
    #[error("you have {0} open flags: wait until reviewers have looked at some")]
    TooManyFlags(i64),
    /// A cursor was not made by this list.
    #[error("{0}")]
    Page(#[from] cs_core::page::PageError),
    /// Meetings does not answer.
    #[error("meetings does not answer: {0}")]
    Meetings(#[source] Status),
    /// The caller may not do this.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// The database failed, or refused what breaks an invariant.
    #[error(transparent)]
    Db(#[from] DbError),
    /// An event could not be made or read.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

impl Error {
    /// A field that breaks a rule.
    pub(crate) fn invalid(field: &str, rule: impl Into<String>) -> Self {
        Self::Invalid(FieldViolation::new(field, rule))
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) => Reason::InvalidArgument,
            Self::NotFound(_) => Reason::NotFound,
            Self::Stale(_) => Reason::StaleVersion,
            Self::NothingVerified => Reason::ClaimWithoutEvidence,
            Self::TooManyFlags(_) => Reason::RateLimited,
            Self::Page(cs_core::page::PageError::InvalidCursor) => Reason::InvalidCursor,
            Self::Page(_) => Reason::InvalidArgument,
            Self::Meetings(_) => Reason::Unavailable,
            Self::Denied(Denied::SignInFirst) => Reason::Unauthenticated,
            Self::Denied(_) => Reason::Forbidden,
            Self::Db(DbError::Refused { rule, .. }) if rule == EXCERPT_MISMATCH => Reason::ExcerptMismatch,
            Self::Db(DbError::Refused { rule, .. }) if rule == WITHOUT_EVIDENCE => {
                Reason::ClaimWithoutEvidence
            }
            Self::Db(DbError::Refused { .. }) => Reason::Conflict,
            Self::Db(DbError::Unique { .. }) => Reason::AlreadyExists,
            Self::Db(DbError::StorageFull) => Reason::StorageFull,
            Self::Db(DbError::Unavailable(_) | DbError::Conflict(_)) => Reason::Unavailable,
            Self::Db(DbError::Other(_)) | Self::Payload(_) => Reason::Internal,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let fields = match &error {
            Error::Invalid(violation) => vec![violation.clone()],
            Error::Page(page) => vec![FieldViolation::new("page", page.to_string())],
            _ => Vec::new(),
        };
        cs_rpc::report(error.reason(), &error, &fields)
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Db(db) => db.into(),
            other => Self::Permanent(other.to_string()),
        }
    }
}
