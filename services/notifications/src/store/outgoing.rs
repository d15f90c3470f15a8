//! What a claimed message says and where it goes.
//!
//! Found by their keys: see the head of `store/deliveries.rs`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

use super::deliveries::Claim;
use super::notices::words;
use super::preferences::{Preferences, columns};

/// A message in a sender's hands.
#[derive(sqlx::FromRow)]
pub(crate) struct Outgoing {
    pub(crate) id: Uuid,
    pub(crate) attempt: i32,
    /// The attempt after which it was sent again by hand.
    pub(crate) tries_from: i32,
    pub(crate) user_id: Uuid,
    pub(crate) target_id: Option<Uuid>,
    pub(crate) dedupe_key: String,
    pub(crate) digest_at: Option<DateTime<Utc>>,
    pub(crate) traceparent: String,
    pub(crate) created_at: DateTime<Utc>,
    /// Of the push subscription.
    pub(crate) endpoint: Option<String>,
    pub(crate) p256dh: Option<Vec<u8>>,
    pub(crate) auth: Option<Vec<u8>>,
    /// Of the webhook.
    pub(crate) url: Option<String>,
    #[sqlx(flatten)]
    pub(crate) preferences: Preferences,
}

/// What one delivery of a message tells.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Item {
    /// meeting_published, summary_changed:VERSION
    pub kind: String,
    /// Of which meeting.
    pub meeting_id: Uuid,
    /// Of which city.
    pub city_name: String,
    /// One line.
    pub title: String,
    /// The summary; empty while a document of the meeting is not for residents.
    pub body: String,
    /// Why it is sent.
    pub reason: String,
    /// Of the summary that is announced.
    pub summary_version: i64,
    /// When it was announced.
    pub created_at: DateTime<Utc>,
}

/// What was claimed; what another sender holds by now is left out.
pub(crate) async fn messages(tx: &mut TenantTx, claims: &[Claim]) -> Result<Vec<Outgoing>, DbError> {
    Ok(sqlx::query_as(concat!(
        "SELECT m.id, m.attempt, m.tries_from, m.user_id, m.target_id, m.dedupe_key, m.digest_at, m.traceparent, m.created_at,
                s.endpoint, s.p256dh, s.auth, h.url, ",
        columns!(),
        " FROM unnest($1::uuid[], $2::integer[]) AS c (id, attempt)
         JOIN messages m ON m.id = c.id AND m.attempt = c.attempt AND m.state || '' = 'sending'
         LEFT JOIN push_subscriptions s ON m.channel = 'push' AND s.id = m.target_id AND s.user_id = m.user_id
         LEFT JOIN webhooks h ON m.channel = 'webhook' AND h.id = m.target_id AND h.user_id = m.user_id
         LEFT JOIN preferences p ON p.user_id = m.user_id ORDER BY m.id"
    ))
    .persistent(false)
    .bind(claims.iter().map(|c| c.id).collect::<Vec<_>>())
    .bind(claims.iter().map(|c| c.attempt).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?)
}

/// Most that one message spells out: a week of a county's bodies. Nobody reads more, and no mail server takes any length.
const MOST: i64 = 100;

/// What a message tells.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// The newest, oldest first.
    pub(crate) items: Vec<Item>,
    /// How many there are beside them.
    pub(crate) more: u64,
}

/// What each message tells; of withdrawn meetings nothing.
pub(crate) async fn contents(
    tx: &mut TenantTx,
    messages: &[Uuid],
) -> Result<HashMap<Uuid, Contents>, DbError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        message_id: Uuid,
        total: i64,
        #[sqlx(flatten)]
        item: Item,
    }
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "WITH told AS (
             SELECT l.message_id, d.id, d.notice_id, d.reason, count(*) OVER (PARTITION BY l.message_id) AS total,
                    row_number() OVER (PARTITION BY l.message_id ORDER BY d.id DESC) AS place
             FROM message_deliveries l JOIN deliveries d ON d.id = l.delivery_id JOIN notices n ON n.id = d.notice_id
             WHERE l.message_id = ANY ($1) AND NOT EXISTS (
                 SELECT FROM withdrawals w WHERE w.meeting_id = n.meeting_id AND n.summary_version <= w.version))
         SELECT t.message_id, t.total, n.type AS kind, n.meeting_id, n.city_name, n.title, ",
        words!(),
        ", t.reason, n.summary_version, n.created_at
         FROM told t JOIN notices n ON n.id = t.notice_id WHERE t.place <= $2 ORDER BY t.id"
    ))
    .persistent(false)
    .bind(messages)
    .bind(MOST)
    .fetch_all(tx.conn())
    .await?;
    let mut contents: HashMap<Uuid, Contents> = HashMap::new();
    for row in rows {
        let told = contents.entry(row.message_id).or_default();
        told.items.push(row.item);
        told.more = row.total.unsigned_abs().saturating_sub(told.items.len() as u64);
    }
    Ok(contents)
}
