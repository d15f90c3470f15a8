//! Moves the outbox to the bus: nothing else publishes.

use std::sync::Arc;

use chrono::TimeDelta;
use cs_core::Clock;
use cs_db::{Db, DbError, Reason, Tx, Wakeups};
use cs_rpc::Tasks;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Bus, BusError, Envelope, lanes};

/// Facts in one batch.
const BATCH: i64 = 200;
/// A relay that died with a batch in hand is waited for this long.
const LEASE: TimeDelta = TimeDelta::seconds(30);

/// The relay of one service's outbox.
#[derive(Clone)]
pub struct Relay {
    db: Db,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
}

impl Relay {
    /// From the outbox in `db` to `bus`.
    pub fn new(db: Db, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self { db, bus, clock }
    }

    /// Relays until the tasks drain. `schema` names the outbox whose inserts wake it.
    pub fn run(self, tasks: &Tasks, wakeups: &Wakeups, schema: &str) {
        lanes::run(tasks, wakeups, &format!("{schema}.outbox"), 1, move || {
            let relay = self.clone();
            async move { relay.step().await }
        });
    }

    /// Publishes one batch in order; gives its size.
    ///
    /// One relay at a time holds a batch, so that facts leave in the order they were written even with several
    /// replicas. A crash between publishing and marking repeats the batch: consumers are idempotent by event id.
    pub async fn step(&self) -> Result<usize, BusError> {
        let batch = self.claim().await?;
        if batch.is_empty() {
            return Ok(0);
        }
        let envelopes: Vec<Envelope> = batch.into_iter().map(|(_, envelope)| envelope.0).collect();
        let published = self.bus.publish(&envelopes).await;
        let ids: Vec<Uuid> = envelopes.iter().map(|e| e.id.uuid()).collect();
        let mut tx = self.db.system(Reason::Relay).await?;
        let mark = match &published {
            Ok(()) => "UPDATE outbox SET published_at = $2, leased_until = NULL WHERE id = ANY ($1)",
            Err(_) => "UPDATE outbox SET leased_until = NULL WHERE id = ANY ($1) AND $2 IS NOT NULL",
        };
        sqlx::query(mark)
            .bind(&ids)
            .bind(self.clock.now())
            .execute(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        published.map(|()| ids.len())
    }

    async fn claim(&self) -> Result<Vec<(i64, Json<Envelope>)>, DbError> {
        let mut tx = self.db.system(Reason::Relay).await?;
        let free: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtext(current_schema() || '.outbox'))")
                .fetch_one(tx.conn())
                .await?;
        if !free {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let mut batch: Vec<(i64, Json<Envelope>)> = sqlx::query_as(
            "UPDATE outbox SET leased_until = $2 WHERE id IN (
                 SELECT id FROM outbox WHERE published_at IS NULL
                 AND NOT EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND leased_until > $1)
                 ORDER BY sequence LIMIT $3)
             RETURNING sequence, envelope",
        )
        .bind(now)
        .bind(now + LEASE)
        .bind(BATCH)
        .fetch_all(tx.conn())
        .await?;
        tx.commit().await?;
        batch.sort_unstable_by_key(|(sequence, _)| *sequence);
        Ok(batch)
    }
}
