//! What is told of a piece of work: a span with the ids that stand in its envelope, and one line at its end.
//!
//! A handler that learns an id on the way records it in the span under the same name, so that the last line has it too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cs_core::{Subject, Trace};
use tracing::Span;
use tracing::field::Empty;

use crate::Envelope;

/// Whether a handler has found that it had had its effect of an event. It travels with the envelope from the inbox to the
/// last line, and is no part of what the envelope says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<AtomicBool>);

impl PartialEq for Seen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Seen {
    pub(crate) fn again(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn was(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a piece of work ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Its effect was had, now or before.
    Done,
    /// It failed and comes again.
    Retried { error: String, wait: Duration },
    /// The process stopped: it comes again at once.
    HandedBack,
    /// Another worker has it now.
    Lost,
    /// A version that reads it is waited for.
    Parked(String),
    /// It was given up.
    Dead(String),
    /// It was no envelope, and was put to the dead letters.
    Malformed(String),
    /// How it ended could not be written: it comes again when its lease ends.
    Unwritten(String),
}

impl Ended {
    /// The word of it in logs and metrics.
    fn word(&self, seen: &Seen) -> &'static str {
        match self {
            Self::Done if seen.was() => "duplicate",
            Self::Done => "done",
            Self::Retried { .. } => "retried",
            Self::HandedBack => "handed_back",
            Self::Lost => "lost",
            Self::Parked(_) => "parked",
            Self::Dead(_) => "dead",
            Self::Malformed(_) => "malformed",
            Self::Unwritten(_) => "unwritten",
        }
    }
}

/// A piece of work that is under way.
pub(crate) struct Telling {
    /// Of everything that is done because of it.
    pub(crate) span: Span,
    event: &'static str,
    attempt: u32,
    seen: Seen,
    began: Instant,
}

impl Telling {
    /// A job is taken.
    pub(crate) fn of_job(envelope: &Envelope, attempt: u32) -> Self {
        let (span, seen) = (span("job", envelope, None), envelope.seen.clone());
        Self { span, event: "job.ended", attempt, seen, began: Instant::now() }
    }

    /// A message is taken from a queue.
    pub(crate) fn of_event(envelope: Option<&Envelope>, queue: &str, attempt: u32) -> Self {
        let (span, seen) = match envelope {
            Some(envelope) => (span("consume", envelope, Some(queue)), envelope.seen.clone()),
            None => (tracing::info_span!("work", otel.name = "consume", queue), Seen::default()),
        };
        Self { span, event: "event.ended", attempt, seen, began: Instant::now() }
    }

    /// Tells how it ended, and gives the word of that.
    pub(crate) fn end(self, ended: &Ended) -> &'static str {
        let Self { span, event, attempt, seen, began } = self;
        let outcome = ended.word(&seen);
        let duration_ms = began.elapsed().as_millis();
        span.in_scope(|| match ended {
            Ended::Done | Ended::HandedBack | Ended::Lost => {
                tracing::info!(event, outcome, duration_ms, attempt, "work ended");
            }
            Ended::Retried { error, wait } => {
                let wait_ms = wait.as_millis();
                tracing::info!(
                    event,
                    outcome,
                    duration_ms,
                    attempt,
                    error,
                    wait_ms,
                    "work to be tried again"
                );
            }
            Ended::Parked(why) => tracing::warn!(event, outcome, duration_ms, attempt, why, "work parked"),
            Ended::Unwritten(error) => {
                tracing::warn!(
                    event,
                    outcome,
                    duration_ms,
                    attempt,
                    error,
                    "the end of work could not be written"
                );
            }
            Ended::Dead(error) | Ended::Malformed(error) => {
                tracing::error!(event, outcome, duration_ms, attempt, error, "work put to the dead letters");
            }
        });
        outcome
    }
}

/// Payloads name what they are about by the same keys, some of them within the meeting that they carry.
fn span(name: &'static str, envelope: &Envelope, queue: Option<&str>) -> Span {
    let trace_id = Trace::parse(&envelope.traceparent).map(Trace::trace_id).unwrap_or_default();
    let named = |key: &str| {
        let payload = &envelope.payload;
        let value = payload.get(key).or_else(|| payload.get("meeting")?.get(key)).and_then(|v| v.as_str());
        value.filter(|id| !id.is_empty())
    };
    let about = |kind: &str| {
        let resource = &envelope.resource;
        (resource.kind == kind && !resource.id.is_empty()).then_some(resource.id.as_str())
    };
    let span = tracing::info_span!(
        "work",
        otel.name = name,
        trigger = envelope.kind,
        queue,
        job_id = %envelope.id,
        tenant_id = %envelope.tenant_id,
        request_id = envelope.correlation_id,
        trace_id,
        user_id = Empty,
        city_id = named("city_id"),
        meeting_id = named("meeting_id").or_else(|| about("meeting")),
        processing_run_id = named("run_id"),
    );
    // Who asked for it; where a service did, the person whom it is about.
    match envelope.actor_id.parse() {
        Ok(Subject::User(user)) => span.record("user_id", tracing::field::display(user)),
        _ => span.record("user_id", named("user_id").or_else(|| about("account"))),
    };
    span
}
