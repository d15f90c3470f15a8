//! What can go wrong here, and how it is told.

use cs_core::page::PageError;
use cs_db::DbError;
use cs_events::{HandlerError, PayloadError};
use cs_policy::Denied;
use cs_proto::errors::v1::Reason;
use cs_rpc::{Failure, FieldViolation};
use tonic::Status;

/// An error of this service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request breaks a rule.
    #[error("{}: {}", .0.field, .0.description)]
    Invalid(FieldViolation),
    /// A city that does not exist was named.
    #[error("there is no such city: choose one of the list of cities")]
    UnknownCity,
    /// A page request breaks a rule.
    #[error("{0}")]
    Page(#[from] PageError),
    /// There is no such thing, or it is not the caller's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The caller may not do this.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// Meetings could not say which cities and bodies there are.
    #[error("meetings could not be asked: {}", .0.message)]
    Meetings(Failure),
    /// Accounts could not say who somebody is.
    #[error("accounts could not be asked: {}", .0.message)]
    Accounts(Failure),
    /// Search could not say what a meeting matches.
    #[error("search could not be asked: {}", .0.message)]
    Search(Failure),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// An event could not be made or read.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Error {
    /// A field that breaks a rule.
    pub(crate) fn invalid(field: &str, rule: impl Into<String>) -> Self {
        Self::Invalid(FieldViolation::new(field, rule))
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) | Self::Page(PageError::TooLarge(_) | PageError::BothEnds) => {
                Reason::InvalidArgument
            }
            Self::Page(PageError::InvalidCursor) => Reason::InvalidCursor,
            Self::UnknownCity => Reason::UnknownCity,
            Self::NotFound(_) => Reason::NotFound,
            Self::Denied(Denied::SignInFirst) => Reason::Unauthenticated,
            Self::Denied(Denied::NeedsRole(_) | Denied::ServicesOnly | Denied::NotPermitted) => {
                Reason::Forbidden
            }
            Self::Meetings(failure) | Self::Accounts(failure) | Self::Search(failure)
                if failure.retryable =>
            {
                Reason::Unavailable
            }
            Self::Db(DbError::Refused { .. }) => Reason::InvalidTransition,
            Self::Db(DbError::Unique { .. }) => Reason::AlreadyExists,
            Self::Db(DbError::StorageFull) => Reason::StorageFull,
            Self::Db(DbError::Unavailable(_) | DbError::Conflict(_)) => Reason::Unavailable,
            Self::Meetings(_)
            | Self::Accounts(_)
            | Self::Search(_)
            | Self::Db(DbError::Other(_))
            | Self::Payload(_) => Reason::Internal,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let fields = match &error {
            Error::Invalid(violation) => vec![violation.clone()],
            Error::UnknownCity => vec![FieldViolation::new("target_id", error.to_string())],
            Error::Page(page) => vec![FieldViolation::new("page", page.to_string())],
            Error::NotFound(_)
            | Error::Denied(_)
            | Error::Meetings(_)
            | Error::Accounts(_)
            | Error::Search(_)
            | Error::Db(_)
            | Error::Payload(_) => Vec::new(),
        };
        cs_rpc::report(error.reason(), &error, &fields)
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Db(db) => db.into(),
            Error::Payload(payload) => payload.into(),
            Error::Meetings(ref failure) | Error::Accounts(ref failure) | Error::Search(ref failure)
                if failure.retryable =>
            {
                Self::Transient(error.to_string())
            }
            Error::Meetings(_)
            | Error::Accounts(_)
            | Error::Search(_)
            | Error::Invalid(_)
            | Error::UnknownCity
            | Error::Page(_)
            | Error::NotFound(_)
            | Error::Denied(_) => Self::Permanent(error.to_string()),
        }
    }
}
