//! Dead letters of jobs, queues and outboxes, and what a service gives up beside them, for operators (`ops.v1.DeadLetters`).
//!
//! What is replayed is handled like any other delivery: its effects are had once, so a replay of what was done after
//! all changes nothing. Who replays or discards is written down before it is done.

mod beside;
mod grpc;
mod jobs;
mod ledger;
mod outbox;

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::{Caller, Clock, EventId};
use cs_db::Db;
use cs_proto::errors::v1::Reason as ErrorReason;
use cs_proto::ops::v1::DeadLetter;
use cs_rpc::{FieldViolation, status};
use tonic::Status;

pub(crate) use beside::count as count_beside;
pub use ledger::Ledger;

use crate::Bus;
use crate::bus::{BusError, DeadFilter, DeadMessage, DeadPlace};
use ledger::Touched;

/// Longest list. One more is looked for in each place, to know whether there are more; a replay takes as many at once.
const MOST: u32 = 500;

/// One service's jobs and queue.
#[derive(Clone)]
pub struct DeadLetterPart {
    /// Its schema, where it has one.
    pub db: Option<Db>,
    /// Its queue's name; empty where it has none.
    pub queue: String,
}

/// The dead letters of the services in this process.
pub struct DeadLetters {
    parts: Vec<DeadLetterPart>,
    bus: Arc<dyn Bus>,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
}

impl DeadLetters {
    /// Over the parts of this process.
    pub fn new(parts: Vec<DeadLetterPart>, bus: Arc<dyn Bus>, ledger: Ledger, clock: Arc<dyn Clock>) -> Self {
        Self { parts, bus, ledger, clock }
    }

    /// The letters of one part that the filter lets through, each with its place.
    async fn placed(
        &self,
        part: &DeadLetterPart,
        which: DeadFilter<'_>,
    ) -> Result<Vec<(DeadPlace, DeadLetter)>, Status> {
        let mut found = Vec::new();
        if let Some(db) = &part.db {
            found.extend(jobs::dead(db, which, MOST + 1).await.map_err(|e| unavailable(&e))?);
            found.extend(beside::dead(db, which, MOST + 1).await.map_err(|e| unavailable(&e))?);
            found.extend(outbox::refused(db, which, MOST + 1).await.map_err(|e| unavailable(&e))?);
        }
        if !part.queue.is_empty() {
            let dead = self.bus.dead(&part.queue, which, MOST + 1).await.map_err(|e| refused(&e))?;
            found.extend(dead.into_iter().map(|message| {
                let place = DeadPlace { at: message.died_at, id: message.event.uuid() };
                (place, letter(message, &part.queue))
            }));
        }
        Ok(found)
    }

    async fn of(&self, part: &DeadLetterPart, which: DeadFilter<'_>) -> Result<Vec<DeadLetter>, Status> {
        Ok(self.placed(part, which).await?.into_iter().map(|(_, letter)| letter).collect())
    }

    /// Newest first.
    async fn all(&self, which: DeadFilter<'_>) -> Result<Vec<(DeadPlace, DeadLetter)>, Status> {
        let mut found = Vec::new();
        for part in &self.parts {
            found.extend(self.placed(part, which).await?);
        }
        found.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(found)
    }

    async fn find(&self, caller: &Caller, id: &str) -> Result<Vec<DeadLetter>, Status> {
        let event = event("id", id)?;
        let which = DeadFilter { event: Some(event), ..DeadFilter::new(caller.tenant, "") };
        let letters: Vec<DeadLetter> = self.all(which).await?.into_iter().map(|(_, letter)| letter).collect();
        if letters.is_empty() {
            return Err(status(ErrorReason::NotFound, "there is no such dead letter", &[]));
        }
        Ok(letters)
    }

    /// Replays letters of one part; gives those that were dead.
    async fn replay(
        &self,
        part: &DeadLetterPart,
        caller: &Caller,
        letters: &[DeadLetter],
    ) -> Result<Vec<String>, Status> {
        self.record(caller, "replay", "", letters).await?;
        let mut replayed = Vec::new();
        let ids = |origin: &str| -> Vec<EventId> {
            letters.iter().filter(|l| l.origin == origin).filter_map(|l| l.id.parse().ok()).collect()
        };
        if let (Some(db), jobs) = (&part.db, ids("job"))
            && !jobs.is_empty()
        {
            let changed = jobs::change(db, caller, &jobs, "ready", None, self.clock.now()).await;
            replayed.extend(changed.map_err(|e| unavailable(&e))?);
        }
        if let (Some(db), others) = (&part.db, ids("beside"))
            && !others.is_empty()
        {
            let again = beside::replay(db, caller, &others, self.clock.now()).await;
            replayed.extend(again.map_err(|e| unavailable(&e))?);
        }
        if let (Some(db), facts) = (&part.db, ids("outbox"))
            && !facts.is_empty()
        {
            replayed.extend(outbox::replay(db, caller, &facts).await.map_err(|e| unavailable(&e))?);
        }
        let queued = ids("queue");
        if !queued.is_empty() {
            replayed.extend(self.bus.replay(&part.queue, &queued).await.map_err(|e| refused(&e))?);
        }
        tracing::info!(actor = %caller.subject, letters = replayed.len(), "dead letters replayed");
        Ok(replayed.into_iter().map(|id| id.to_string()).collect())
    }

    async fn record(
        &self,
        caller: &Caller,
        action: &str,
        reason: &str,
        letters: &[DeadLetter],
    ) -> Result<(), Status> {
        let touched: Vec<Touched> = letters
            .iter()
            .map(|l| Touched { place: l.place.clone(), letter: l.id.clone(), kind: l.r#type.clone() })
            .collect();
        self.ledger.record(caller, action, reason, &touched).await.map_err(|e| unavailable(&e))
    }
}

fn letter(message: DeadMessage, queue: &str) -> DeadLetter {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    DeadLetter {
        id: message.event.to_string(),
        origin: "queue".into(),
        r#type: message.kind,
        attempts: message.attempts,
        error: message.error,
        payload: message.envelope.get("payload").map(ToString::to_string).unwrap_or_default(),
        failed_at: rfc3339(message.died_at),
        traceparent: message.envelope["traceparent"].as_str().unwrap_or_default().to_owned(),
        queue: queue.to_owned(),
        parked: message.parked,
        place: queue.to_owned(),
        envelope: text(&message.envelope),
    }
}

fn event(field: &str, id: &str) -> Result<EventId, Status> {
    id.parse().map_err(|_| {
        let violation = FieldViolation::new(field, "must be a ULID");
        status(ErrorReason::InvalidArgument, "the id is not one", &[violation])
    })
}

fn unavailable(error: &dyn std::error::Error) -> Status {
    tracing::error!(error = cs_rpc::chain(error), "dead letters could not be reached");
    status(ErrorReason::Unavailable, "dead letters cannot be reached now", &[])
}

fn refused(error: &BusError) -> Status {
    match error {
        BusError::Missing(what) => {
            status(ErrorReason::InvalidArgument, &format!("{what} does not exist"), &[])
        }
        BusError::Database(_) | BusError::Denied { .. } | BusError::Remote { .. } => unavailable(error),
    }
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
