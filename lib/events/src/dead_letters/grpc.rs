//! `ops.v1.DeadLetters`.

use chrono::{DateTime, Utc};
use cs_core::page::{decode_cursor, encode_cursor};
use cs_core::{Caller, EventId, Role};
use cs_db::{Reason, Tx};
use cs_proto::errors::v1::Reason as ErrorReason;
use cs_proto::ops::v1 as pb;
use cs_proto::ops::v1::dead_letters_server::DeadLetters as Service;
use cs_rpc::{FieldViolation, status};
use tonic::{Request, Response, Status};

use super::{DeadLetters, MOST, beside, event, jobs, outbox, refused, unavailable};
use crate::bus::{DeadFilter, DeadPlace};
use crate::dead_letters::ledger::Touched;

type Answer<T> = Result<Response<T>, Status>;

fn operator<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = cs_rpc::caller(request)?;
    if caller.has(Role::Operator) || caller.is_service() {
        Ok(caller)
    } else {
        Err(status(ErrorReason::Forbidden, "this needs the role operator", &[]))
    }
}

fn invalid(field: &str, rule: &str) -> Status {
    status(ErrorReason::InvalidArgument, rule, &[FieldViolation::new(field, rule)])
}

fn first(asked: u32) -> u32 {
    if asked == 0 { 100 } else { asked.min(MOST) }
}

#[tonic::async_trait]
impl Service for DeadLetters {
    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Answer<pb::ListDeadLettersResponse> {
        let caller = operator(&request)?;
        let request = request.into_inner();
        let after = match request.after.as_str() {
            "" => None,
            cursor => Some(decode_cursor(cursor).map_err(|e| invalid("after", &e.to_string()))?),
        };
        let which = DeadFilter { after, ..DeadFilter::new(caller.tenant, &request.r#type) };
        let mut letters = self.all(which).await?;
        let mut most = first(request.first) as usize;
        // Letters of one place, an event that two queues gave up, are not parted: the cursor names them all.
        while most > 0 && most < letters.len() && letters[most].0 == letters[most - 1].0 {
            most += 1;
        }
        let more = letters.len() > most;
        letters.truncate(most);
        let (places, dead_letters): (Vec<DeadPlace>, Vec<_>) = letters.into_iter().unzip();
        let cursors = places.iter().map(encode_cursor).collect();
        Ok(Response::new(pb::ListDeadLettersResponse { dead_letters, more, cursors }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<pb::GetDeadLetterRequest>,
    ) -> Answer<pb::GetDeadLetterResponse> {
        let caller = operator(&request)?;
        let dead_letter = self.find(&caller, &request.get_ref().id).await?.into_iter().next();
        Ok(Response::new(pb::GetDeadLetterResponse { dead_letter }))
    }

    async fn replay_dead_letter(
        &self,
        request: Request<pb::ReplayDeadLetterRequest>,
    ) -> Answer<pb::ReplayDeadLetterResponse> {
        let caller = operator(&request)?;
        let letters = self.find(&caller, &request.get_ref().id).await?;
        let only = event("id", &request.get_ref().id)?;
        let which = DeadFilter { event: Some(only), ..DeadFilter::new(caller.tenant, "") };
        for part in &self.parts {
            let here = self.of(part, which).await?;
            if !here.is_empty() {
                self.replay(part, &caller, &here).await?;
            }
        }
        let dead_letter = letters.into_iter().next();
        Ok(Response::new(pb::ReplayDeadLetterResponse { dead_letter }))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<pb::ReplayDeadLettersRequest>,
    ) -> Answer<pb::ReplayDeadLettersResponse> {
        let caller = operator(&request)?;
        let pb::ReplayDeadLettersRequest { ids: asked, r#type: kind, all } = request.into_inner();
        if asked.is_empty() && kind.is_empty() && !all {
            return Err(invalid("ids", "say which: ids, a type, or all"));
        }
        if asked.len() > MOST as usize {
            return Err(invalid(
                "ids",
                &format!("at most {MOST} in one call: name fewer, or a type, or all"),
            ));
        }
        let only: Vec<EventId> = asked.iter().map(|id| event("ids", id)).collect::<Result<_, _>>()?;
        let began = self.clock.now();
        let mut ids = Vec::new();
        let of_type = DeadFilter::new(caller.tenant, &kind);
        for part in &self.parts {
            if only.is_empty() {
                // What dies again meanwhile has a later time, and waits for the next call.
                loop {
                    let here = self.of(part, DeadFilter { before: Some(began), ..of_type }).await?;
                    let replayed =
                        if here.is_empty() { Vec::new() } else { self.replay(part, &caller, &here).await? };
                    if replayed.is_empty() {
                        break;
                    }
                    ids.extend(replayed);
                }
                continue;
            }
            let mut here = Vec::new();
            for id in &only {
                here.extend(self.of(part, DeadFilter { event: Some(*id), ..of_type }).await?);
            }
            if !here.is_empty() {
                ids.extend(self.replay(part, &caller, &here).await?);
            }
        }
        Ok(Response::new(pb::ReplayDeadLettersResponse { ids }))
    }

    async fn discard_dead_letter(
        &self,
        request: Request<pb::DiscardDeadLetterRequest>,
    ) -> Answer<pb::DiscardDeadLetterResponse> {
        let caller = operator(&request)?;
        let pb::DiscardDeadLetterRequest { id, reason } = request.into_inner();
        if reason.trim().is_empty() {
            return Err(invalid("reason", "must say why it is discarded"));
        }
        let only = event("id", &id)?;
        self.find(&caller, &id).await?;
        let which = DeadFilter { event: Some(only), ..DeadFilter::new(caller.tenant, "") };
        for part in &self.parts {
            let here = self.of(part, which).await?;
            if here.is_empty() {
                continue;
            }
            self.record(&caller, "discard", &reason, &here).await?;
            if let (Some(db), true) = (&part.db, here.iter().any(|l| l.origin == "job")) {
                jobs::change(db, &caller, &[only], "discarded", Some(&reason), self.clock.now())
                    .await
                    .map_err(|e| unavailable(&e))?;
            }
            if let (Some(db), true) = (&part.db, here.iter().any(|l| l.origin == "beside")) {
                beside::discard(db, &caller, only, &reason).await.map_err(|e| unavailable(&e))?;
            }
            if let (Some(db), true) = (&part.db, here.iter().any(|l| l.origin == "outbox")) {
                outbox::discard(db, &caller, only).await.map_err(|e| unavailable(&e))?;
            }
            if here.iter().any(|l| l.origin == "queue") {
                self.bus.discard(&part.queue, only).await.map_err(|e| refused(&e))?;
            }
        }
        tracing::info!(id, reason, actor = %caller.subject, "dead letter discarded");
        Ok(Response::new(pb::DiscardDeadLetterResponse { id }))
    }

    async fn replay_outbox(
        &self,
        request: Request<pb::ReplayOutboxRequest>,
    ) -> Answer<pb::ReplayOutboxResponse> {
        let caller = operator(&request)?;
        let pb::ReplayOutboxRequest { since, r#type: kind, queue } = request.into_inner();
        let time: DateTime<Utc> = DateTime::parse_from_rfc3339(&since)
            .map_err(|_| invalid("since", "must be a time as in 2026-01-31T00:00:00Z"))?
            .into();
        if queue.is_empty() {
            return Err(invalid("queue", "must name a queue, as in search"));
        }
        let touched = Touched { place: queue.clone(), letter: since, kind: kind.clone() };
        let recorded = self.ledger.record(&caller, "replay_outbox", "", &[touched]).await;
        recorded.map_err(|e| unavailable(&e))?;
        let mut facts = 0;
        for db in self.parts.iter().filter_map(|part| part.db.as_ref()) {
            let sent = jobs::replay_outbox(db, self.bus.as_ref(), caller.tenant, time, &kind, &queue).await;
            facts += sent.map_err(|e| refused(&e))?;
        }
        tracing::info!(facts, queue, actor = %caller.subject, "published facts sent again");
        Ok(Response::new(pb::ReplayOutboxResponse { facts }))
    }

    async fn list_interventions(
        &self,
        request: Request<pb::ListInterventionsRequest>,
    ) -> Answer<pb::ListInterventionsResponse> {
        let caller = operator(&request)?;
        let interventions = self.ledger.list(caller.tenant, first(request.get_ref().first)).await;
        let interventions = interventions.map_err(|e| unavailable(&e))?;
        Ok(Response::new(pb::ListInterventionsResponse { interventions }))
    }

    async fn get_backlog(&self, request: Request<pb::GetBacklogRequest>) -> Answer<pb::GetBacklogResponse> {
        operator(&request)?;
        let mut sum = pb::GetBacklogResponse::default();
        for part in &self.parts {
            if let Some(db) = &part.db {
                let mut tx = db.system(Reason::Operations).await.map_err(|e| unavailable(&e))?;
                let (outbox, jobs, dead): (i64, i64, i64) = sqlx::query_as(
                    "SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL AND refused_at IS NULL),
                            (SELECT count(*) FROM jobs WHERE state IN ('ready', 'running')),
                            (SELECT count(*) FROM jobs WHERE state = 'dead') + (SELECT count(*) FROM outbox WHERE refused_at IS NOT NULL)",
                )
                .fetch_one(tx.conn())
                .await
                .map_err(|e| unavailable(&e))?;
                sum.outbox += outbox.unsigned_abs();
                sum.jobs += jobs.unsigned_abs();
                sum.dead +=
                    dead.unsigned_abs() + beside::count(&mut tx).await.map_err(|e| unavailable(&e))?;
            }
            if !part.queue.is_empty() {
                let (waiting, dead) = self.bus.count(&part.queue).await.map_err(|e| refused(&e))?;
                sum.queued += waiting;
                sum.dead += dead;
            }
        }
        Ok(Response::new(sum))
    }
}
