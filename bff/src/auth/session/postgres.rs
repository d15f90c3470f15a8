//! Sessions in Postgres, in a schema of their own: the only SQL of this crate.
//!
//! A browser's session id is looked up by its SHA-256. Reading a session moves its idle expiry, at most once a minute.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{Clock, UserId};
use ring::digest::{SHA256, digest};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store;
use uuid::Uuid;

use super::{Keys, SIGNED_IN, SignInUnderWay, SignedIn, StoreError};

/// How often a session in use is marked as such.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);
const SIGN_IN_LIVES: TimeDelta = TimeDelta::minutes(10);
/// An answer is repeated for this long (contracts §3).
const ANSWERS_LIVE: TimeDelta = TimeDelta::days(1);
/// A request that has not answered by then never will: its process is gone.
const CLAIMS_LIVE: TimeDelta = TimeDelta::minutes(1);

/// The store behind the session middleware, and what else is kept in its schema.
#[derive(Clone)]
pub(crate) struct PostgresSessions {
    pool: PgPool,
    keys: Keys,
    clock: Arc<dyn Clock>,
    idle: TimeDelta,
}

impl std::fmt::Debug for PostgresSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresSessions")
    }
}

/// A session as its owner sees it.
pub(crate) struct Listed {
    pub(crate) id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_seen_at: DateTime<Utc>,
    pub(crate) user_agent: Option<String>,
}

/// What became of an idempotency key.
pub(crate) enum Claim {
    /// It is new: do the work, then [`PostgresSessions::answer`].
    New,
    /// The work was done; this was the answer.
    Answered(serde_json::Value),
    /// The first request with it is still under way.
    UnderWay,
    /// It was used for another request.
    Misused,
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

fn id_hash(id: &Id) -> Vec<u8> {
    sha256(&id.0.to_be_bytes())
}

impl PostgresSessions {
    pub(crate) fn new(pool: PgPool, keys: Keys, clock: Arc<dyn Clock>, idle: TimeDelta) -> Self {
        Self { pool, keys, clock, idle }
    }

    /// Whether the store answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    async fn put(&self, record: &Record, replace: bool) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let signed_in: Option<SignedIn> =
            record.data.get(SIGNED_IN).and_then(|value| serde_json::from_value(value.clone()).ok());
        // Only people have sessions here: an anonymous visitor is never written down.
        let Some(who) = signed_in else { return Ok(true) };
        let hash = id_hash(&record.id);
        let sealed = self.keys.seal(&record.data, &hash)?;
        let sql = if replace {
            "INSERT INTO sessions (id_hash, id, user_id, issuer, subject, sid, user_agent, created_at, last_seen_at, \
             expires_at, ends_at, key_id, sealed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (id_hash) DO UPDATE SET last_seen_at = excluded.last_seen_at, \
             expires_at = excluded.expires_at, key_id = excluded.key_id, sealed = excluded.sealed"
        } else {
            "INSERT INTO sessions (id_hash, id, user_id, issuer, subject, sid, user_agent, created_at, last_seen_at, \
             expires_at, ends_at, key_id, sealed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (id_hash) DO NOTHING"
        };
        let done = sqlx::query(sql)
            .bind(&hash)
            .bind(who.session)
            .bind(who.user.uuid())
            .bind(&who.issuer)
            .bind(&who.subject)
            .bind(&who.sid)
            .bind(&who.user_agent)
            .bind(who.created_at)
            .bind(now)
            .bind((now + self.idle).min(who.ends_at))
            .bind(who.ends_at)
            .bind(&sealed.key_id)
            .bind(&sealed.bytes)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        let (now, hash) = (self.clock.now(), id_hash(id));
        let found: Option<PgRow> = sqlx::query(
            "SELECT key_id, sealed, last_seen_at, ends_at FROM sessions WHERE id_hash = $1 AND expires_at > $2",
        )
        .bind(&hash)
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = found else { return Ok(None) };
        let (key_id, sealed): (String, Vec<u8>) = (row.try_get("key_id")?, row.try_get("sealed")?);
        let (seen, ends_at): (DateTime<Utc>, DateTime<Utc>) =
            (row.try_get("last_seen_at")?, row.try_get("ends_at")?);
        let data = match self.keys.open(&key_id, &sealed, &hash) {
            Ok(data) => data,
            Err(error) => {
                // A key was taken away, or the row was tampered with: whoever it was signs in again.
                tracing::warn!(%error, "a session does not open, and is ended");
                self.remove(id).await?;
                return Ok(None);
            }
        };
        if now - seen >= SEEN_EVERY {
            sqlx::query("UPDATE sessions SET last_seen_at = $2, expires_at = $3 WHERE id_hash = $1")
                .bind(&hash)
                .bind(now)
                .bind((now + self.idle).min(ends_at))
                .execute(&self.pool)
                .await?;
        }
        let expiry_date =
            OffsetDateTime::from_unix_timestamp(ends_at.timestamp()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn remove(&self, id: &Id) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE id_hash = $1").bind(id_hash(id)).execute(&self.pool).await?;
        Ok(())
    }

    /// A person's sessions, the most recently used first.
    pub(crate) async fn list(&self, user: UserId) -> Result<Vec<Listed>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, created_at, last_seen_at, user_agent FROM sessions \
             WHERE user_id = $1 AND expires_at > $2 ORDER BY last_seen_at DESC, id LIMIT 100",
        )
        .bind(user.uuid())
        .bind(self.clock.now())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Listed {
                    id: row.try_get("id")?,
                    created_at: row.try_get("created_at")?,
                    last_seen_at: row.try_get("last_seen_at")?,
                    user_agent: row.try_get("user_agent")?,
                })
            })
            .collect()
    }

    /// Ends one session of a person. `false`: there is none of that name.
    pub(crate) async fn end(&self, user: UserId, session: Uuid) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id = $2")
            .bind(user.uuid())
            .bind(session)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends the session that a browser had before it signed in anew.
    pub(crate) async fn end_previous(&self, session: Uuid) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE id = $1").bind(session).execute(&self.pool).await?;
        Ok(())
    }

    /// Whether a session is still good: what an open subscription asks now and then.
    pub(crate) async fn is_open(&self, session: Uuid) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND expires_at > $2)")
            .bind(session)
            .bind(self.clock.now())
            .fetch_one(&self.pool)
            .await?)
    }

    /// Keeps a sign-in for ten minutes.
    pub(crate) async fn begin(
        &self,
        state: &str,
        browser: &str,
        sign_in: &SignInUnderWay,
    ) -> Result<(), StoreError> {
        let state_hash = sha256(state.as_bytes());
        let sealed = self.keys.seal(sign_in, &state_hash)?;
        sqlx::query(
            "INSERT INTO sign_ins (state_hash, browser_hash, expires_at, key_id, sealed) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&state_hash)
        .bind(sha256(browser.as_bytes()))
        .bind(self.clock.now() + SIGN_IN_LIVES)
        .bind(&sealed.key_id)
        .bind(&sealed.bytes)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes a sign-in, once, for the browser that began it. Another browser's attempt leaves it in place.
    pub(crate) async fn take(
        &self,
        state: &str,
        browser: &str,
    ) -> Result<Option<SignInUnderWay>, StoreError> {
        let state_hash = sha256(state.as_bytes());
        let found = sqlx::query(
            "DELETE FROM sign_ins WHERE state_hash = $1 AND browser_hash = $2 AND expires_at > $3 \
             RETURNING key_id, sealed",
        )
        .bind(&state_hash)
        .bind(sha256(browser.as_bytes()))
        .bind(self.clock.now())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = found else { return Ok(None) };
        let (key_id, sealed): (String, Vec<u8>) = (row.try_get("key_id")?, row.try_get("sealed")?);
        Ok(Some(self.keys.open(&key_id, &sealed, &state_hash)?))
    }

    /// Claims an idempotency key for a person's request.
    pub(crate) async fn claim(&self, user: UserId, key: &str, request: &[u8]) -> Result<Claim, StoreError> {
        let (now, request_hash) = (self.clock.now(), sha256(request));
        // One statement: the key is free, or was and has run out, or its row tells the rest.
        let fresh = sqlx::query(
            "INSERT INTO idempotent_answers (user_id, key, request_hash, expires_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (user_id, key) DO UPDATE \
             SET request_hash = excluded.request_hash, answer = NULL, expires_at = excluded.expires_at \
             WHERE idempotent_answers.expires_at <= $5",
        )
        .bind(user.uuid())
        .bind(key)
        .bind(&request_hash)
        .bind(now + CLAIMS_LIVE)
        .bind(now)
        .execute(&self.pool)
        .await?;
        if fresh.rows_affected() > 0 {
            return Ok(Claim::New);
        }
        let row = sqlx::query(
            "SELECT request_hash, answer FROM idempotent_answers WHERE user_id = $1 AND key = $2",
        )
        .bind(user.uuid())
        .bind(key)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(Claim::UnderWay) };
        let (kept, answer): (Vec<u8>, Option<serde_json::Value>) =
            (row.try_get("request_hash")?, row.try_get("answer")?);
        Ok(match answer {
            _ if kept != request_hash => Claim::Misused,
            Some(answer) => Claim::Answered(answer),
            None => Claim::UnderWay,
        })
    }

    /// Keeps the answer to a claimed key for a day.
    pub(crate) async fn answer(
        &self,
        user: UserId,
        key: &str,
        answer: &serde_json::Value,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE idempotent_answers SET answer = $3, expires_at = $4 WHERE user_id = $1 AND key = $2",
        )
        .bind(user.uuid())
        .bind(key)
        .bind(answer)
        .bind(self.clock.now() + ANSWERS_LIVE)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a claimed key back: the request failed, and may be tried again.
    pub(crate) async fn unclaim(&self, user: UserId, key: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotent_answers WHERE user_id = $1 AND key = $2 AND answer IS NULL")
            .bind(user.uuid())
            .bind(key)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Deletes what has run out. Returns how many rows.
    pub(crate) async fn sweep(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut gone = 0;
        for sql in [
            "DELETE FROM sessions WHERE expires_at <= $1",
            "DELETE FROM sign_ins WHERE expires_at <= $1",
            "DELETE FROM idempotent_answers WHERE expires_at <= $1",
        ] {
            gone += sqlx::query(sql).bind(now).execute(&self.pool).await?.rows_affected();
        }
        Ok(gone)
    }
}

fn store_error(error: StoreError) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for PostgresSessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        while !self.put(record, false).await.map_err(store_error)? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.put(record, true).await.map_err(store_error)?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.get(id).await.map_err(store_error)
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.remove(id).await.map_err(store_error)
    }
}
