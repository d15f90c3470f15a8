//! The calling side: every request carries who asks, the trace, the request id and a deadline.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use cs_core::{Caller, Clock};
use cs_proto::errors::v1::Reason;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};

use crate::signed::Signed;
use crate::{SERVICES, SigningKey, status};

/// How long a caller token is good.
const TOKEN_LIFE: TimeDelta = TimeDelta::seconds(60);

/// Signs requests of one role.
#[derive(Clone)]
pub struct Outbound {
    issuer: Arc<str>,
    audience: Option<Arc<str>>,
    key: SigningKey,
    clock: Arc<dyn Clock>,
    signed: Arc<Signed>,
}

impl Outbound {
    /// Requests made by `role`.
    pub fn new(role: &str, key: SigningKey, clock: Arc<dyn Clock>) -> Self {
        Self { issuer: role.into(), audience: None, key, clock, signed: Arc::default() }
    }

    /// The same, with tokens that only `service` takes.
    #[must_use]
    pub fn to(&self, service: &str) -> Self {
        // Another audience is another token.
        Self { audience: Some(service.into()), signed: Arc::default(), ..self.clone() }
    }

    /// The role that signs.
    pub fn role(&self) -> &str {
        &self.issuer
    }

    /// A request on behalf of `caller`, with the time it may take.
    pub fn request<T>(&self, caller: &Caller, message: T, deadline: Duration) -> Result<Request<T>, Status> {
        let mut request = self.stream(caller, message)?;
        request.set_timeout(deadline);
        Ok(request)
    }

    /// The same without a deadline, for streams that are meant to stay open.
    pub fn stream<T>(&self, caller: &Caller, message: T) -> Result<Request<T>, Status> {
        let audience: &[&str] = match &self.audience {
            Some(service) => &[service],
            None => &SERVICES,
        };
        let now = self.clock.now();
        let authorization = self.signed.header(caller, now, || {
            let token =
                self.key.sign(&self.issuer, audience, caller, now, TOKEN_LIFE).map_err(|e| internal(&e))?;
            ascii(&format!("Bearer {token}"))
        })?;
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", authorization);
        metadata.insert("traceparent", ascii(&caller.trace.to_string())?);
        metadata.insert("x-request-id", ascii(&caller.request_id)?);
        Ok(request)
    }
}

fn ascii(value: &str) -> Result<MetadataValue<Ascii>, Status> {
    value.parse().map_err(|e| internal(&e))
}

fn internal(error: &dyn std::error::Error) -> Status {
    tracing::error!(error = %error, "a request could not be signed");
    status(Reason::Internal, "the request could not be prepared", &[])
}
