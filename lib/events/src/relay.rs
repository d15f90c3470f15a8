//! Moves the outbox to the bus: nothing else publishes.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::Clock;
use cs_db::{Db, DbError, Reason, Tx, Wakeups};
use cs_rpc::Tasks;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Bus, BusError, Envelope, fault, lanes};

/// Facts in one batch.
const BATCH: i32 = 200;
/// A relay that died with a batch in hand is waited for this long.
const LEASE: TimeDelta = TimeDelta::seconds(30);

/// The relay of one service's outbox.
#[derive(Clone)]
pub struct Relay {
    schema: &'static str,
    db: Db,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
}

impl Relay {
    /// From the outbox of `schema` in `db` to `bus`.
    pub fn new(schema: &'static str, db: Db, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self { schema, db, bus, clock }
    }

    /// Relays until the tasks drain; inserts into the outbox wake it.
    pub fn run(self, tasks: &Tasks, wakeups: &Wakeups) {
        lanes::run(tasks, wakeups, &format!("{}.outbox", self.schema), 1, lanes::POLL, move || {
            let relay = self.clone();
            async move { relay.step().await }
        });
    }

    /// Publishes one batch in order; gives its size.
    ///
    /// A batch is leased, and of a resource of which another relay holds facts none is taken: so the facts of a
    /// resource leave in the order they were written, however many replicas there are. A crash between publishing and
    /// marking repeats the batch: consumers are idempotent by event id.
    pub async fn step(&self) -> Result<usize, BusError> {
        let batch = self.claim().await?;
        fault!("relay.claimed");
        let oldest = batch.iter().map(|(_, _, at)| *at).min();
        let lag = oldest.map_or(0.0, |at| seconds(self.clock.now() - at));
        metrics::gauge!("councilsense_outbox_lag_seconds", "schema" => self.schema).set(lag);
        if batch.is_empty() {
            return Ok(0);
        }
        let envelopes: Vec<Envelope> = batch.into_iter().map(|(_, envelope, _)| envelope.0).collect();
        let published = self.bus.publish(&envelopes).await;
        fault!("relay.published");
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
        fault!("relay.marked");
        tx.commit().await?;
        published?;
        metrics::counter!("councilsense_facts_published_total", "schema" => self.schema)
            .increment(ids.len() as u64);
        Ok(ids.len())
    }

    async fn claim(&self) -> Result<Vec<(i64, Json<Envelope>, DateTime<Utc>)>, DbError> {
        let now = self.clock.now();
        let mut tx = self.db.system(Reason::Relay).await?;
        let mut batch: Vec<(i64, Json<Envelope>, DateTime<Utc>)> =
            sqlx::query_as("SELECT * FROM claim_facts($1, $2, $3)")
                .bind(now)
                .bind(now + LEASE)
                .bind(BATCH)
                .fetch_all(tx.conn())
                .await?;
        tx.commit().await?;
        // UPDATE … RETURNING keeps no order.
        batch.sort_unstable_by_key(|(sequence, _, _)| *sequence);
        Ok(batch)
    }
}

fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64().max(0.0)
}
