//! What can go wrong here, and how it is told.

use cs_db::DbError;
use cs_events::{HandlerError, PayloadError};
use cs_policy::Denied;
use cs_proto::errors::v1::Reason;
use cs_rpc::FieldViolation;
use tonic::Status;

/// An error of this service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request breaks a rule.
    #[error("{}: {}", .0.field, .0.description)]
    Invalid(FieldViolation),
    /// A cursor was not made by this list.
    #[error("{0}")]
    Page(#[from] cs_core::page::PageError),
    /// There is no such thing, or the caller may not see it.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A source kind that does not exist.
    #[error("there is no source kind {0:?}: use folder")]
    UnknownSourceKind(String),
    /// An artifact larger than allowed.
    #[error("{file_name} has {size_bytes} bytes; at most {limit} are taken")]
    TooLarge {
        /// Which file.
        file_name: String,
        /// Its size.
        size_bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The caller may not do this.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// The object is not in a state that allows this.
    #[error("{0}")]
    InvalidTransition(String),
    /// The artifact store failed.
    #[error("the artifact store failed: {0}")]
    Objects(#[source] std::io::Error),
    /// A source could not be listed.
    #[error("{0}")]
    Source(String),
    /// A source's files could not be read just now.
    #[error("the source's files could not be read: {0}")]
    Files(#[source] std::io::Error),
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
            Self::Invalid(_) => Reason::InvalidArgument,
            Self::Page(cs_core::page::PageError::InvalidCursor) => Reason::InvalidCursor,
            Self::Page(_) => Reason::InvalidArgument,
            Self::NotFound(_) => Reason::NotFound,
            Self::UnknownSourceKind(_) => Reason::UnknownSourceKind,
            Self::TooLarge { .. } => Reason::ArtifactTooLarge,
            Self::Denied(Denied::SignInFirst) => Reason::Unauthenticated,
            Self::Denied(_) => Reason::Forbidden,
            Self::InvalidTransition(_) | Self::Db(DbError::Refused { .. }) => Reason::InvalidTransition,
            Self::Objects(error) if error.kind() == std::io::ErrorKind::StorageFull => Reason::StorageFull,
            Self::Db(DbError::StorageFull) => Reason::StorageFull,
            Self::Objects(error) if error.kind() == std::io::ErrorKind::NotFound => Reason::NotFound,
            Self::Files(_) | Self::Db(DbError::Unavailable(_) | DbError::Conflict(_)) => Reason::Unavailable,
            Self::Db(DbError::Unique { .. }) => Reason::AlreadyExists,
            Self::Source(_) => Reason::InvalidArgument,
            Self::Objects(_) | Self::Db(DbError::Other(_)) | Self::Payload(_) => Reason::Internal,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let reason = error.reason();
        let fields = match &error {
            Error::Invalid(violation) => vec![violation.clone()],
            Error::Page(page) => vec![FieldViolation::new("page", page.to_string())],
            Error::UnknownSourceKind(_) => vec![FieldViolation::new("kind", error.to_string())],
            _ => Vec::new(),
        };
        cs_rpc::report(reason, &error, &fields)
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Db(db) => db.into(),
            Error::Files(io) => Self::Transient(format!("the source's files could not be read: {io}")),
            Error::Objects(io) => Self::Transient(format!("the artifact store failed: {io}")),
            other => Self::Permanent(other.to_string()),
        }
    }
}
