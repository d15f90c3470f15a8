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
    fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) => Reason::InvalidArgument,
            Self::NotFound(_) => Reason::NotFound,
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
        let fields =
            if let Error::Invalid(violation) = &error { vec![violation.clone()] } else { Vec::new() };
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
