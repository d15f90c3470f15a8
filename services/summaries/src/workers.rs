//! What runs in the background: the consumer that summarizes and the job that publishes. Of other services they only ask;
//! what they write is one transaction with the event's inbox or the job's end, so nothing is half done when one dies.

use std::sync::Arc;

use async_trait::async_trait;
use cs_core::Clock;
use cs_events::jobs::Job;
use cs_events::{Bus, Consumer, Envelope, EventHandler, HandlerError, JobHandler, JobWorker, RetryPolicy};
use cs_proto::events::v1::{MeetingPublishRequested, MeetingSummarizeRequested};

use crate::{Deps, SCHEMA, people, publish, summarize, taken_back};

/// This service's queue.
pub const QUEUE: &str = "summaries";
/// What that queue gets.
pub const EVENTS: &[&str] =
    &["account.deleted", "meeting.summarize.requested", "artifact.visibility_changed", "meeting.withdrawn"];

struct Requests(Deps);

#[async_trait]
impl EventHandler for Requests {
    fn types(&self) -> &'static [&'static str] {
        EVENTS
    }

    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        let caller = envelope.caller(SCHEMA);
        match envelope.kind.as_str() {
            "account.deleted" => people::deleted(&self.0, &caller, envelope).await,
            "artifact.visibility_changed" => taken_back::hidden(&self.0, &caller, envelope).await,
            "meeting.withdrawn" => taken_back::withdrawn(&self.0, &caller, envelope).await,
            _ => summarize::summarize(&self.0, &caller, envelope).await,
        }
    }

    async fn given_up(&self, envelope: &Envelope, error: &str) -> Result<(), HandlerError> {
        if envelope.kind != "meeting.summarize.requested" {
            return Ok(());
        }
        let request: MeetingSummarizeRequested = envelope.payload()?;
        publish::failed(&self.0, &envelope.caller(SCHEMA), &request.meeting_id, &request.run_id, error).await
    }
}

struct Publisher(Deps);

#[async_trait]
impl JobHandler for Publisher {
    fn types(&self) -> &'static [&'static str] {
        &["meeting.publish.requested"]
    }

    /// A publication asks meetings for its texts: that a neighbour restarts must not fail the run.
    fn policy(&self, _kind: &str) -> RetryPolicy {
        RetryPolicy::PATIENT
    }

    async fn handle(&self, job: &Job) -> Result<(), HandlerError> {
        let request: MeetingPublishRequested = job.envelope.payload()?;
        publish::publish(&self.0, &job.envelope.caller(SCHEMA), job, &request).await
    }

    async fn given_up(&self, job: &Job, error: &str) -> Result<(), HandlerError> {
        let request: MeetingPublishRequested = job.envelope.payload()?;
        publish::failed(&self.0, &job.envelope.caller(SCHEMA), &request.meeting_id, &request.run_id, error)
            .await
    }
}

/// The consumer of this service's queue.
pub fn consumer(deps: &Deps, bus: Arc<dyn Bus>) -> Consumer {
    Consumer::new(bus, QUEUE, Arc::new(Requests(deps.clone())), RetryPolicy::PATIENT)
}

/// The worker of this service's jobs.
pub fn job_worker(deps: &Deps, clock: Arc<dyn Clock>) -> JobWorker {
    JobWorker::new(deps.db.clone(), Arc::new(Publisher(deps.clone())), clock)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cs_core::{Ids, SystemClock};
    use cs_db::{Db, DbOptions};
    use cs_proto::meetings::v1::meetings_client::MeetingsClient;
    use cs_rpc::{InMemory, Outbound, SigningKey};

    use super::*;

    #[test]
    fn a_publication_outlives_a_restart_of_meetings() {
        // Pools and channels want a runtime, though nobody connects.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let db = DbOptions {
            url: "postgres://127.0.0.1:1/nowhere".parse().unwrap(),
            schema: SCHEMA.to_owned(),
            role_secret: b"secret".to_vec(),
            max_connections: 1,
        };
        let publisher = Publisher(Deps {
            db: Db::new(&db).unwrap(),
            ids: Ids::new(clock.clone()),
            meetings: MeetingsClient::new(InMemory::default().channel()),
            outbound: Outbound::new(SCHEMA, SigningKey::generate().unwrap(), clock),
            deadline: Duration::from_secs(1),
            summarizer: Arc::new(crate::summarizer::Extractive::default()),
            thresholds: Default::default(),
        });
        for kind in publisher.types() {
            let policy = publisher.policy(kind);
            let longest: Duration = (1..policy.attempts)
                .map(|n| policy.base.saturating_mul(1 << n.min(16)).min(policy.most))
                .sum();
            assert!(longest > Duration::from_secs(30 * 60), "{kind} is given up after {longest:?} at most");
        }
    }
}
