//! `ops.v1.Indexes`: an operator's build of the next version, by the service that searches.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use cs_core::Clock;
use cs_policy::{Action, allow};
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::errors::v1::Reason;
use cs_proto::ops::v1 as pb;
use cs_proto::ops::v1::indexes_server::Indexes;
use cs_rpc::{Channel, Tasks, caller};
use futures::{Stream, stream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::index::versions::VersionedIndex;
use crate::reindex::{Progress, Rebuilt, go_back, rebuild};
use crate::{Deps, Error};

/// Steps that a slow watcher may lag behind; it misses those before.
const KEPT: usize = 256;

/// The service.
#[derive(Clone)]
pub struct IndexesService {
    deps: Deps,
    accounts: Option<AccountsClient<Channel>>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    running: Running,
}

#[derive(Clone)]
enum Update {
    Step(pb::ReindexProgress),
    Failed(Status),
}

/// Who watches the build that is under way, if one is.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<Option<broadcast::Sender<Update>>>>);

/// Ends the build for its watchers, however it ends.
struct Ends(Running);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl IndexesService {
    /// Over `deps`. Without `accounts`, who knows the tenants, nothing can be built.
    pub fn new(
        deps: Deps,
        accounts: Option<AccountsClient<Channel>>,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
    ) -> Self {
        Self { deps, accounts, clock, tasks, running: Running::default() }
    }

    fn versioned(&self) -> Result<VersionedIndex, Status> {
        self.deps.index.versioned().ok_or_else(|| {
            conflict(
                "this search does not keep its index by itself: run `councilsense reindex --to opensearch`",
            )
        })
    }

    fn accounts(&self) -> Result<AccountsClient<Channel>, Status> {
        self.accounts.clone().ok_or_else(|| {
            conflict("search must know where accounts is: start it with --services accounts=http://HOST:PORT")
        })
    }

    /// Begins a build, or joins the one that is under way.
    fn watch(&self) -> Result<broadcast::Receiver<Update>, Status> {
        let (versioned, accounts) = (self.versioned()?, self.accounts()?);
        let mut running = self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*running {
            return Ok(sender.subscribe());
        }
        let (sender, receiver) = broadcast::channel(KEPT);
        *running = Some(sender.clone());
        let this = self.clone();
        self.tasks.spawn(async move {
            let ends = Ends(this.running.clone());
            // Nobody may be watching: the build goes on.
            let tell = |progress: Progress| drop(sender.send(Update::Step(step(progress))));
            let stop = this.tasks.stopping();
            let built = tokio::select! {
                built = rebuild(&this.deps, &versioned, &accounts, &*this.clock, &tell) => built.map_err(Status::from),
                () = stop.cancelled() => Err(stopping()),
            };
            // Who asks from now on begins another.
            drop(ends);
            let _ = sender.send(match built {
                Ok(Rebuilt { indexed, version }) => {
                    tracing::info!(event = "index.switched", version, indexed, "a new version of the search index is used");
                    Update::Step(used(indexed, version))
                }
                Err(status) => Update::Failed(status),
            });
        });
        Ok(receiver)
    }
}

#[tonic::async_trait]
impl Indexes for IndexesService {
    type ReindexStream = Pin<Box<dyn Stream<Item = Result<pb::ReindexProgress, Status>> + Send>>;

    async fn reindex(
        &self,
        request: Request<pb::ReindexRequest>,
    ) -> Result<Response<Self::ReindexStream>, Status> {
        allow(&caller(&request)?, Action::Administer).map_err(Error::from)?;
        let steps = stream::unfold(Some(self.watch()?), async |receiver| {
            let mut receiver = receiver?;
            loop {
                return match receiver.recv().await {
                    Ok(Update::Step(step)) => {
                        let is_last = step.step == USED;
                        Some((Ok(step), (!is_last).then_some(receiver)))
                    }
                    Ok(Update::Failed(status)) => Some((Err(status), None)),
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => Some((Err(stopping()), None)),
                };
            }
        });
        Ok(Response::new(Box::pin(steps)))
    }

    async fn roll_back_index(
        &self,
        request: Request<pb::RollBackIndexRequest>,
    ) -> Result<Response<pb::RollBackIndexResponse>, Status> {
        allow(&caller(&request)?, Action::Administer).map_err(Error::from)?;
        let (versioned, accounts, this) = (self.versioned()?, self.accounts()?, self.clone());
        // Whoever asked may go away: it is gone back to all the same.
        let (done, version) = oneshot::channel();
        self.tasks.spawn(async move {
            let stop = this.tasks.stopping();
            let gone = tokio::select! {
                gone = go_back(&this.deps, &versioned, &accounts, &*this.clock, &|_| {}) => gone.map_err(Status::from),
                () = stop.cancelled() => Err(stopping()),
            };
            match &gone {
                Ok(version) => {
                    tracing::info!(event = "index.switched", version, "the version before of the search index is used");
                }
                Err(status) => tracing::error!(error = status.message(), "the version used stays in use"),
            }
            let _ = done.send(gone);
        });
        let version = version.await.map_err(|_| stopping())??;
        Ok(Response::new(pb::RollBackIndexResponse { version }))
    }
}

fn conflict(message: &str) -> Status {
    cs_rpc::status(Reason::Conflict, message, &[])
}

fn stopping() -> Status {
    let message = "the build ended half-way; run it again, it goes on where it stopped";
    cs_rpc::status(Reason::Unavailable, message, &[])
}

/// The last step's name.
const USED: &str = "used";

fn used(indexed: usize, version: String) -> pb::ReindexProgress {
    pb::ReindexProgress { step: USED.to_owned(), indexed: indexed as u64, version, ..Default::default() }
}

fn step(progress: Progress) -> pb::ReindexProgress {
    let named = |step: &str| pb::ReindexProgress { step: step.to_owned(), ..Default::default() };
    match progress {
        Progress::Building { seen, indexed } => {
            pb::ReindexProgress { seen: seen as u64, indexed: indexed as u64, ..named("building") }
        }
        Progress::CaughtUp(meetings) => {
            pb::ReindexProgress { meetings: meetings as u64, ..named("caught_up") }
        }
        Progress::Mended(meetings) => pb::ReindexProgress { meetings: meetings as u64, ..named("mended") },
        Progress::Verified(verified) => pb::ReindexProgress {
            passages: verified.passages,
            claims: verified.claims,
            samples: verified.samples as u64,
            ..named("verified")
        },
    }
}
