//! The embedded bus. Every call is one of the schema's granted functions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{Clock, EventId, TenantId};
use cs_db::{Db, DbError, Reason, Tx};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Bus, BusError, DeadMessage, Delivery};
use crate::Envelope;

type DeadRow = (Uuid, String, Json<serde_json::Value>, i32, Option<String>, DateTime<Utc>);

/// The bus over a Postgres schema of its own.
#[derive(Clone)]
pub struct PostgresBus {
    db: Db,
    clock: Arc<dyn Clock>,
}

impl PostgresBus {
    /// Over the bus's schema.
    pub fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock }
    }

    fn after(&self, wait: Duration) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)
    }
}

/// Runs one function of the bus in a transaction of its own.
macro_rules! call {
    ($self:ident, $query:expr, $fetch:ident) => {{
        let mut tx = $self.db.system(Reason::Relay).await?;
        let result = $query.$fetch(tx.conn()).await.map_err(DbError::from)?;
        tx.commit().await?;
        result
    }};
}

#[async_trait]
impl Bus for PostgresBus {
    async fn subscribe(&self, queue: &str, types: &[&str]) -> Result<(), BusError> {
        call!(self, sqlx::query("SELECT bus_subscribe($1, $2)").bind(queue).bind(types), execute);
        Ok(())
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Result<(), BusError> {
        let rows: Vec<_> =
            envelopes.iter().map(|e| Json(json!({ "uuid": e.id.uuid(), "envelope": e }))).collect();
        call!(self, sqlx::query("SELECT bus_publish($1, $2)").bind(rows).bind(self.clock.now()), execute);
        Ok(())
    }

    async fn receive(&self, queue: &str, most: u32, lease: Duration) -> Result<Vec<Delivery>, BusError> {
        let rows: Vec<(i64, Json<serde_json::Value>, i32)> = call!(
            self,
            sqlx::query_as("SELECT * FROM bus_receive($1, $2, $3, $4)")
                .bind(queue)
                .bind(i32::try_from(most).unwrap_or(i32::MAX))
                .bind(self.clock.now())
                .bind(self.after(lease)),
            fetch_all
        );
        let mut deliveries: Vec<_> = rows
            .into_iter()
            .map(|(message, Json(value), attempt)| Delivery {
                envelope: serde_json::from_value(value.clone()).map_err(|e| format!("{e}: {value}")),
                attempt: attempt.unsigned_abs(),
                message,
            })
            .collect();
        // UPDATE … RETURNING keeps no order.
        deliveries.sort_unstable_by_key(|d| d.message);
        Ok(deliveries)
    }

    async fn done(&self, delivery: &Delivery) -> Result<bool, BusError> {
        Ok(call!(
            self,
            sqlx::query_scalar("SELECT bus_done($1, $2)").bind(delivery.message).bind(receipt(delivery)),
            fetch_one
        ))
    }

    async fn retry(&self, delivery: &Delivery, wait: Duration, error: &str) -> Result<(), BusError> {
        let query = sqlx::query("SELECT bus_retry($1, $2, $3, $4)")
            .bind(delivery.message)
            .bind(receipt(delivery))
            .bind(self.after(wait))
            .bind(error);
        call!(self, query, execute);
        Ok(())
    }

    async fn bury(&self, delivery: &Delivery, error: &str) -> Result<(), BusError> {
        let query = sqlx::query("SELECT bus_bury($1, $2, $3, $4)")
            .bind(delivery.message)
            .bind(receipt(delivery))
            .bind(self.clock.now())
            .bind(error);
        call!(self, query, execute);
        Ok(())
    }

    async fn dead(
        &self,
        queue: &str,
        tenant: TenantId,
        kind: &str,
        most: u32,
    ) -> Result<Vec<DeadMessage>, BusError> {
        let rows: Vec<DeadRow> = call!(
            self,
            sqlx::query_as("SELECT * FROM bus_dead($1, $2, $3, $4)")
                .bind(queue)
                .bind(tenant.to_string())
                .bind(kind)
                .bind(i32::try_from(most).unwrap_or(i32::MAX)),
            fetch_all
        );
        Ok(rows
            .into_iter()
            .map(|(event, kind, envelope, attempts, error, died_at)| DeadMessage {
                event: event.into(),
                kind,
                envelope: envelope.0,
                attempts: attempts.unsigned_abs(),
                error: error.unwrap_or_default(),
                died_at,
            })
            .collect())
    }

    async fn replay(&self, queue: &str, event: EventId) -> Result<bool, BusError> {
        let query = sqlx::query_scalar("SELECT bus_replay($1, $2, $3)")
            .bind(queue)
            .bind(event.uuid())
            .bind(self.clock.now());
        Ok(call!(self, query, fetch_one))
    }

    async fn discard(&self, queue: &str, event: EventId) -> Result<bool, BusError> {
        Ok(call!(
            self,
            sqlx::query_scalar("SELECT bus_discard($1, $2)").bind(queue).bind(event.uuid()),
            fetch_one
        ))
    }

    async fn count(&self, queue: &str) -> Result<(u64, u64), BusError> {
        let (waiting, dead): (i64, i64) =
            call!(self, sqlx::query_as("SELECT * FROM bus_count($1)").bind(queue), fetch_one);
        Ok((waiting.unsigned_abs(), dead.unsigned_abs()))
    }
}

fn receipt(delivery: &Delivery) -> i32 {
    i32::try_from(delivery.attempt).unwrap_or(i32::MAX)
}
