//! Meetings: cities, bodies, sources, meetings, artifacts, text versions, sections and runs.
//!
//! It owns the schema `meetings` and the artifact store, and nothing else. It never reads another service's tables
//! and never decides what a summary says. Start with [`ingest`], which is transaction A; then [`extract`], the step
//! after it; then [`follow`], which learns by event what became of a run.

pub mod audit;
pub mod connectors;
mod error;
pub mod extract;
pub mod follow;
mod grpc;
mod grpc_ops;
pub mod ingest;
mod messages;
mod objects;
pub mod read;
pub mod rerun;
pub mod scan;
pub mod schedule;
mod store;
pub mod visibility;
mod watch;
mod watch_run;
pub mod withdraw;
mod workers;

use std::sync::Arc;

use cs_core::Ids;
use cs_db::{Db, Wakeups};
use cs_documents::folder::Introductions;

pub use cs_documents::Reader as Extractor;
pub use error::Error;
pub use grpc::MeetingsService;
pub use grpc_ops::OpsService;
pub use objects::{FileStore, ObjectStore};
pub use workers::{EVENTS, QUEUE, consumer, job_worker, scheduler};

/// The schema.
pub const SCHEMA: &str = "meetings";
/// Its migrations.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// What the service needs.
#[derive(Clone)]
pub struct Deps {
    /// The schema `meetings`.
    pub db: Db,
    /// Where artifacts are kept.
    pub objects: Arc<dyn ObjectStore>,
    /// Clock and ids.
    pub ids: Ids,
    /// How documents are read.
    pub extractor: Extractor,
    /// What sources' documents say of themselves.
    pub introductions: Arc<Introductions>,
    /// Wakes the watchers of publications and of runs.
    pub wakeups: Wakeups,
    /// Largest artifact that is taken, bytes.
    pub max_artifact_bytes: u64,
}
