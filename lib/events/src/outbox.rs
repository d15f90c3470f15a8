//! Facts, written with the change they tell of.

use cs_db::{DbError, TenantTx, Tx};
use sqlx::types::Json;

use crate::Envelope;

/// Puts a fact on its way to the bus, in the transaction of its change.
pub async fn put(tx: &mut TenantTx, envelope: &Envelope) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO outbox (id, tenant_id, type, envelope, created_at, resource) VALUES ($1, $2, $3, $4, $5, $6)",
    )
        .bind(envelope.id.uuid())
        .bind(envelope.tenant_id.uuid())
        .bind(&envelope.kind)
        .bind(Json(envelope))
        .bind(envelope.occurred_at)
        .bind(format!("{}:{}", envelope.resource.kind, envelope.resource.id))
        .execute(tx.conn())
        .await?;
    Ok(())
}
