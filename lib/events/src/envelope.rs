//! The one envelope of events and jobs: JSON with these field names. New fields keep the version; a breaking change is a new
//! version, and consumers read both while it rolls out.

use chrono::{DateTime, Utc};
use cs_core::{Caller, EventId, Ids, TenantId, Trace};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::told::Seen;

/// What an event or job is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// meeting, artifact, account, …
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// An event or a job as it is stored and sent: JSON with the protobuf field names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Names the event; consumers are idempotent by it.
    pub id: EventId,
    /// For example `meeting.published`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of the payload's shape.
    pub version: u32,
    /// When the change was made.
    pub occurred_at: DateTime<Utc>,
    /// Whose it is; consumers act in it.
    pub tenant_id: TenantId,
    /// Who made the change.
    pub actor_id: String,
    /// What it is about.
    pub resource: Resource,
    /// Joins everything that followed from one request.
    pub correlation_id: String,
    /// One effect per this key.
    pub idempotency_key: String,
    /// W3C trace context.
    pub traceparent: String,
    /// How often it was tried before.
    #[serde(default)]
    pub attempt: u32,
    /// The service that made it.
    pub source: String,
    /// A message of `councilsense.events.v1`.
    pub payload: serde_json::Value,
    #[serde(skip)]
    pub(crate) seen: Seen,
}

/// A payload does not have the shape its type says.
#[derive(Debug, thiserror::Error)]
#[error("the payload of {kind} version {version} cannot be read: {source}")]
pub struct PayloadError {
    kind: String,
    version: u32,
    source: serde_json::Error,
}

/// What a use case says happened, or is to be done; the rest of the envelope is filled in.
pub struct Fact<'a, P> {
    /// For example `meeting.published`.
    pub kind: &'a str,
    /// What it is about.
    pub resource: (&'a str, String),
    /// One effect per this key.
    pub key: String,
    /// A message of `councilsense.events.v1`.
    pub payload: &'a P,
}

impl Envelope {
    /// An envelope for `fact`, made by `source` on behalf of `caller`.
    pub fn new<P: Serialize>(
        source: &str,
        caller: &Caller,
        ids: &Ids,
        fact: Fact<'_, P>,
    ) -> Result<Self, PayloadError> {
        let payload = serde_json::to_value(fact.payload).map_err(|source| PayloadError {
            kind: fact.kind.to_owned(),
            version: 1,
            source,
        })?;
        Ok(Self {
            id: ids.next(),
            kind: fact.kind.to_owned(),
            version: 1,
            occurred_at: ids.now(),
            tenant_id: caller.tenant,
            actor_id: caller.subject.to_string(),
            resource: Resource { kind: fact.resource.0.to_owned(), id: fact.resource.1 },
            correlation_id: caller.request_id.clone(),
            idempotency_key: fact.key,
            traceparent: caller.trace.to_string(),
            attempt: 0,
            source: source.to_owned(),
            payload,
            seen: Seen::default(),
        })
    }

    /// Its payload, as the message its type names.
    pub fn payload<P: DeserializeOwned>(&self) -> Result<P, PayloadError> {
        P::deserialize(&self.payload).map_err(|source| PayloadError {
            kind: self.kind.clone(),
            version: self.version,
            source,
        })
    }

    /// What takes turns with others: its city where it names one, else its source, else what it is about. The embedded
    /// bus has the same rule in SQL (`lane_of`).
    pub fn lane(&self) -> &str {
        let named = ["/city_id", "/meeting/city_id", "/source_id"].iter();
        named
            .filter_map(|field| self.payload.pointer(field)?.as_str())
            .chain([self.resource.id.as_str(), "-"])
            .find(|lane| !lane.is_empty())
            .unwrap_or("-")
    }

    /// Who acts on it: `role` for itself, in the envelope's tenant and trace.
    pub fn caller(&self, role: &str) -> Caller {
        let trace = Trace::parse(&self.traceparent).unwrap_or_else(Trace::start).child();
        Caller { request_id: self.correlation_id.clone(), ..Caller::service(role, self.tenant_id, trace) }
    }
}
