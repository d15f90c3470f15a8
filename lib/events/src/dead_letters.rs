//! Dead letters of jobs and queues, for operators (`ops.v1.DeadLetters`).

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::{Caller, Clock, EventId, Role};
use cs_db::{Db, DbError, Reason, Tx};
use cs_proto::errors::v1::Reason as ErrorReason;
use cs_proto::ops::v1::dead_letters_server::DeadLetters as Service;
use cs_proto::ops::v1::{
    DeadLetter, DiscardDeadLetterRequest, DiscardDeadLetterResponse, GetBacklogRequest, GetBacklogResponse,
    ListDeadLettersRequest, ListDeadLettersResponse, ReplayDeadLetterRequest, ReplayDeadLetterResponse,
};
use cs_rpc::{FieldViolation, status};
use sqlx::types::Json;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{Bus, Envelope};

const MOST: u32 = 100;

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
    clock: Arc<dyn Clock>,
}

type JobRow = (Uuid, String, Json<Envelope>, i32, Option<String>, Option<DateTime<Utc>>);

impl DeadLetters {
    /// Over the parts of this process.
    pub fn new(parts: Vec<DeadLetterPart>, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self { parts, bus, clock }
    }

    async fn dead_jobs(
        &self,
        part: &DeadLetterPart,
        caller: &Caller,
        kind: &str,
    ) -> Result<Vec<DeadLetter>, DbError> {
        let Some(db) = &part.db else { return Ok(Vec::new()) };
        let mut tx = db.system(Reason::Operations).await?;
        let rows: Vec<JobRow> = sqlx::query_as(
            "SELECT id, type, envelope, attempt, error, finished_at FROM jobs
             WHERE tenant_id = $1 AND state = 'dead' AND ($2 = '' OR type = $2) ORDER BY finished_at DESC LIMIT $3",
        )
        .bind(caller.tenant.uuid())
        .bind(kind)
        .bind(i64::from(MOST))
        .fetch_all(tx.conn())
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, kind, envelope, attempts, error, at)| DeadLetter {
                id: EventId::from(id).to_string(),
                origin: "job".into(),
                r#type: kind,
                attempts: attempts.unsigned_abs(),
                error: error.unwrap_or_default(),
                payload: envelope.payload.to_string(),
                failed_at: at.map(rfc3339).unwrap_or_default(),
                traceparent: envelope.traceparent.clone(),
                queue: String::new(),
            })
            .collect())
    }

    async fn all(&self, caller: &Caller, kind: &str) -> Result<Vec<DeadLetter>, Status> {
        let mut found = Vec::new();
        for part in &self.parts {
            found.extend(self.dead_jobs(part, caller, kind).await.map_err(|e| unavailable(&e))?);
            if part.queue.is_empty() {
                continue;
            }
            let dead =
                self.bus.dead(&part.queue, caller.tenant, kind, MOST).await.map_err(|e| unavailable(&e))?;
            found.extend(dead.into_iter().map(|m| DeadLetter {
                id: m.event.to_string(),
                origin: "queue".into(),
                r#type: m.kind,
                attempts: m.attempts,
                error: m.error,
                payload: m.envelope["payload"].to_string(),
                failed_at: rfc3339(m.died_at),
                traceparent: m.envelope["traceparent"].as_str().unwrap_or_default().to_owned(),
                queue: part.queue.clone(),
            }));
        }
        found.sort_by(|a, b| b.failed_at.cmp(&a.failed_at));
        Ok(found)
    }

    /// Changes a dead job of the caller's tenant to `state`.
    async fn change_job(
        &self,
        part: &DeadLetterPart,
        caller: &Caller,
        id: EventId,
        state: &str,
        note: Option<&str>,
    ) -> Result<bool, DbError> {
        let Some(db) = &part.db else { return Ok(false) };
        let mut tx = db.system(Reason::Operations).await?;
        let changed = sqlx::query(
            "UPDATE jobs SET state = $3, attempt = 0, run_at = $4, error = coalesce($5, error)
             WHERE id = $1 AND tenant_id = $2 AND state = 'dead'",
        )
        .bind(id.uuid())
        .bind(caller.tenant.uuid())
        .bind(state)
        .bind(self.clock.now())
        .bind(note)
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(changed.rows_affected() == 1)
    }

    async fn find(&self, caller: &Caller, id: &str) -> Result<(EventId, DeadLetter), Status> {
        let event: EventId = id.parse().map_err(|_| {
            status(
                ErrorReason::InvalidArgument,
                "the id is not one",
                &[FieldViolation::new("id", "must be a ULID")],
            )
        })?;
        let letter = self.all(caller, "").await?.into_iter().find(|l| l.id == id);
        letter
            .map(|l| (event, l))
            .ok_or_else(|| status(ErrorReason::NotFound, "there is no such dead letter", &[]))
    }
}

fn operator<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = cs_rpc::caller(request)?;
    if caller.has(Role::Operator) || caller.is_service() {
        Ok(caller)
    } else {
        Err(status(ErrorReason::Forbidden, "this needs the role operator", &[]))
    }
}

fn unavailable(error: &dyn std::error::Error) -> Status {
    tracing::error!(%error, "dead letters could not be read");
    status(ErrorReason::Unavailable, "dead letters cannot be reached now", &[])
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[tonic::async_trait]
impl Service for DeadLetters {
    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let caller = operator(&request)?;
        let request = request.into_inner();
        let mut dead_letters = self.all(&caller, &request.r#type).await?;
        dead_letters.truncate(if request.first == 0 { MOST } else { request.first.min(MOST) } as usize);
        Ok(Response::new(ListDeadLettersResponse { dead_letters }))
    }

    async fn replay_dead_letter(
        &self,
        request: Request<ReplayDeadLetterRequest>,
    ) -> Result<Response<ReplayDeadLetterResponse>, Status> {
        let caller = operator(&request)?;
        let (id, letter) = self.find(&caller, &request.get_ref().id).await?;
        for part in &self.parts {
            let done = if letter.origin == "job" {
                self.change_job(part, &caller, id, "ready", None).await.map_err(|e| unavailable(&e))?
            } else {
                part.queue == letter.queue
                    && self.bus.replay(&part.queue, id).await.map_err(|e| unavailable(&e))?
            };
            if done {
                tracing::info!(%id, actor = %caller.subject, "dead letter replayed");
                break;
            }
        }
        Ok(Response::new(ReplayDeadLetterResponse { dead_letter: Some(letter) }))
    }

    async fn discard_dead_letter(
        &self,
        request: Request<DiscardDeadLetterRequest>,
    ) -> Result<Response<DiscardDeadLetterResponse>, Status> {
        let caller = operator(&request)?;
        let DiscardDeadLetterRequest { id, reason } = request.into_inner();
        if reason.trim().is_empty() {
            return Err(status(
                ErrorReason::InvalidArgument,
                "say why",
                &[FieldViolation::new("reason", "must say why it is discarded")],
            ));
        }
        let (event, letter) = self.find(&caller, &id).await?;
        for part in &self.parts {
            if letter.origin == "job" {
                self.change_job(part, &caller, event, "discarded", Some(&reason))
                    .await
                    .map_err(|e| unavailable(&e))?;
            } else if part.queue == letter.queue {
                self.bus.discard(&part.queue, event).await.map_err(|e| unavailable(&e))?;
            }
        }
        tracing::info!(id, reason, actor = %caller.subject, "dead letter discarded");
        Ok(Response::new(DiscardDeadLetterResponse { id }))
    }

    async fn get_backlog(
        &self,
        request: Request<GetBacklogRequest>,
    ) -> Result<Response<GetBacklogResponse>, Status> {
        operator(&request)?;
        let mut sum = GetBacklogResponse::default();
        for part in &self.parts {
            if let Some(db) = &part.db {
                let mut tx = db.system(Reason::Operations).await.map_err(|e| unavailable(&e))?;
                let (outbox, jobs, dead): (i64, i64, i64) = sqlx::query_as(
                    "SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL),
                            (SELECT count(*) FROM jobs WHERE state IN ('ready', 'running')),
                            (SELECT count(*) FROM jobs WHERE state = 'dead')",
                )
                .fetch_one(tx.conn())
                .await
                .map_err(|e| unavailable(&e))?;
                sum.outbox += outbox.unsigned_abs();
                sum.jobs += jobs.unsigned_abs();
                sum.dead += dead.unsigned_abs();
            }
            if !part.queue.is_empty() {
                let (waiting, dead) = self.bus.count(&part.queue).await.map_err(|e| unavailable(&e))?;
                sum.queued += waiting;
                sum.dead += dead;
            }
        }
        Ok(Response::new(sum))
    }
}
