//! Preferences.

use chrono::{DateTime, Utc};
use cs_core::UserId;
use cs_db::{DbError, TenantTx, Tx};

use crate::preferences::Change;

/// Whether, when and how a resident wants to be told.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Preferences {
    /// Whether at all.
    pub enabled: bool,
    /// Not before.
    pub pause_until: Option<DateTime<Utc>>,
    /// By which channels.
    pub channels: Vec<String>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { enabled: true, pause_until: None, channels: vec!["in_app".to_owned()] }
    }
}

/// What a person chose; `None`: nothing yet.
pub(crate) async fn of(tx: &mut TenantTx, user: UserId) -> Result<Option<Preferences>, DbError> {
    Ok(sqlx::query_as("SELECT enabled, pause_until, channels FROM preferences WHERE user_id = $1")
        .bind(user.uuid())
        .fetch_optional(tx.conn())
        .await?)
}

/// Writes what a person chose.
pub(crate) async fn update(
    tx: &mut TenantTx,
    user: UserId,
    change: &Change,
    now: DateTime<Utc>,
) -> Result<Preferences, DbError> {
    Ok(sqlx::query_as(
        "INSERT INTO preferences AS p (user_id, tenant_id, enabled, pause_until, updated_at)
         VALUES ($1, $2, coalesce($3, true), $5, $6)
         ON CONFLICT (user_id) DO UPDATE SET enabled = coalesce($3, p.enabled),
             pause_until = CASE WHEN $4 THEN $5 ELSE p.pause_until END, updated_at = $6
         RETURNING enabled, pause_until, channels",
    )
    .bind(user.uuid())
    .bind(tx.tenant().uuid())
    .bind(change.enabled)
    .bind(change.pause_until.is_some())
    .bind(change.pause_until.flatten())
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}
