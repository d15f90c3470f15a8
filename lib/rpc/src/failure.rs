//! One table: reason ⇄ gRPC status. Internals stay on this side of it.

use std::collections::HashMap;
use std::time::Duration;

use cs_proto::errors::v1::Reason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "councilsense";
/// What a client is told to wait where a service is not there.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A field of a request, and the rule it broke, in the caller's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Its name as the request spells it.
    pub field: String,
    /// The rule.
    pub description: String,
}

impl FieldViolation {
    /// `field` broke the rule told by `description`.
    pub fn new(field: &str, description: impl Into<String>) -> Self {
        Self { field: field.to_owned(), description: description.into() }
    }
}

/// The gRPC code of a reason. Nine codes are enough.
pub fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidArgument
        | Reason::UnknownCity
        | Reason::UnknownSourceKind
        | Reason::InvalidCursor
        | Reason::ArtifactTooLarge => Code::InvalidArgument,
        Reason::NotFound => Code::NotFound,
        Reason::AlreadyExists => Code::AlreadyExists,
        Reason::Conflict
        | Reason::InvalidTransition
        | Reason::StaleVersion
        | Reason::LastOwner
        | Reason::ClaimWithoutEvidence
        | Reason::ExcerptMismatch => Code::FailedPrecondition,
        Reason::Forbidden => Code::PermissionDenied,
        Reason::Unauthenticated => Code::Unauthenticated,
        Reason::RateLimited => Code::ResourceExhausted,
        Reason::Unavailable | Reason::StorageFull | Reason::IndexUnavailable => Code::Unavailable,
        Reason::Unspecified | Reason::Internal => Code::Internal,
    }
}

/// Whether the same call may succeed later.
pub fn is_retryable(reason: Reason) -> bool {
    matches!(code(reason), Code::Unavailable | Code::ResourceExhausted)
}

/// A status with `ErrorInfo`, and `BadRequest` or `RetryInfo` where they belong.
pub fn status(reason: Reason, message: &str, fields: &[FieldViolation]) -> Status {
    let mut details =
        ErrorDetails::with_error_info(reason.as_str_name(), DOMAIN, HashMap::<String, String>::new());
    for violation in fields {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    let code = code(reason);
    if code == Code::Unavailable {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    Status::with_error_details(code, message, details)
}

/// Tells a service's error to the caller: in its own words where it is the caller's, else by a number under which
/// the whole chain is logged, once.
pub fn report(reason: Reason, error: &dyn std::error::Error, fields: &[FieldViolation]) -> Status {
    match code(reason) {
        Code::Internal => {
            let error_id = format!("{:08x}", rand::random::<u32>());
            tracing::error!(error = %chain(error), error_id, "a call failed inside");
            status(reason, &format!("something went wrong here; it is logged as {error_id}"), fields)
        }
        Code::Unavailable => {
            tracing::warn!(error = %chain(error), reason = reason.as_str_name(), "a call could not be served");
            let said = match reason {
                Reason::StorageFull => {
                    "there is no room left to store this; free disk space where the documents and the database are kept, then try again"
                }
                _ => "this cannot be served now; try again",
            };
            status(reason, said, fields)
        }
        _ => status(reason, &error.to_string(), fields),
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The call took longer than it was given.
pub fn deadline_exceeded() -> Status {
    status(Reason::Unavailable, "this took longer than it may; try again", &[])
}

/// Whether the call may be made again: the service is not there, or its connection died with the call in hand.
pub fn is_unavailable(status: &Status) -> bool {
    Failure::from(status).code == Code::Unavailable
}

/// What a status says, for the side that called.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The stable reason.
    pub reason: Reason,
    /// The gRPC code.
    pub code: Code,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// The rules that were broken, by field.
    pub fields: Vec<FieldViolation>,
    /// The service's sentence, written for people.
    pub message: String,
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        let reason = status
            .get_details_error_info()
            .filter(|info| info.domain == DOMAIN)
            .and_then(|info| Reason::from_str_name(&info.reason))
            .unwrap_or(match status.code() {
                // What the transport says when nobody answers, or not in time, or dies with the call in hand: no service
                // of ours says these without a reason of its own.
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
                    Reason::Unavailable
                }
                Code::Internal if std::error::Error::source(status).is_some() => Reason::Unavailable,
                Code::Unauthenticated => Reason::Unauthenticated,
                _ => Reason::Internal,
            });
        Self {
            reason,
            code: code(reason),
            retryable: is_retryable(reason),
            fields: status
                .get_details_bad_request()
                .map(|bad| {
                    bad.field_violations
                        .iter()
                        .map(|v| FieldViolation::new(&v.field, &v.description))
                        .collect()
                })
                .unwrap_or_default(),
            message: status.message().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn a_failure_survives_the_wire() {
        let sent = status(
            Reason::UnknownCity,
            "there is no such city",
            &[FieldViolation::new("city_id", "must name a city")],
        );
        let got = Failure::from(&sent);
        assert_eq!(got.reason, Reason::UnknownCity);
        assert_eq!(got.code, Code::InvalidArgument);
        assert_eq!(got.fields, [FieldViolation::new("city_id", "must name a city")]);
        assert!(!got.retryable);
    }

    #[test]
    fn a_full_disk_is_told_with_what_to_do() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let told = report(Reason::StorageFull, &full, &[]);
        assert!(told.message().contains("free disk space"), "{}", told.message());
        assert!(Failure::from(&told).retryable);
        let away = report(Reason::Unavailable, &full, &[]);
        assert!(!away.message().contains("disk"), "internals stay here: {}", away.message());
    }

    #[test]
    fn what_the_transport_says_is_unavailable() {
        assert_eq!(Failure::from(&Status::unavailable("tcp connect error")).reason, Reason::Unavailable);
        assert!(Failure::from(&Status::deadline_exceeded("")).retryable);
        assert!(Failure::from(&Status::unknown("transport error")).retryable);
        let broken = Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)));
        assert!(Failure::from(&broken).retryable, "{broken}");
        // What cannot be read will not be read later.
        let garbled = Status::internal("failed to decode Protobuf message: invalid tag value: 0");
        assert_eq!(Failure::from(&garbled).reason, Reason::Internal);
    }

    /// Whether a frame of headers has come (RFC 9113: a preface of 24 bytes, then frames, each with a head of 9).
    fn has_a_call(taken: &[u8]) -> bool {
        let mut rest = taken.get(24..).unwrap_or_default();
        while let [high, middle, low, kind, ..] = *rest {
            if kind == 1 {
                return true;
            }
            rest = rest.get(9 + u32::from_be_bytes([0, high, middle, low]) as usize..).unwrap_or_default();
        }
        false
    }

    /// A service that takes a call and is killed before it answers.
    #[tokio::test]
    async fn whoever_dies_with_a_call_in_hand_is_asked_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let channel = crate::connect(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut taken = Vec::new();
                while !has_a_call(&taken) {
                    connection.read_buf(&mut taken).await.unwrap();
                }
                drop(connection);
            }
        });
        let mut client = tonic_health::pb::health_client::HealthClient::new(channel);
        let died = client.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap_err();
        assert!(Failure::from(&died).retryable && is_unavailable(&died), "{died:?}");
    }
}
