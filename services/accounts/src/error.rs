//! What can go wrong here, and how it is told.

use cs_db::DbError;
use cs_events::PayloadError;
use cs_policy::Denied;
use cs_proto::errors::v1::Reason;
use cs_rpc::{Failure, FieldViolation};
use tonic::Status;

/// An error of this service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request break rules.
    #[error("{}", sentence(.0))]
    Invalid(Vec<FieldViolation>),
    /// A city that does not exist was named as home city.
    #[error("there is no such city: choose one of the list of cities")]
    UnknownCity,
    /// There is no such thing, or the caller may not see it.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// An identity is linked to somebody else.
    #[error("this identity is linked to another account")]
    IdentityTaken,
    /// A person's only identity.
    #[error("this is the only way to sign in to this account: link another first")]
    LastIdentity,
    /// A tenant's only owner.
    #[error("this account is the only owner of its space: grant the role to somebody else first")]
    LastOwner,
    /// Another tenant has the host name.
    #[error("the host name {0:?} leads to another tenant; a host name leads to one")]
    HostTaken(String),
    /// The caller may not do this.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// What concerns every tenant is for whoever runs the installation.
    #[error("this is done at a terminal, with a token of `councilsense token`")]
    TerminalOnly,
    /// Meetings could not say which cities there are.
    #[error("meetings could not be asked: {}", .0.message)]
    Meetings(Failure),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// An event could not be made.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

fn sentence(violations: &[FieldViolation]) -> String {
    violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect::<Vec<_>>().join("; ")
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Error {
    /// A field that breaks a rule.
    pub(crate) fn invalid(field: &str, rule: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldViolation::new(field, rule)])
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) => Reason::InvalidArgument,
            Self::UnknownCity => Reason::UnknownCity,
            Self::NotFound(_) => Reason::NotFound,
            Self::HostTaken(_) | Self::IdentityTaken | Self::Db(DbError::Unique { .. }) => {
                Reason::AlreadyExists
            }
            Self::Denied(Denied::SignInFirst) => Reason::Unauthenticated,
            Self::Denied(Denied::NeedsRole(_) | Denied::ServicesOnly | Denied::NotPermitted)
            | Self::TerminalOnly => Reason::Forbidden,
            Self::Meetings(failure) if failure.retryable => Reason::Unavailable,
            Self::LastOwner => Reason::LastOwner,
            Self::LastIdentity | Self::Db(DbError::Refused { .. }) => Reason::InvalidTransition,
            Self::Db(DbError::StorageFull) => Reason::StorageFull,
            Self::Db(DbError::Unavailable(_) | DbError::Conflict(_)) => Reason::Unavailable,
            Self::Meetings(_) | Self::Db(DbError::Other(_)) | Self::Payload(_) => Reason::Internal,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let fields = match &error {
            Error::Invalid(violations) => violations.clone(),
            Error::UnknownCity => vec![FieldViolation::new("city_id", error.to_string())],
            Error::LastIdentity => vec![FieldViolation::new("identity_id", error.to_string())],
            Error::HostTaken(_) => vec![FieldViolation::new("hosts", error.to_string())],
            Error::NotFound(_)
            | Error::IdentityTaken
            | Error::LastOwner
            | Error::Denied(_)
            | Error::TerminalOnly
            | Error::Meetings(_)
            | Error::Db(_)
            | Error::Payload(_) => Vec::new(),
        };
        cs_rpc::report(error.reason(), &error, &fields)
    }
}
