//! Accounts that are deleted.

use chrono::{DateTime, Utc};
use cs_core::UserId;
use cs_db::{DbError, TenantTx, Tx};

/// Lets one transaction at a time look who the owners are, so that two cannot both leave to the other.
pub(crate) async fn lock_owners(tx: &mut TenantTx) -> Result<(), DbError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('owners of ' || $1, 0))")
        .bind(tx.tenant().to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Whether the person is an owner of the tenant and nobody else is.
pub(crate) async fn is_only_owner(tx: &mut TenantTx, user: UserId) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar(
        "SELECT coalesce(bool_and(user_id = $1), false) FROM role_grants WHERE role = 'owner'",
    )
    .bind(user.uuid())
    .fetch_one(tx.conn())
    .await?)
}

/// Whether there was such an account, and its person deleted it.
pub(crate) async fn is_deleted(tx: &mut TenantTx, user: UserId) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM deleted_accounts WHERE user_id = $1)")
        .bind(user.uuid())
        .fetch_one(tx.conn())
        .await?)
}

/// Deletes all that is kept of a person and remembers that it was done; gives the account's last version.
pub(crate) async fn delete(tx: &mut TenantTx, user: UserId, now: DateTime<Utc>) -> Result<i64, DbError> {
    for sql in ["DELETE FROM role_grants WHERE user_id = $1", "DELETE FROM identities WHERE user_id = $1"] {
        sqlx::query(sql).bind(user.uuid()).execute(tx.conn()).await?;
    }
    Ok(sqlx::query_scalar(
        "WITH gone AS (DELETE FROM users WHERE id = $1 RETURNING tenant_id, id, version + 1 AS version)
         INSERT INTO deleted_accounts (tenant_id, user_id, version, deleted_at)
         SELECT tenant_id, id, version, $2 FROM gone RETURNING version",
    )
    .bind(user.uuid())
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// A role of a person's, as it was granted.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Grant {
    pub(crate) role: String,
    /// By whom: an operator or the person's provider.
    pub(crate) origin: String,
    pub(crate) created_at: DateTime<Utc>,
}

/// A person's grants, oldest first.
pub(crate) async fn grants(tx: &mut TenantTx, user: UserId) -> Result<Vec<Grant>, DbError> {
    Ok(sqlx::query_as(
        "SELECT role, origin, created_at FROM role_grants WHERE user_id = $1 ORDER BY created_at, role, origin",
    )
    .bind(user.uuid())
    .fetch_all(tx.conn())
    .await?)
}
