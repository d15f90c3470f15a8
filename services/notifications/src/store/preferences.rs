//! Preferences.

use chrono::{DateTime, Utc};
use cs_core::UserId;
use cs_db::{DbError, TenantTx, Tx};

use crate::schedule::Due;

/// Whether, when and how a resident wants to be told.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Preferences {
    /// Whether at all.
    pub enabled: bool,
    /// Not before.
    pub pause_until: Option<DateTime<Utc>>,
    /// By which channels.
    pub channels: Vec<String>,
    /// IANA.
    pub time_zone: String,
    /// First quiet minute after local midnight.
    pub quiet_from: Option<i16>,
    /// First minute after local midnight that is not quiet.
    pub quiet_until: Option<i16>,
    /// off, daily or weekly.
    pub digest: String,
    /// The hour a digest is sent at.
    pub digest_hour: i16,
    /// Whether changed summaries are told.
    pub changed_summaries: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            enabled: true,
            pause_until: None,
            channels: vec!["in_app".to_owned()],
            time_zone: "UTC".to_owned(),
            quiet_from: None,
            quiet_until: None,
            digest: "off".to_owned(),
            digest_hour: 8,
            changed_summaries: false,
        }
    }
}

/// The columns of a person's preferences `p`, the usual ones where they have no row.
macro_rules! columns {
    () => {
        "coalesce(p.enabled, true) AS enabled, p.pause_until, coalesce(p.channels, '{in_app}') AS channels,
         coalesce(p.time_zone, 'UTC') AS time_zone, p.quiet_from, p.quiet_until, coalesce(p.digest, 'off') AS digest,
         coalesce(p.digest_hour, 8::smallint) AS digest_hour, coalesce(p.changed_summaries, false) AS changed_summaries"
    };
}
pub(crate) use columns;

/// What a person chose; `None`: nothing yet.
pub(crate) async fn of(tx: &mut TenantTx, user: UserId) -> Result<Option<Preferences>, DbError> {
    Ok(sqlx::query_as(concat!("SELECT ", columns!(), " FROM preferences p WHERE user_id = $1"))
        .bind(user.uuid())
        .fetch_optional(tx.conn())
        .await?)
}

/// The same, held until the transaction ends, so that two changes at once lose nothing of each other.
pub(crate) async fn held(tx: &mut TenantTx, user: UserId) -> Result<Option<Preferences>, DbError> {
    super::erasure::hold_off(tx).await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('preferences of ' || $1, 0))")
        .bind(user.to_string())
        .execute(tx.conn())
        .await?;
    of(tx, user).await
}

/// Writes what a person chose.
pub(crate) async fn put(
    tx: &mut TenantTx,
    user: UserId,
    wanted: &Preferences,
    now: DateTime<Utc>,
) -> Result<Preferences, DbError> {
    Ok(sqlx::query_as(concat!(
        "INSERT INTO preferences AS p (user_id, tenant_id, enabled, pause_until, channels, time_zone, quiet_from,
                                       quiet_until, digest, digest_hour, changed_summaries, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (user_id) DO UPDATE SET enabled = $3, pause_until = $4, channels = $5, time_zone = $6,
             quiet_from = $7, quiet_until = $8, digest = $9, digest_hour = $10, changed_summaries = $11, updated_at = $12
         RETURNING ",
        columns!()
    ))
    .bind(user.uuid())
    .bind(tx.tenant().uuid())
    .bind(wanted.enabled)
    .bind(wanted.pause_until)
    .bind(&wanted.channels)
    .bind(&wanted.time_zone)
    .bind(wanted.quiet_from)
    .bind(wanted.quiet_until)
    .bind(&wanted.digest)
    .bind(wanted.digest_hour)
    .bind(wanted.changed_summaries)
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// Gives what waits for a person a new time: a delivery that of `due`, a message `awake`, the end of quiet hours. What a
/// sender found quiet hours for stays in its state, and has a time beyond `leased`, where every lease has ended; what
/// waits for its next try says why. Who holds one all the same has its attempt for a receipt.
pub(crate) async fn hold_again(
    tx: &mut TenantTx,
    user: UserId,
    due: Due,
    awake: DateTime<Utc>,
    leased: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE deliveries SET due_at = $2, digest_at = $3
         WHERE user_id = $1 AND (state = 'pending' OR state = 'sending' AND state_reason IS NULL AND due_at > $4)",
    )
    .bind(user.uuid())
    .bind(due.at)
    .bind(due.digest_at)
    .bind(leased)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "UPDATE messages SET due_at = $2
         WHERE user_id = $1 AND state = 'sending' AND state_reason IS NULL AND due_at > $3",
    )
    .bind(user.uuid())
    .bind(awake)
    .bind(leased)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whether anybody wants to hear of changed summaries.
pub(crate) async fn anybody_wants_changes(tx: &mut TenantTx) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM preferences WHERE changed_summaries)")
        .fetch_one(tx.conn())
        .await?)
}
