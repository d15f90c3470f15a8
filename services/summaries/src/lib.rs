//! Summaries: versions, claims, evidence and publication.
//!
//! It owns the schema `summaries`: what was claimed of a meeting, the exact spans that support it, and which version
//! readers get. It never stores a document, and nothing in it publishes a claim whose evidence was not verified: the
//! database would not take it. Start with [`summarizer`], [`verify`] and [`gate`], which are pure; then `summarize.rs`
//! (an event in, a draft out) and `publish.rs`, which is transaction B. What reviewers do is `queue.rs`, `approve.rs` and
//! `retract.rs`; both decisions go through `review.rs`, which makes a version of another.

pub mod eval;
pub mod gate;
pub mod summarizer;
pub mod verify;

mod agenda_items;
mod approve;
mod draft;
mod error;
mod flag;
mod grpc;
mod grpc_review;
mod people;
mod publish;
mod queue;
mod read;
mod retract;
mod review;
mod store;
mod summarize;
mod taken_back;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use cs_core::Ids;
use cs_db::Db;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_rpc::{Channel, Outbound};

pub use error::Error;
pub use grpc::SummariesService;
pub use workers::{EVENTS, QUEUE, consumer, job_worker};

/// The schema.
pub const SCHEMA: &str = "summaries";
/// Its migrations.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// What the service needs.
#[derive(Clone)]
pub struct Deps {
    /// The schema `summaries`.
    pub db: Db,
    /// Clock and ids.
    pub ids: Ids,
    /// Where the texts are.
    pub meetings: MeetingsClient<Channel>,
    /// Signs calls to `meetings`.
    pub outbound: Outbound,
    /// Longest a call to `meetings` may take.
    pub deadline: Duration,
    /// Proposes claims.
    pub summarizer: Arc<dyn summarizer::Summarizer>,
    /// Where the gate draws its lines.
    pub thresholds: gate::GateThresholds,
}
