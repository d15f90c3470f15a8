//! What is kept about a person, table by table.

use chrono::{DateTime, Utc};
use cs_core::UserId;
use cs_db::{DbError, TenantTx, Tx};
use sqlx::types::Json;
use uuid::Uuid;

/// The home city as accounts told last.
#[derive(sqlx::FromRow)]
pub(crate) struct Home {
    pub(crate) city_id: Option<String>,
    pub(crate) version: i64,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A person's home.
pub(crate) async fn home(tx: &mut TenantTx, user: UserId) -> Result<Option<Home>, DbError> {
    Ok(sqlx::query_as("SELECT city_id, version, updated_at FROM homes WHERE user_id = $1")
        .bind(user.uuid())
        .fetch_optional(tx.conn())
        .await?)
}

/// A notice to a person, whether it stands in the inbox or not.
#[derive(sqlx::FromRow)]
pub(crate) struct Delivery {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) meeting_id: Uuid,
    pub(crate) title: String,
    pub(crate) reason: String,
    pub(crate) state: String,
    pub(crate) state_reason: Option<String>,
    pub(crate) in_app: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) sent_at: Option<DateTime<Utc>>,
    pub(crate) read_at: Option<DateTime<Utc>>,
    pub(crate) attempts: Json<serde_json::Value>,
}

/// A person's newest deliveries.
pub(crate) async fn deliveries(tx: &mut TenantTx, user: UserId, most: i64) -> Result<Vec<Delivery>, DbError> {
    Ok(sqlx::query_as(
        "SELECT d.id, n.type AS kind, n.meeting_id, n.title, d.reason, d.state, d.state_reason, d.in_app, d.created_at,
                d.sent_at, d.read_at,
                (SELECT coalesce(json_agg(json_build_object('channel', a.channel, 'outcome', a.outcome, 'error', a.error,
                                                            'created_at', a.created_at) ORDER BY a.id), '[]')
                 FROM delivery_attempts a WHERE a.delivery_id = d.id) AS attempts
         FROM deliveries d JOIN notices n ON n.id = d.notice_id WHERE d.user_id = $1 ORDER BY d.id DESC LIMIT $2",
    )
    .bind(user.uuid())
    .bind(most)
    .fetch_all(tx.conn())
    .await?)
}

/// What was handed to a channel outside.
#[derive(sqlx::FromRow)]
pub(crate) struct Message {
    pub(crate) id: Uuid,
    pub(crate) channel: String,
    pub(crate) digest_at: Option<DateTime<Utc>>,
    pub(crate) state: String,
    pub(crate) state_reason: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) sent_at: Option<DateTime<Utc>>,
    pub(crate) deliveries: Vec<Uuid>,
    pub(crate) attempts: Json<serde_json::Value>,
}

/// A person's newest messages.
pub(crate) async fn messages(tx: &mut TenantTx, user: UserId, most: i64) -> Result<Vec<Message>, DbError> {
    Ok(sqlx::query_as(
        "SELECT m.id, m.channel, m.digest_at, m.state, m.state_reason, m.created_at, m.sent_at,
                ARRAY(SELECT l.delivery_id FROM message_deliveries l WHERE l.message_id = m.id ORDER BY 1) AS deliveries,
                (SELECT coalesce(json_agg(json_build_object('outcome', a.outcome, 'error', a.error,
                                                            'created_at', a.created_at) ORDER BY a.attempt), '[]')
                 FROM message_attempts a WHERE a.message_id = m.id) AS attempts
         FROM messages m WHERE m.user_id = $1 ORDER BY m.id DESC LIMIT $2",
    )
    .bind(user.uuid())
    .bind(most)
    .fetch_all(tx.conn())
    .await?)
}
