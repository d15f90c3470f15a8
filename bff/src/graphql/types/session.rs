//! A person's sessions and linked identities.

use async_graphql::{ID, SimpleObject};
use cs_proto::accounts::v1 as pb;

use crate::auth::session::Listed;
use crate::graphql::global_id::Kind;
use crate::graphql::scalars::DateTime;

/// A browser that is signed in.
#[derive(SimpleObject)]
pub(crate) struct Session {
    id: ID,
    /// The one that asks.
    current: bool,
    created_at: DateTime,
    last_seen_at: DateTime,
    user_agent: Option<String>,
}

impl Session {
    pub(crate) fn new(listed: Listed, current: Option<uuid::Uuid>) -> Self {
        let written = |time: chrono::DateTime<chrono::Utc>| {
            DateTime(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
        };
        Self {
            id: Kind::Session.id(&listed.id.to_string()),
            current: current == Some(listed.id),
            created_at: written(listed.created_at),
            last_seen_at: written(listed.last_seen_at),
            user_agent: listed.user_agent,
        }
    }
}

/// A person at a provider.
#[derive(SimpleObject)]
pub(crate) struct Identity {
    id: ID,
    issuer: String,
    created_at: DateTime,
}

impl From<pb::Identity> for Identity {
    fn from(identity: pb::Identity) -> Self {
        Self {
            id: Kind::Identity.id(&identity.id),
            issuer: identity.issuer,
            created_at: DateTime(identity.created_at),
        }
    }
}
