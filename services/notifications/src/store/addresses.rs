//! Where a person is reached: browsers that take pushes, webhooks.

use chrono::{DateTime, Utc};
use cs_core::{PushSubscriptionId, UserId, WebhookId};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

/// A browser that takes pushes.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PushSubscription {
    /// Its row.
    pub id: Uuid,
    /// Where its push service takes messages for it. A secret.
    pub endpoint: String,
    /// What the person sees of the browser.
    pub user_agent: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// A subscription to be kept.
pub(crate) struct NewSubscription<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) p256dh: &'a [u8],
    pub(crate) auth: &'a [u8],
    pub(crate) user_agent: &'a str,
}

/// An address that is told by web.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Webhook {
    /// Its row; its secret is derived from it.
    pub id: Uuid,
    /// Where.
    pub url: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Keeps a subscription. A browser that another person used before is theirs no more.
pub(crate) async fn put_subscription(
    tx: &mut TenantTx,
    id: PushSubscriptionId,
    user: UserId,
    new: &NewSubscription<'_>,
    now: DateTime<Utc>,
) -> Result<PushSubscription, DbError> {
    super::erasure::hold_off(tx).await?;
    // A new row under a new id where the person changes: what is on its way to the old one must not reach this one.
    sqlx::query("DELETE FROM push_subscriptions WHERE endpoint = $1 AND user_id <> $2")
        .bind(new.endpoint)
        .bind(user.uuid())
        .execute(tx.conn())
        .await?;
    Ok(sqlx::query_as(
        "INSERT INTO push_subscriptions (id, tenant_id, user_id, endpoint, p256dh, auth, user_agent, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT ON CONSTRAINT push_subscriptions_once DO UPDATE SET p256dh = $5, auth = $6, user_agent = $7
         RETURNING id, endpoint, user_agent, created_at",
    )
    .bind(id.uuid())
    .bind(tx.tenant().uuid())
    .bind(user.uuid())
    .bind(new.endpoint)
    .bind(new.p256dh)
    .bind(new.auth)
    .bind(new.user_agent)
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// A person's subscriptions, oldest first.
pub(crate) async fn subscriptions(tx: &mut TenantTx, user: UserId) -> Result<Vec<PushSubscription>, DbError> {
    Ok(sqlx::query_as(
        "SELECT id, endpoint, user_agent, created_at FROM push_subscriptions WHERE user_id = $1 ORDER BY id",
    )
    .bind(user.uuid())
    .fetch_all(tx.conn())
    .await?)
}

/// Ends a subscription; `false`: the person has no such one.
pub(crate) async fn delete_subscription(tx: &mut TenantTx, user: UserId, id: Uuid) -> Result<bool, DbError> {
    let deleted = sqlx::query("DELETE FROM push_subscriptions WHERE id = $1 AND user_id = $2")
        .bind(id)
        .bind(user.uuid())
        .execute(tx.conn())
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Keeps a webhook; one that is there stays as it is.
pub(crate) async fn put_webhook(
    tx: &mut TenantTx,
    id: WebhookId,
    user: UserId,
    url: &str,
    now: DateTime<Utc>,
) -> Result<Webhook, DbError> {
    sqlx::query(
        "INSERT INTO webhooks (id, tenant_id, user_id, url, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ON CONSTRAINT webhooks_once DO NOTHING",
    )
    .bind(id.uuid())
    .bind(tx.tenant().uuid())
    .bind(user.uuid())
    .bind(url)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(sqlx::query_as("SELECT id, url, created_at FROM webhooks WHERE user_id = $1 AND url = $2")
        .bind(user.uuid())
        .bind(url)
        .fetch_one(tx.conn())
        .await?)
}

/// A person's webhooks, oldest first.
pub(crate) async fn webhooks(tx: &mut TenantTx, user: UserId) -> Result<Vec<Webhook>, DbError> {
    Ok(sqlx::query_as("SELECT id, url, created_at FROM webhooks WHERE user_id = $1 ORDER BY id")
        .bind(user.uuid())
        .fetch_all(tx.conn())
        .await?)
}

/// Ends a webhook; `false`: the person has no such one.
pub(crate) async fn delete_webhook(tx: &mut TenantTx, user: UserId, id: Uuid) -> Result<bool, DbError> {
    let deleted = sqlx::query("DELETE FROM webhooks WHERE id = $1 AND user_id = $2")
        .bind(id)
        .bind(user.uuid())
        .execute(tx.conn())
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Ends what the far end says is gone for good.
pub(crate) async fn forget(tx: &mut TenantTx, gone: &[Uuid]) -> Result<(), DbError> {
    for sql in
        ["DELETE FROM push_subscriptions WHERE id = ANY ($1)", "DELETE FROM webhooks WHERE id = ANY ($1)"]
    {
        sqlx::query(sql).bind(gone).execute(tx.conn()).await?;
    }
    Ok(())
}

/// Where each of these people is reached: person, channel, row.
pub(crate) async fn targets(tx: &mut TenantTx, users: &[Uuid]) -> Result<Vec<(Uuid, String, Uuid)>, DbError> {
    Ok(sqlx::query_as(
        "SELECT user_id, 'push', id FROM push_subscriptions WHERE user_id = ANY ($1)
         UNION ALL SELECT user_id, 'webhook', id FROM webhooks WHERE user_id = ANY ($1) ORDER BY 1, 3",
    )
    .bind(users)
    .fetch_all(tx.conn())
    .await?)
}
