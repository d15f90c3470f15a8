//! What a resident was told: deliveries that were sent, by `sequence`.

use chrono::{DateTime, Utc};
use cs_core::UserId;
use cs_core::page::{Direction, Page};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

use super::notices::words;

/// One notification to one person.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Notification {
    /// Its row.
    pub id: Uuid,
    /// Its place in the inbox; grows.
    pub sequence: i64,
    /// `meeting_published`, …
    pub kind: String,
    /// Of which meeting.
    pub meeting_id: Uuid,
    /// Of which city.
    pub city_id: Uuid,
    /// One line.
    pub title: String,
    /// The summary; empty while a document of the meeting is not for residents.
    pub body: String,
    /// Why it was sent.
    pub reason: String,
    /// Of the summary that was announced.
    pub summary_version: i64,
    /// When it arrived.
    pub sent_at: DateTime<Utc>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
}

/// The one place where an inbox's rows are spelled; `state = 'sent'` is what the index is made for.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, d.sequence, n.type AS kind, n.meeting_id, n.city_id, n.title, ",
            words!(),
            ", d.reason,
                    n.summary_version, d.sent_at, d.read_at
             FROM deliveries d JOIN notices n ON n.id = d.notice_id
             WHERE d.user_id = $1 AND d.state = 'sent' AND d.in_app AND NOT EXISTS (
                 SELECT FROM withdrawals w WHERE w.meeting_id = n.meeting_id AND n.summary_version <= w.version) AND ",
            $rest
        )
    };
}

/// A page of a person's inbox, newest first, with one row more than asked for, in the page's direction.
pub(crate) async fn page(
    tx: &mut TenantTx,
    user: UserId,
    page: &Page<i64>,
    unread_only: bool,
) -> Result<Vec<Notification>, DbError> {
    let sql = match page.direction {
        Direction::Forward => {
            select!(
                "($2::bigint IS NULL OR d.sequence < $2) AND (NOT $3 OR d.read_at IS NULL) ORDER BY d.sequence DESC LIMIT $4"
            )
        }
        Direction::Backward => {
            select!(
                "($2::bigint IS NULL OR d.sequence > $2) AND (NOT $3 OR d.read_at IS NULL) ORDER BY d.sequence LIMIT $4"
            )
        }
    };
    Ok(sqlx::query_as(sql)
        .bind(user.uuid())
        .bind(page.cursor)
        .bind(unread_only)
        .bind(i64::from(page.size) + 1)
        .fetch_all(tx.conn())
        .await?)
}

/// What was sent to a person after a place, oldest first.
pub(crate) async fn after(
    tx: &mut TenantTx,
    user: UserId,
    sequence: i64,
    most: i64,
) -> Result<Vec<Notification>, DbError> {
    Ok(sqlx::query_as(select!("d.sequence > $2 ORDER BY d.sequence LIMIT $3"))
        .bind(user.uuid())
        .bind(sequence)
        .bind(most)
        .fetch_all(tx.conn())
        .await?)
}

/// The newest place in a person's inbox; 0 where it is empty.
pub(crate) async fn newest(tx: &mut TenantTx, user: UserId) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar(
        "SELECT coalesce(max(sequence), 0) FROM deliveries WHERE user_id = $1 AND state = 'sent'",
    )
    .bind(user.uuid())
    .fetch_one(tx.conn())
    .await?)
}

/// How many a person has not read.
pub(crate) async fn unread(tx: &mut TenantTx, user: UserId) -> Result<u32, DbError> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM deliveries d JOIN notices n ON n.id = d.notice_id
         WHERE d.user_id = $1 AND d.state = 'sent' AND d.in_app AND d.read_at IS NULL AND NOT EXISTS (
             SELECT FROM withdrawals w WHERE w.meeting_id = n.meeting_id AND n.summary_version <= w.version)",
    )
    .bind(user.uuid())
    .fetch_one(tx.conn())
    .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Those of a person's notifications, newest first.
pub(crate) async fn these(
    tx: &mut TenantTx,
    user: UserId,
    ids: &[Uuid],
) -> Result<Vec<Notification>, DbError> {
    Ok(sqlx::query_as(select!("d.id = ANY ($2) ORDER BY d.sequence DESC"))
        .bind(user.uuid())
        .bind(ids)
        .fetch_all(tx.conn())
        .await?)
}

/// Marks those of a person's notifications as read.
pub(crate) async fn read(
    tx: &mut TenantTx,
    user: UserId,
    ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE deliveries SET read_at = $3
         WHERE user_id = $1 AND id = ANY ($2) AND state = 'sent' AND read_at IS NULL",
    )
    .bind(user.uuid())
    .bind(ids)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Marks all that a person has not read; gives their ids, newest first.
pub(crate) async fn read_all(
    tx: &mut TenantTx,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, DbError> {
    let mut changed: Vec<(i64, Uuid)> = sqlx::query_as(
        "UPDATE deliveries SET read_at = $2 WHERE user_id = $1 AND state = 'sent' AND read_at IS NULL
         RETURNING sequence, id",
    )
    .bind(user.uuid())
    .bind(now)
    .fetch_all(tx.conn())
    .await?;
    changed.sort_unstable_by(|a, b| b.cmp(a));
    Ok(changed.into_iter().map(|(_, id)| id).collect())
}
