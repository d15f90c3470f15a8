//! What operators look at: runs, sources, dead letters.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use cs_proto::ops::v1 as pb;

use super::city::City;
use super::meeting::{Meeting, RunState};
use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::scalars::{DateTime, text, time};
use crate::graphql::scope::Scope;

/// One attempt to take a meeting through the pipeline.
pub(crate) struct Run(pub(crate) Arc<pb::Run>);

impl Run {
    /// Whether it comes to no other state by itself.
    pub(crate) fn has_ended(&self) -> bool {
        RunState::of(&self.0.state).is_ok_and(|state| {
            matches!(
                state,
                RunState::Published | RunState::LimitedConfidence | RunState::Rejected | RunState::Failed
            )
        })
    }
}

/// One attempt to take a meeting through the pipeline.
#[Object]
impl Run {
    pub(crate) async fn id(&self) -> ID {
        Kind::Run.id(&self.0.id)
    }

    async fn meeting(&self, context: &Context<'_>) -> Result<Option<Meeting>> {
        Ok(Scope::of(context).loaders.meetings.load(self.0.meeting_id.clone()).await?.map(Meeting))
    }

    async fn state(&self) -> Result<RunState> {
        Ok(RunState::of(&self.0.state)?)
    }

    async fn reason(&self) -> Option<&str> {
        text(&self.0.reason)
    }

    async fn claims_proposed(&self) -> u32 {
        self.0.claims_proposed
    }

    async fn claims_verified(&self) -> u32 {
        self.0.claims_verified
    }

    /// Claims verified ÷ proposed; null until it is known.
    async fn ecr(&self) -> Option<f64> {
        self.0.ecr
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at.clone())
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at.clone())
    }

    /// What asked for it.
    async fn trigger(&self) -> &str {
        &self.0.trigger
    }
}

/// Where a city publishes.
pub(crate) struct Source(pub(crate) Arc<pb::Source>);

/// Where a city publishes.
#[Object]
impl Source {
    pub(crate) async fn id(&self) -> ID {
        Kind::Source.id(&self.0.id)
    }

    async fn city(&self, context: &Context<'_>) -> Result<City> {
        let found = Scope::of(context).loaders.cities.load(self.0.city_id.clone()).await?;
        Ok(City(found.ok_or_else(Fault::not_found)?))
    }

    async fn kind(&self) -> &str {
        &self.0.kind
    }

    async fn location(&self) -> &str {
        &self.0.location
    }

    /// null: never scanned by itself.
    async fn schedule(&self) -> Option<&str> {
        text(&self.0.schedule)
    }

    async fn last_scan_at(&self) -> Option<DateTime> {
        time(&self.0.last_scan_at)
    }

    /// ok or failed; null: never scanned
    async fn last_scan_status(&self) -> Option<&str> {
        text(&self.0.last_scan_status)
    }

    async fn last_scan_reason(&self) -> Option<&str> {
        text(&self.0.last_scan_reason)
    }
}

/// An event or job that was given up on; it can be replayed.
#[derive(SimpleObject)]
pub(crate) struct DeadLetter {
    id: ID,
    /// job, or queue
    origin: String,
    #[graphql(name = "type")]
    kind: String,
    attempts: u32,
    error: String,
    payload: String,
    failed_at: DateTime,
    queue: Option<String>,
    service: String,
}

impl DeadLetter {
    pub(crate) fn new(service: &str, letter: pb::DeadLetter) -> Self {
        Self {
            id: Kind::DeadLetter.id(&letter.id),
            origin: letter.origin,
            kind: letter.r#type,
            attempts: letter.attempts,
            error: letter.error,
            payload: letter.payload,
            failed_at: DateTime(letter.failed_at),
            queue: Some(letter.queue).filter(|queue| !queue.is_empty()),
            service: service.to_owned(),
        }
    }
}
