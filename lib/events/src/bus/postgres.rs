//! The embedded bus. Every call is one of the schema's granted functions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{Clock, EventId};
use cs_db::{Db, DbError, Reason, Tx};
use serde_json::{Value, json};
use sqlx::types::Json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Bus, BusError, DeadFilter, DeadMessage, Delivery, Malformed, Receipt, Unpublished};
use crate::Envelope;

type TakenRow = (i64, Json<Value>, i32, i32, i32, String);
type DeadRow = (Uuid, String, Json<Value>, i32, Option<String>, DateTime<Utc>, bool);

/// The bus over a Postgres schema of its own.
#[derive(Clone)]
pub struct PostgresBus {
    db: Db,
    clock: Arc<dyn Clock>,
    /// The lane that was served last in each queue, so that lanes take turns.
    after: Arc<Mutex<HashMap<String, String>>>,
}

impl PostgresBus {
    /// Over the bus's schema.
    pub fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock, after: Arc::default() }
    }

    fn after(&self, wait: Duration) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)
    }

    fn last_lane(&self, queue: &str) -> String {
        self.after.lock().unwrap_or_else(PoisonError::into_inner).get(queue).cloned().unwrap_or_default()
    }

    /// The taken lanes are those after the last one, and then those from the first on.
    fn turn(&self, queue: &str, after: &str, rows: &[TakenRow]) {
        let wrapped = rows.iter().map(|row| row.5.as_str()).filter(|lane| *lane <= after).max();
        let last = wrapped.or_else(|| rows.iter().map(|row| row.5.as_str()).max());
        if let Some(last) = last {
            let mut turns = self.after.lock().unwrap_or_else(PoisonError::into_inner);
            turns.insert(queue.to_owned(), last.to_owned());
        }
    }
}

/// Runs one function of the bus in a transaction of its own: one statement is one, without a BEGIN.
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

    async fn want(&self, queue: &str, types: &[&str]) -> Result<(), BusError> {
        call!(self, sqlx::query("SELECT bus_want($1, $2)").bind(queue).bind(types), execute);
        Ok(())
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Result<Vec<Unpublished>, BusError> {
        let query = sqlx::query("SELECT bus_publish($1, $2)").bind(rows(envelopes)).bind(self.clock.now());
        call!(self, query, execute);
        Ok(Vec::new())
    }

    async fn send(&self, queue: &str, envelopes: &[Envelope]) -> Result<u64, BusError> {
        let query = sqlx::query_scalar("SELECT bus_send($1, $2, $3)")
            .bind(queue)
            .bind(rows(envelopes))
            .bind(self.clock.now());
        let mut tx = self.db.system(Reason::Operations).await?;
        match query.fetch_one(tx.conn()).await.map_err(DbError::from) {
            Ok(sent) => {
                tx.commit().await?;
                Ok(i64::unsigned_abs(sent))
            }
            Err(DbError::Refused { rule, .. }) if rule == "CS003" => {
                Err(BusError::Missing(format!("the queue {queue}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn receive_until(
        &self,
        _stop: &CancellationToken,
        queue: &str,
        most: u32,
        lease: Duration,
    ) -> Result<Vec<Delivery>, BusError> {
        let after = self.last_lane(queue);
        let mut taken: Vec<TakenRow> = call!(
            self,
            sqlx::query_as("SELECT * FROM bus_take_in_turn($1, $2, $3, $4, $5)")
                .bind(queue)
                .bind(i32::try_from(most).unwrap_or(i32::MAX))
                .bind(self.clock.now())
                .bind(self.after(lease))
                .bind(&after),
            fetch_all
        );
        self.turn(queue, &after, &taken);
        // UPDATE … RETURNING keeps no order.
        taken.sort_unstable_by_key(|row| row.0);
        Ok(taken
            .into_iter()
            .map(|(message, Json(value), attempt, lost, handed_back, _)| Delivery {
                envelope: read(value),
                attempt: attempt.unsigned_abs(),
                lost: lost.unsigned_abs(),
                handed_back: handed_back.unsigned_abs(),
                queue: queue.to_owned(),
                receipt: Receipt::Row(message),
            })
            .collect())
    }

    async fn done(&self, deliveries: &[Delivery]) -> Result<usize, BusError> {
        let (ids, receipts): (Vec<i64>, Vec<i32>) = deliveries.iter().map(receipt).unzip();
        let ended: Vec<i64> = call!(
            self,
            sqlx::query_scalar("SELECT bus_done_all($1, $2)").bind(ids).bind(receipts),
            fetch_all
        );
        Ok(ended.len())
    }

    async fn extend(&self, delivery: &Delivery, lease: Duration) -> Result<bool, BusError> {
        let (id, receipt) = receipt(delivery);
        let query = sqlx::query_scalar("SELECT bus_extend($1, $2, $3)")
            .bind(id)
            .bind(receipt)
            .bind(self.after(lease));
        Ok(call!(self, query, fetch_one))
    }

    async fn retry(&self, delivery: &Delivery, wait: Duration, error: &str) -> Result<(), BusError> {
        let (id, receipt) = receipt(delivery);
        let query = sqlx::query("SELECT bus_retry($1, $2, $3, $4)")
            .bind(id)
            .bind(receipt)
            .bind(self.after(wait))
            .bind(error.replace('\0', ""));
        call!(self, query, execute);
        Ok(())
    }

    async fn hand_back(&self, delivery: &Delivery) -> Result<(), BusError> {
        let (id, receipt) = receipt(delivery);
        let query =
            sqlx::query("SELECT bus_hand_back($1, $2, $3)").bind(id).bind(receipt).bind(self.clock.now());
        call!(self, query, execute);
        Ok(())
    }

    async fn bury(&self, delivery: &Delivery, error: &str) -> Result<(), BusError> {
        let (id, receipt) = receipt(delivery);
        let query = sqlx::query("SELECT bus_bury($1, $2, $3, $4)")
            .bind(id)
            .bind(receipt)
            .bind(self.clock.now())
            .bind(error.replace('\0', ""));
        call!(self, query, execute);
        Ok(())
    }

    async fn park(&self, delivery: &Delivery, why: &str) -> Result<(), BusError> {
        let (id, receipt) = receipt(delivery);
        let query = sqlx::query("SELECT bus_park($1, $2, $3, $4)")
            .bind(id)
            .bind(receipt)
            .bind(self.clock.now())
            .bind(why.replace('\0', ""));
        call!(self, query, execute);
        Ok(())
    }

    async fn unpark(&self, queue: &str, readable: &[(&str, u32)]) -> Result<u64, BusError> {
        let (types, newest): (Vec<&str>, Vec<i32>) =
            readable.iter().map(|(kind, newest)| (*kind, i32::try_from(*newest).unwrap_or(i32::MAX))).unzip();
        let query = sqlx::query_scalar("SELECT bus_unpark($1, $2, $3, $4)")
            .bind(queue)
            .bind(types)
            .bind(newest)
            .bind(self.clock.now());
        Ok(i64::unsigned_abs(call!(self, query, fetch_one)))
    }

    async fn dead(
        &self,
        queue: &str,
        which: DeadFilter<'_>,
        most: u32,
    ) -> Result<Vec<DeadMessage>, BusError> {
        let rows: Vec<DeadRow> = call!(
            self,
            sqlx::query_as("SELECT * FROM bus_dead_letters($1, $2, $3, $4, $5, $6, $7, $8, $9)")
                .bind(queue)
                .bind(which.tenant.to_string())
                .bind(DeadFilter::unowned().to_string())
                .bind(which.kind)
                .bind(which.event.map(EventId::uuid))
                .bind(which.before)
                .bind(which.after.map(|place| place.at))
                .bind(which.after.map(|place| place.id))
                .bind(i32::try_from(most).unwrap_or(i32::MAX)),
            fetch_all
        );
        Ok(rows
            .into_iter()
            .map(|(event, kind, envelope, attempts, error, died_at, parked)| DeadMessage {
                event: event.into(),
                kind,
                envelope: envelope.0,
                attempts: attempts.unsigned_abs(),
                error: error.unwrap_or_default(),
                died_at,
                parked,
            })
            .collect())
    }

    async fn replay(&self, queue: &str, events: &[EventId]) -> Result<Vec<EventId>, BusError> {
        let events: Vec<Uuid> = events.iter().map(|event| event.uuid()).collect();
        let query = sqlx::query_scalar("SELECT bus_replay_all($1, $2, $3)")
            .bind(queue)
            .bind(events)
            .bind(self.clock.now());
        let replayed: Vec<Uuid> = call!(self, query, fetch_all);
        Ok(replayed.into_iter().map(EventId::from).collect())
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

    async fn tidy(&self, before: DateTime<Utc>) -> Result<u64, BusError> {
        let query = sqlx::query_scalar("SELECT bus_forget_payloads($1)").bind(before);
        Ok(i64::unsigned_abs(call!(self, query, fetch_one)))
    }
}

fn rows(envelopes: &[Envelope]) -> Vec<Json<Value>> {
    envelopes.iter().map(|e| Json(json!({ "uuid": e.id.uuid(), "envelope": e }))).collect()
}

/// A text among the messages is what somebody put there that was not even JSON.
fn read(value: Value) -> Result<Envelope, Malformed> {
    serde_json::from_value(value.clone()).map_err(|error| Malformed {
        error: format!("no envelope: {error}"),
        bytes: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    })
}

fn receipt(delivery: &Delivery) -> (i64, i32) {
    let id = match delivery.receipt {
        Receipt::Row(id) => id,
        // A delivery of the other bus is none of ours: no row has this number.
        Receipt::Handle { .. } => 0,
    };
    (id, i32::try_from(delivery.attempt).unwrap_or(i32::MAX))
}
