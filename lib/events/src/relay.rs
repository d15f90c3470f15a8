//! Moves the outbox to the bus: nothing else publishes.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::Clock;
use cs_db::{Db, DbError, Reason, Tx, Wakeups};
use cs_rpc::Tasks;
use sqlx::types::Json;
use uuid::Uuid;

use crate::bus::Unpublished;
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
        let left = match published {
            Ok(left) => left,
            Err(error) => {
                self.mark(&[], &[], &ids_of(&envelopes)).await?;
                return Err(error);
            }
        };
        let (refused, later): (Vec<Unpublished>, Vec<Unpublished>) =
            left.into_iter().partition(|u| u.refused);
        for one in &refused {
            tracing::error!(event_id = %one.event, error = one.error, schema = self.schema,
                "the bus refuses a fact: it waits among the dead letters, the others go on");
        }
        let unpublished: HashSet<Uuid> = refused.iter().chain(&later).map(|u| u.event.uuid()).collect();
        let ids: Vec<Uuid> = ids_of(&envelopes).into_iter().filter(|id| !unpublished.contains(id)).collect();
        self.mark(&ids, &refused, &later.iter().map(|u| u.event.uuid()).collect::<Vec<_>>()).await?;
        metrics::counter!("councilsense_facts_published_total", "schema" => self.schema)
            .increment(ids.len() as u64);
        match later.into_iter().next() {
            Some(first) => Err(BusError::Remote { action: "publishing", message: first.error }),
            None => Ok(envelopes.len()),
        }
    }

    /// Writes what became of a batch: what was published, what the bus refuses, what is tried again.
    async fn mark(
        &self,
        published: &[Uuid],
        refused: &[Unpublished],
        again: &[Uuid],
    ) -> Result<(), BusError> {
        let mut tx = self.db.system(Reason::Relay).await?;
        sqlx::query(
            "UPDATE outbox o SET leased_until = NULL, error = u.error,
                 published_at = CASE WHEN u.outcome = 'published' THEN $4::timestamptz END,
                 refused_at = CASE WHEN u.outcome = 'refused' THEN $4::timestamptz END
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (id, outcome, error) WHERE o.id = u.id",
        )
        .bind(
            published
                .iter()
                .copied()
                .chain(refused.iter().map(|u| u.event.uuid()))
                .chain(again.iter().copied())
                .collect::<Vec<_>>(),
        )
        .bind(
            std::iter::repeat_n("published", published.len())
                .chain(std::iter::repeat_n("refused", refused.len()))
                .chain(std::iter::repeat_n("again", again.len()))
                .collect::<Vec<_>>(),
        )
        .bind(
            published
                .iter()
                .map(|_| None)
                .chain(refused.iter().map(|u| Some(u.error.replace('\0', ""))))
                .chain(again.iter().map(|_| None))
                .collect::<Vec<Option<String>>>(),
        )
        .bind(self.clock.now())
        .execute(tx.conn())
        .await
        .map_err(DbError::from)?;
        fault!("relay.marked");
        Ok(tx.commit().await?)
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

fn ids_of(envelopes: &[Envelope]) -> Vec<Uuid> {
    envelopes.iter().map(|envelope| envelope.id.uuid()).collect()
}

fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64().max(0.0)
}
