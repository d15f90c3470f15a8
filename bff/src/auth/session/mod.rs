//! The session: what is kept about a person who signed in, where, and for how long.

pub(crate) mod postgres;
mod seal;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use cs_core::{Role, TenantId, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use postgres::{Claim, Listed, PostgresSessions};
pub(crate) use seal::Keys;
pub use seal::{SealError, SessionKey};

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
    pub(crate) ends_at: DateTime<Utc>,
    /// Revoked at sign-out. The access token is not kept: nothing of ours uses it.
    pub(crate) refresh_token: Option<String>,
}

impl SignedIn {
    /// Who it is, without what only the store may hold.
    pub(crate) fn without_secrets(&self) -> Self {
        Self { refresh_token: None, ..self.clone() }
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
    /// The session that this browser had: it ends when the new one begins.
    pub(crate) previous: Option<Uuid>,
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the session store does not answer: {0}")]
    Unavailable(#[from] sqlx::Error),
    #[error(transparent)]
    Seal(#[from] SealError),
}
