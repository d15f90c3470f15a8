//! Moves the outbox to the bus: nothing else publishes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use cs_core::Clock;
use cs_db::{Db, DbError, Reason, Tx, Wakeups};
use cs_rpc::Tasks;
use sqlx::types::Json;
use uuid::Uuid;

use crate::bus::Unpublished;
use crate::{Bus, BusError, Envelope, fault, lanes};

/// Facts in one batch.
const BATCH: i32 = 200;
/// A relay that died with a batch in hand is waited for this long; one that works renews it three times as often.
const LEASE: Duration = Duration::from_secs(30);

/// The relay of one service's outbox.
#[derive(Clone)]
pub struct Relay {
    schema: &'static str,
    db: Db,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    lease: Duration,
}

/// Facts in this relay's hands. What is marked names the holder: who lost the batch marks nothing.
struct Batch {
    holder: Uuid,
    envelopes: Vec<Envelope>,
}

impl Relay {
    /// From the outbox of `schema` in `db` to `bus`.
    pub fn new(schema: &'static str, db: Db, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self { schema, db, bus, clock, lease: LEASE }
    }

    /// Waits for another time for a relay that died with a batch in hand.
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Relays until the tasks drain; inserts into the outbox wake it.
    pub fn run(self, tasks: &Tasks, wakeups: &Wakeups) {
        let name = format!("{}.outbox", self.schema);
        lanes::run(tasks, &wakeups.get(&name), &name, 1, lanes::PATIENCE, move || {
            let relay = self.clone();
            async move { relay.step().await }
        });
    }

    /// Publishes one batch in order; gives its size.
    ///
    /// A batch is leased, and of a resource of which another relay holds facts none is taken: so the facts of a
    /// resource leave in the order they were written, however many replicas there are. The lease is renewed while the bus
    /// takes its time; a relay that lost it stops and marks nothing. A crash between publishing and marking repeats the
    /// batch: consumers are idempotent by event id.
    pub async fn step(&self) -> Result<usize, BusError> {
        let batch = self.claim().await?;
        fault!("relay.claimed");
        let envelopes = &batch.envelopes;
        if envelopes.is_empty() {
            return Ok(0);
        }
        let published = tokio::select! {
            published = self.bus.publish(envelopes) => published,
            () = self.renew(&batch) => {
                tracing::warn!(schema = self.schema, "another relay has these facts now");
                return Ok(0);
            }
        };
        fault!("relay.published");
        let left = match published {
            Ok(left) => left,
            Err(error) => {
                self.mark(&batch, &[], &[], &ids_of(envelopes)).await?;
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
        let ids: Vec<Uuid> = ids_of(envelopes).into_iter().filter(|id| !unpublished.contains(id)).collect();
        self.mark(&batch, &ids, &refused, &later.iter().map(|u| u.event.uuid()).collect::<Vec<_>>()).await?;
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
        batch: &Batch,
        published: &[Uuid],
        refused: &[Unpublished],
        again: &[Uuid],
    ) -> Result<(), BusError> {
        let mut tx = self.db.system(Reason::Relay).await?;
        let marked = sqlx::query(
            "UPDATE outbox o SET leased_until = NULL, leased_by = NULL, error = u.error,
                 published_at = CASE WHEN u.outcome = 'published' THEN $4::timestamptz END,
                 refused_at = CASE WHEN u.outcome = 'refused' THEN $4::timestamptz END
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (id, outcome, error)
             WHERE o.id = u.id AND o.leased_by = $5 AND o.published_at IS NULL",
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
        .bind(batch.holder)
        .execute(tx.conn())
        .await
        .map_err(DbError::from)?;
        if marked.rows_affected() < batch.envelopes.len() as u64 {
            tracing::warn!(
                schema = self.schema,
                marked = marked.rows_affected(),
                "another relay had these facts meanwhile: it marks them"
            );
        }
        fault!("relay.marked");
        Ok(tx.commit().await?)
    }

    async fn claim(&self) -> Result<Batch, DbError> {
        let now = self.clock.now();
        let holder = Uuid::from_u128(rand::random());
        let mut tx = self.db.system(Reason::Relay).await?;
        let mut rows: Vec<(i64, Json<Envelope>)> =
            sqlx::query_as("SELECT * FROM claim_facts($1, $2, $3, $4)")
                .bind(now)
                .bind(now + span(self.lease))
                .bind(holder)
                .bind(BATCH)
                .fetch_all(tx.conn())
                .await?;
        tx.commit().await?;
        // UPDATE … RETURNING keeps no order.
        rows.sort_unstable_by_key(|(sequence, _)| *sequence);
        Ok(Batch { holder, envelopes: rows.into_iter().map(|(_, Json(envelope))| envelope).collect() })
    }

    /// Keeps a batch in hand; ends when another relay has it.
    async fn renew(&self, batch: &Batch) {
        let ids = ids_of(&batch.envelopes);
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let renewed = async {
                let mut tx = self.db.system(Reason::Relay).await?;
                let kept = sqlx::query(
                    "UPDATE outbox SET leased_until = $3 WHERE id = ANY ($1) AND leased_by = $2 AND published_at IS NULL",
                )
                .bind(&ids)
                .bind(batch.holder)
                .bind(self.clock.now() + span(self.lease))
                .execute(tx.conn())
                .await?;
                tx.commit().await?;
                Ok::<u64, DbError>(kept.rows_affected())
            };
            match renewed.await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, schema = self.schema, "the lease of a batch of facts could not be renewed");
                }
            }
        }
    }
}

fn ids_of(envelopes: &[Envelope]) -> Vec<Uuid> {
    envelopes.iter().map(|envelope| envelope.id.uuid()).collect()
}

fn span(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}
