//! Sessions in Postgres, in a schema of their own: the only SQL of this crate.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::engine::{Hash, Row};
use super::seal::Sealed;
use super::{Claim, Engine, StoreError, Which};

/// Over a pool of the schema's app role.
pub(crate) struct PostgresEngine {
    pool: PgPool,
}

impl PostgresEngine {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

fn row(found: &PgRow) -> Result<Row, StoreError> {
    let hash: Vec<u8> = found.try_get("id_hash")?;
    Ok(Row {
        hash: hash.try_into().map_err(|_| StoreError::Malformed("the hash of an id"))?,
        id: found.try_get("id")?,
        user: found.try_get("user_id")?,
        issuer: found.try_get("issuer")?,
        subject: found.try_get("subject")?,
        sid: found.try_get("sid")?,
        user_agent: found.try_get("user_agent")?,
        created_at: found.try_get("created_at")?,
        last_seen_at: found.try_get("last_seen_at")?,
        expires_at: found.try_get("expires_at")?,
        ends_at: found.try_get("ends_at")?,
        sealed: sealed(found)?,
    })
}

fn sealed(found: &PgRow) -> Result<Sealed, StoreError> {
    Ok(Sealed { key_id: found.try_get("key_id")?, bytes: found.try_get("sealed")? })
}

#[async_trait]
impl Engine for PostgresEngine {
    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    async fn create(&self, row: &Row, _: DateTime<Utc>) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO sessions (id_hash, id, user_id, issuer, subject, sid, user_agent, created_at, last_seen_at, \
             expires_at, ends_at, key_id, sealed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (id_hash) DO NOTHING",
        )
        .bind(&row.hash[..])
        .bind(row.id)
        .bind(row.user)
        .bind(&row.issuer)
        .bind(&row.subject)
        .bind(&row.sid)
        .bind(&row.user_agent)
        .bind(row.created_at)
        .bind(row.last_seen_at)
        .bind(row.expires_at)
        .bind(row.ends_at)
        .bind(&row.sealed.key_id)
        .bind(&row.sealed.bytes)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn change(&self, row: &Row, _: DateTime<Utc>) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE sessions SET last_seen_at = $2, expires_at = $3, ends_at = $4, key_id = $5, sealed = $6 \
             WHERE id_hash = $1",
        )
        .bind(&row.hash[..])
        .bind(row.last_seen_at)
        .bind(row.expires_at)
        .bind(row.ends_at)
        .bind(&row.sealed.key_id)
        .bind(&row.sealed.bytes)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn touch(&self, row: &Row, _: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE sessions SET last_seen_at = $2, expires_at = least($3, ends_at) WHERE id_hash = $1",
        )
        .bind(&row.hash[..])
        .bind(row.last_seen_at)
        .bind(row.expires_at)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn load(&self, hash: &Hash, now: DateTime<Utc>) -> Result<Option<Row>, StoreError> {
        let found = sqlx::query("SELECT * FROM sessions WHERE id_hash = $1 AND expires_at > $2")
            .bind(&hash[..])
            .bind(now)
            .fetch_optional(&self.pool)
            .await?;
        found.as_ref().map(row).transpose()
    }

    async fn find(&self, which: Which<'_>, now: DateTime<Utc>) -> Result<Vec<Row>, StoreError> {
        let query = match which {
            Which::Named(id) => {
                sqlx::query("SELECT * FROM sessions WHERE expires_at > $1 AND id = $2").bind(now).bind(id)
            }
            Which::Of(user) => sqlx::query("SELECT * FROM sessions WHERE expires_at > $1 AND user_id = $2")
                .bind(now)
                .bind(user),
            Which::Subject { issuer, subject } => {
                sqlx::query("SELECT * FROM sessions WHERE expires_at > $1 AND issuer = $2 AND subject = $3")
                    .bind(now)
                    .bind(issuer)
                    .bind(subject)
            }
            Which::Sid { issuer, sid } => {
                sqlx::query("SELECT * FROM sessions WHERE expires_at > $1 AND issuer = $2 AND sid = $3")
                    .bind(now)
                    .bind(issuer)
                    .bind(sid)
            }
        };
        query.fetch_all(&self.pool).await?.iter().map(row).collect()
    }

    async fn remove(&self, hash: &Hash) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM sessions WHERE id_hash = $1")
            .bind(&hash[..])
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    // A lease, not a lock: no connection is held while a provider is asked.
    async fn lease(
        &self,
        hash: &Hash,
        holder: Uuid,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE sessions SET renewed_by = $2, renewed_until = $3 \
             WHERE id_hash = $1 AND (renewed_until IS NULL OR renewed_until <= $4)",
        )
        .bind(&hash[..])
        .bind(holder)
        .bind(until)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn release(&self, hash: &Hash, holder: Uuid) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE sessions SET renewed_by = NULL, renewed_until = NULL WHERE id_hash = $1 AND renewed_by = $2",
        )
        .bind(&hash[..])
        .bind(holder)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn begin(
        &self,
        state: &Hash,
        browser: &Hash,
        sealed: &Sealed,
        until: DateTime<Utc>,
        _: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO sign_ins (state_hash, browser_hash, expires_at, key_id, sealed) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&state[..])
        .bind(&browser[..])
        .bind(until)
        .bind(&sealed.key_id)
        .bind(&sealed.bytes)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn take(
        &self,
        state: &Hash,
        browser: &Hash,
        now: DateTime<Utc>,
    ) -> Result<Option<Sealed>, StoreError> {
        let found = sqlx::query(
            "DELETE FROM sign_ins WHERE state_hash = $1 AND browser_hash = $2 AND expires_at > $3 \
             RETURNING key_id, sealed",
        )
        .bind(&state[..])
        .bind(&browser[..])
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        found.as_ref().map(sealed).transpose()
    }

    async fn remember(
        &self,
        what: &Hash,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO seen_once (hash, expires_at) VALUES ($1, $2) \
             ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at WHERE seen_once.expires_at <= $3",
        )
        .bind(&what[..])
        .bind(until)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn forget(&self, what: &Hash) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM seen_once WHERE hash = $1").bind(&what[..]).execute(&self.pool).await?;
        Ok(())
    }

    async fn claim(
        &self,
        user: Uuid,
        key: &str,
        request: &Hash,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Claim, StoreError> {
        // One statement: the key is free, or was and has run out, or its row tells the rest.
        let fresh = sqlx::query(
            "INSERT INTO idempotent_answers (user_id, key, request_hash, expires_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (user_id, key) DO UPDATE \
             SET request_hash = excluded.request_hash, answer = NULL, expires_at = excluded.expires_at \
             WHERE idempotent_answers.expires_at <= $5",
        )
        .bind(user)
        .bind(key)
        .bind(&request[..])
        .bind(until)
        .bind(now)
        .execute(&self.pool)
        .await?;
        if fresh.rows_affected() > 0 {
            return Ok(Claim::New);
        }
        let found = sqlx::query(
            "SELECT request_hash, answer FROM idempotent_answers WHERE user_id = $1 AND key = $2",
        )
        .bind(user)
        .bind(key)
        .fetch_optional(&self.pool)
        .await?;
        let Some(found) = found else { return Ok(Claim::UnderWay) };
        let (kept, answer): (Vec<u8>, Option<serde_json::Value>) =
            (found.try_get("request_hash")?, found.try_get("answer")?);
        Ok(match answer {
            _ if kept != request => Claim::Misused,
            Some(answer) => Claim::Answered(answer),
            None => Claim::UnderWay,
        })
    }

    async fn answer(
        &self,
        user: Uuid,
        key: &str,
        answer: &serde_json::Value,
        until: DateTime<Utc>,
        _: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE idempotent_answers SET answer = $3, expires_at = $4 WHERE user_id = $1 AND key = $2",
        )
        .bind(user)
        .bind(key)
        .bind(answer)
        .bind(until)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn unclaim(&self, user: Uuid, key: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotent_answers WHERE user_id = $1 AND key = $2 AND answer IS NULL")
            .bind(user)
            .bind(key)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn forget_answers(&self, user: Uuid) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotent_answers WHERE user_id = $1")
            .bind(user)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut gone = 0;
        for sql in [
            "DELETE FROM sessions WHERE expires_at <= $1",
            "DELETE FROM sign_ins WHERE expires_at <= $1",
            "DELETE FROM seen_once WHERE expires_at <= $1",
            "DELETE FROM idempotent_answers WHERE expires_at <= $1",
        ] {
            gone += sqlx::query(sql).bind(now).execute(&self.pool).await?.rows_affected();
        }
        Ok(gone)
    }
}
