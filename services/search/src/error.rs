//! What can go wrong here, and how it is told.

use cs_events::{HandlerError, PayloadError};
use cs_policy::Denied;
use cs_proto::errors::v1::Reason;
use cs_rpc::FieldViolation;
use cs_text::embed::EmbedError;
use tonic::Status;

use crate::index::IndexError;
use crate::reindex::ReindexError;

/// An error of this service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request breaks a rule.
    #[error("{}: {}", .0.field, .0.description)]
    Invalid(FieldViolation),
    /// The caller may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// No vector could be made.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// An event could not be read.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A service did not answer.
    #[error("{}", .0.message())]
    Service(#[from] Status),
}

impl Error {
    /// A field that breaks a rule.
    pub(crate) fn invalid(field: &str, rule: impl Into<String>) -> Self {
        Self::Invalid(FieldViolation::new(field, rule))
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) => Reason::InvalidArgument,
            Self::Denied(Denied::SignInFirst) => Reason::Unauthenticated,
            Self::Denied(Denied::NeedsRole(_) | Denied::ServicesOnly | Denied::NotPermitted) => {
                Reason::Forbidden
            }
            Self::Index(IndexError::BadCursor) => Reason::InvalidCursor,
            Self::Index(IndexError::Building | IndexError::NoVersionBefore(_)) => Reason::Conflict,
            Self::Index(
                IndexError::Io(_)
                | IndexError::Closed
                | IndexError::InUse(_)
                | IndexError::Corrupt { .. }
                | IndexError::Pointer { .. }
                | IndexError::Layout { .. }
                | IndexError::Unavailable { .. }
                | IndexError::Late(_),
            ) => Reason::IndexUnavailable,
            Self::Service(_) => Reason::Unavailable,
            Self::Index(
                IndexError::NewerFormat { .. }
                | IndexError::Dimensions { .. }
                | IndexError::Misplaced(_)
                | IndexError::Engine(_),
            )
            | Self::Embed(_)
            | Self::Payload(_) => Reason::Internal,
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

impl From<ReindexError> for Status {
    fn from(error: ReindexError) -> Self {
        match error {
            ReindexError::Interrupted(error) => error.into(),
            ReindexError::Differs(_) => cs_rpc::report(Reason::Conflict, &error, &[]),
        }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Service(status) => status.into(),
            // The index and the embedder are this process's own: a restart, or disk space, mends them.
            Error::Index(_) | Error::Embed(_) => Self::Transient(error.to_string()),
            Error::Invalid(_) | Error::Denied(_) | Error::Payload(_) => Self::Permanent(error.to_string()),
        }
    }
}
