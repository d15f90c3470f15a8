//! What a store has to do. Times and ids come in; nothing here knows what is sealed.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::SealError;
use super::seal::Sealed;

/// SHA-256 of what a browser or a provider holds: a copy of the store opens nothing.
pub(crate) type Hash = [u8; 32];

/// A session as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Of the id in the browser's cookie.
    pub(crate) hash: Hash,
    /// The session's name for its owner; not what opens it.
    pub(crate) id: Uuid,
    pub(crate) user: Uuid,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// The provider's name of the sign-in, where it gives one.
    pub(crate) sid: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_seen_at: DateTime<Utc>,
    /// Idle until then.
    pub(crate) expires_at: DateTime<Utc>,
    /// Never longer.
    pub(crate) ends_at: DateTime<Utc>,
    pub(crate) sealed: Sealed,
}

/// Which sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    /// The one of this name.
    Named(Uuid),
    /// A person's.
    Of(Uuid),
    /// Those of an identity.
    Subject { issuer: &'a str, subject: &'a str },
    /// Those of one sign-in at a provider.
    Sid { issuer: &'a str, sid: &'a str },
}

/// A session as its owner sees it.
pub(crate) struct Listed {
    pub(crate) id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_seen_at: DateTime<Utc>,
    pub(crate) user_agent: Option<String>,
}

/// What became of an idempotency key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is new: do the work, then answer.
    New,
    /// The work was done; this was the answer.
    Answered(serde_json::Value),
    /// The first request with it is still under way.
    UnderWay,
    /// It was used for another request.
    Misused,
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the session store does not answer: {0}")]
    Postgres(#[from] sqlx::Error),
    #[error("the session store does not answer: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("the session store holds something that is not a session: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Keeps rows. Everything is one step: two callers at once see it done once.
#[async_trait]
pub(crate) trait Engine: Send + Sync {
    /// Whether it answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Keeps a new session. `false`: there is one of that hash.
    async fn create(&self, row: &Row, now: DateTime<Utc>) -> Result<bool, StoreError>;
    /// Writes what changes in a session: what is sealed and its times. `false`: it is over, and stays over.
    async fn change(&self, row: &Row, now: DateTime<Utc>) -> Result<bool, StoreError>;
    /// Writes that a session was seen, and nothing else of it.
    async fn touch(&self, row: &Row, now: DateTime<Utc>) -> Result<(), StoreError>;
    /// A session that is not over at `now`.
    async fn load(&self, hash: &Hash, now: DateTime<Utc>) -> Result<Option<Row>, StoreError>;
    /// Sessions that are not over at `now`, in no order.
    async fn find(&self, which: Which<'_>, now: DateTime<Utc>) -> Result<Vec<Row>, StoreError>;
    /// Ends a session. `false`: there is none.
    async fn remove(&self, hash: &Hash) -> Result<bool, StoreError>;

    /// Takes the right to renew a session's tokens. `false`: another has it, or the session is over.
    async fn lease(
        &self,
        hash: &Hash,
        holder: Uuid,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError>;
    /// Gives that right back; nothing happens where another has it meanwhile.
    async fn release(&self, hash: &Hash, holder: Uuid) -> Result<(), StoreError>;

    /// Keeps what is under way in one browser.
    async fn begin(
        &self,
        state: &Hash,
        browser: &Hash,
        sealed: &Sealed,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError>;
    /// Takes it, once, for that browser. Another browser's attempt leaves it in place.
    async fn take(
        &self,
        state: &Hash,
        browser: &Hash,
        now: DateTime<Utc>,
    ) -> Result<Option<Sealed>, StoreError>;

    /// Notes something that must not come twice. `false`: it is there already.
    async fn remember(
        &self,
        what: &Hash,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError>;
    /// Takes such a note back.
    async fn forget(&self, what: &Hash) -> Result<(), StoreError>;

    /// Claims an idempotency key for a person's request.
    async fn claim(
        &self,
        user: Uuid,
        key: &str,
        request: &Hash,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Claim, StoreError>;
    /// Keeps the answer to a claimed key.
    async fn answer(
        &self,
        user: Uuid,
        key: &str,
        answer: &serde_json::Value,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError>;
    /// Gives a claimed key back that has no answer.
    async fn unclaim(&self, user: Uuid, key: &str) -> Result<(), StoreError>;
    /// Forgets every answer that a person was given.
    async fn forget_answers(&self, user: Uuid) -> Result<(), StoreError>;

    /// Deletes what has run out, where that does not happen by itself. Returns how many rows.
    async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError>;
}
