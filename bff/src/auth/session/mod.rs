//! The session: what is kept about a person who signed in, where, and for how long.
//!
//! [`Sessions`] decides and seals; an [`Engine`] keeps rows and understands none of what is sealed in them. There are two
//! engines, Postgres and Redis, and one contract suite that both pass.

#[cfg(test)]
mod contract;
mod engine;
mod postgres;
mod redis;
mod seal;
mod store;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use cs_core::{Role, TenantId, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use engine::{Claim, Engine, Listed, Row, StoreError, Which};
pub(crate) use postgres::PostgresEngine;
pub(crate) use redis::RedisEngine;
pub(crate) use seal::Keys;
pub use seal::{SealError, SessionKey};
pub(crate) use store::{Held, Sessions};

/// The key under which [`SignedIn`] stands in a session.
pub(crate) const SIGNED_IN: &str = "signed_in";

/// A person who signed in. Sealed where it is kept; none of it is sent to the browser but what `/auth/session` says.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SignedIn {
    /// The session's name for its owner.
    pub(crate) session: Uuid,
    pub(crate) user: UserId,
    pub(crate) tenant: TenantId,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) display_name: String,
    /// Which of the configured providers.
    pub(crate) provider: String,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) sid: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    /// Never longer, and never longer than the refresh token lives where the provider says how long that is.
    pub(crate) ends_at: DateTime<Utc>,
    /// When accounts last said that the person may still do what `roles` says. `None`: by a version that did not ask.
    #[serde(default)]
    pub(crate) looked_at: Option<DateTime<Utc>>,
    pub(crate) tokens: Tokens,
}

/// What the provider gave. The access token is not kept: nothing of ours uses it after the sign-in. That it has run out
/// is when the provider is asked whether the person is still welcome.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) refresh: Option<String>,
    /// Kept only where the provider is configured to be given it as a hint at sign-out.
    pub(crate) id: Option<String>,
    /// When the provider is asked again; `None`: never.
    pub(crate) due: Option<DateTime<Utc>>,
}

impl SignedIn {
    /// The sign-in that it stands on.
    pub(crate) fn standing(&self) -> Standing {
        Standing { issuer: self.issuer.clone(), subject: self.subject.clone(), sid: self.sid.clone() }
    }

    /// Who it is, without what only the store may hold.
    pub(crate) fn without_secrets(&self) -> Self {
        let tokens = Tokens { due: self.tokens.due, ..Tokens::default() };
        Self { tokens, ..self.clone() }
    }
}

/// A sign-in at a provider, as far as it tells one from another.
pub(crate) struct Standing {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) sid: Option<String>,
}

impl Standing {
    /// Whether two may be one: to take the tokens of the one back at the provider would then end the other too.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        let apart = matches!((&self.sid, &other.sid), (Some(one), Some(other)) if one != other);
        self.issuer == other.issuer && self.subject == other.subject && !apart
    }
}

/// A sign-in under way: one-time, and bound to the browser that began.
#[derive(Serialize, Deserialize)]
pub(crate) struct SignInUnderWay {
    pub(crate) provider: String,
    pub(crate) origin: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    pub(crate) return_to: String,
    pub(crate) began: DateTime<Utc>,
    /// The session that this browser had: it ends when the new one begins.
    pub(crate) previous: Option<Uuid>,
    pub(crate) purpose: Purpose,
}

/// What a sign-in is for.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A session.
    Session,
    /// Proof that the person of a session is there now, before another identity is linked to their account.
    ProveFirst {
        user: UserId,
        tenant: TenantId,
        /// Who has to sign in: the session's own identity.
        subject: String,
        /// The provider of the identity to be linked.
        other: String,
    },
    /// The identity to be linked.
    Link { user: UserId, tenant: TenantId },
}

/// A linking that a person asked for, until their browser follows the address it was given.
#[derive(Serialize, Deserialize)]
pub(crate) struct LinkAsked {
    pub(crate) session: Uuid,
    pub(crate) user: UserId,
    pub(crate) provider: String,
    pub(crate) return_to: String,
}
