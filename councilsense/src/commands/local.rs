//! Everything that `up` runs below the BFF; and how an operator's command reaches an instance, or is one for a while.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use cs_core::{Caller, Role as PersonRole, Subject, TenantId, Trace};
use cs_pg::PrivatePostgres;
use cs_proto::ops::v1::GetBacklogRequest;
use cs_proto::ops::v1::dead_letters_client::DeadLettersClient;
use cs_rpc::{Channel, Outbound};
use cs_text::embed::Embedder;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::embedder::{dimensions, embedder};
use super::engine::{self, Engine};
use crate::config::Settings;
use crate::data_dir::{DataDir, Lock, Secrets};
use crate::desk::Desk;
use crate::internal_key::internal_key;
use crate::wiring::{self, Parts, Role, Stack};

/// How long tasks may take to finish what is in flight.
const DRAIN: Duration = Duration::from_secs(20);
/// How often the private Postgres is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How soon it is started again where that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How often the backlog is looked at while a command waits for it, and how long it may stand still.
const BACKLOG_LOOK: Duration = Duration::from_millis(150);
const STALLED: Duration = Duration::from_secs(60);
/// How long an instance may take to answer before it counts as gone.
const ANSWER: Duration = Duration::from_secs(3);

/// The services of a data directory, in this process.
pub struct Local {
    /// The services.
    pub stack: Stack,
    /// What only the installation knows.
    pub(crate) secrets: Secrets,
    /// What the services have may be lacking in the index.
    pub(crate) lacking: bool,
    postgres: Option<Arc<Mutex<Option<PrivatePostgres>>>>,
    _lock: Lock,
}

/// Starts Postgres, migrates, opens the index and wires every service. `progress` is told what is ready.
pub(crate) async fn start(
    settings: &Settings,
    dir: &DataDir,
    progress: impl Fn(&str),
) -> anyhow::Result<Local> {
    let lock = dir.lock()?;
    let secrets = dir.secrets()?;
    // The model takes longest; it is read while Postgres starts.
    let wanted = settings.embedder.clone();
    let model = tokio::task::spawn_blocking(move || embedder(&wanted, None));
    let (database, postgres) = match &settings.database_url {
        Some(url) => (url.expose().clone(), None),
        None => {
            let mut options = cs_pg::Options::new(dir.path());
            options.fetch = cfg!(feature = "fetch-postgres");
            let postgres = cs_pg::start(options).await?;
            (postgres.url().clone(), Some(postgres))
        }
    };
    progress("postgres");
    let (stack, lacking) = match wire(settings, dir, &secrets, database, model, progress).await {
        Ok(wired) => wired,
        Err(error) => {
            if let Some(postgres) = postgres {
                postgres.stop().await?;
            }
            return Err(error);
        }
    };
    let postgres = postgres.map(|running| Arc::new(Mutex::new(Some(running))));
    if let Some(postgres) = &postgres {
        stack.tasks.spawn(supervise(postgres.clone(), dir.path().to_owned(), stack.tasks.stopping()));
    }
    Ok(Local { stack, secrets, lacking, postgres, _lock: lock })
}

/// The services on a database that runs, and whether the index may lack something.
async fn wire(
    settings: &Settings,
    dir: &DataDir,
    secrets: &Secrets,
    database: Url,
    model: JoinHandle<anyhow::Result<Option<Arc<dyn Embedder>>>>,
    progress: impl Fn(&str),
) -> anyhow::Result<(Stack, bool)> {
    let role_secret = secrets.role_secret()?;
    wiring::migrate(&database, &role_secret).await?;
    progress("migrations");
    let embedder = model.await??;
    let dimensions = dimensions(embedder.as_deref());
    let Engine { index, lacking } = engine::open(settings, dir, dimensions).await?;
    progress("search index and embedding model");
    let stack = Stack::new(Parts {
        roles: Role::ALL.to_vec(),
        elsewhere: Default::default(),
        database,
        role_secret,
        key: internal_key(settings, dir)?,
        clock: wiring::system_clock(),
        sns: settings.sns(),
        artifacts: dir.path().join("artifacts"),
        extractor: meetings::Extractor::isolated(std::env::current_exe()?),
        max_artifact_bytes: settings.max_artifact_mb << 20,
        thresholds: thresholds(settings),
        index: Some(index),
        embedder,
        notify: settings.notify(),
        search_indexes: true,
    })
    .await?;
    stack.subscribe().await?;
    Ok((stack, lacking))
}

/// Starts the private Postgres again, on its port, when it has gone away. Meanwhile calls answer that they cannot be
/// served, and work waits.
async fn supervise(
    postgres: Arc<Mutex<Option<PrivatePostgres>>>,
    data_dir: PathBuf,
    stop: CancellationToken,
) {
    while tokio::time::timeout(LOOK, stop.cancelled()).await.is_err() {
        let mut postgres = postgres.lock().await;
        let Some(running) = postgres.as_ref() else { return };
        if running.is_running() {
            continue;
        }
        tracing::error!(log = %running.log().display(), "the private Postgres has gone away; it is started again");
        let port = running.url().port();
        *postgres = None;
        loop {
            let options = cs_pg::Options { port, ..cs_pg::Options::new(&data_dir) };
            match cs_pg::start(options).await {
                Ok(again) => {
                    *postgres = Some(again);
                    break;
                }
                Err(error) => tracing::error!(%error, "the private Postgres cannot be started; trying again"),
            }
            if tokio::time::timeout(AFTER_FAILURE, stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }
}

/// The gate's lines as configured.
pub(crate) fn thresholds(settings: &Settings) -> summaries::gate::GateThresholds {
    summaries::gate::GateThresholds {
        pass_ecr: settings.gate_pass_ecr,
        reject_ecr: settings.gate_reject_ecr,
        ..Default::default()
    }
}

impl Local {
    /// Drains, then stops Postgres.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        if !self.stack.tasks.drain(DRAIN).await {
            tracing::warn!(
                "some work was still under way; it goes on at the next start, when its lease has run out"
            );
        }
        let postgres = match self.postgres {
            Some(postgres) => postgres.lock().await.take(),
            None => None,
        };
        match postgres {
            Some(postgres) => Ok(postgres.stop().await?),
            None => Ok(()),
        }
    }
}

/// Who an operator's command is, in the tenant it was told.
pub(crate) fn operator(settings: &Settings) -> Caller {
    Caller {
        subject: Subject::Operator("cli".to_owned()),
        roles: [PersonRole::Owner].into(),
        ..Caller::service("cli", TenantId::of_slug(&settings.tenant), Trace::start())
    }
}

/// A way to the services: of the instance that runs, of roles that run each for itself, or of an instance that runs as
/// long as the command.
pub(crate) struct Services {
    local: Option<Local>,
    remote: BTreeMap<&'static str, Channel>,
    /// One channel to each process of the instance, by a role in it.
    processes: Vec<(&'static str, Channel)>,
    pub(crate) outbound: Outbound,
    pub(crate) caller: Caller,
}

impl Services {
    /// Does `work` with the services, and stops what was started for it whether it succeeds or not.
    pub(crate) async fn during<F>(settings: &Settings, work: F) -> anyhow::Result<()>
    where
        F: AsyncFnOnce(&Self) -> anyhow::Result<()>,
    {
        let services = Self::reach(settings).await?;
        let done = work(&services).await;
        let closed = services.close().await;
        done.and(closed)
    }

    /// Finds the roles where `--services` says, else the running instance of the data directory, else becomes one.
    pub(crate) async fn reach(settings: &Settings) -> anyhow::Result<Self> {
        let dir = DataDir::open(&settings.data_dir)?;
        let caller = operator(settings);
        let key = internal_key(settings, &dir)?;
        let outbound = Outbound::new("cli", key, wiring::system_clock());
        let remote = |remote, processes| {
            let (outbound, caller) = (outbound.clone(), caller.clone());
            Ok(Self { local: None, remote, processes, outbound, caller })
        };
        if !settings.services.is_empty() {
            let mut channels = BTreeMap::new();
            let (mut processes, mut addresses) = (Vec::new(), HashSet::new());
            for role in Role::ALL {
                if let Some(found) = settings.services.iter().find(|s| s.role == role.name()) {
                    let channel = cs_rpc::connect(&found.address)?;
                    if addresses.insert(&found.address) {
                        processes.push((role.name(), channel.clone()));
                    }
                    channels.insert(role.name(), channel);
                }
            }
            if let Some(found) = settings.services.iter().find(|s| s.role == cs_rpc::BFF) {
                channels.insert(cs_rpc::BFF, cs_rpc::connect(&found.address)?);
            }
            return remote(channels, processes);
        }
        if let Some(channel) = running(&dir).await {
            let names = Role::ALL.map(Role::name).into_iter().chain([cs_rpc::BFF]);
            let processes = vec![(Role::Meetings.name(), channel.clone())];
            return remote(names.map(|name| (name, channel.clone())).collect(), processes);
        }
        if let Some(url) = &settings.database_url
            && wiring::in_use(url.expose()).await?
        {
            // A second set of workers would take messages that the roles over there wait for.
            anyhow::bail!(
                "roles are connected to this database: say where they are with --services meetings=http://HOST:PORT,…"
            );
        }
        let local = start(settings, &dir, |_| {}).await?;
        local.stack.work();
        if let Err(error) = super::up::ensure_tenants(&local.stack, &["default"]).await {
            local.stop().await?;
            return Err(error);
        }
        let processes = vec![(Role::Meetings.name(), local.stack.channel(Role::Meetings)?)];
        Ok(Self { local: Some(local), remote: BTreeMap::new(), processes, outbound, caller })
    }

    /// A channel to a role.
    pub(crate) fn channel(&self, role: Role) -> anyhow::Result<Channel> {
        match &self.local {
            Some(local) => local.stack.channel(role),
            None => self.elsewhere(role.name()),
        }
    }

    /// Where dead letters of all processes are dealt with.
    pub(crate) fn desk(&self) -> Desk {
        Desk::new(self.outbound.clone(), self.caller.clone(), self.processes.clone())
    }

    /// Roles that run somewhere else, nobody said where.
    pub(crate) fn unasked(&self) -> Vec<&'static str> {
        let known = |role: &Role| self.local.is_some() || self.remote.contains_key(role.name());
        Role::ALL.into_iter().filter(|role| !known(role)).map(Role::name).collect()
    }

    /// A channel to what runs elsewhere.
    pub(crate) fn elsewhere(&self, name: &str) -> anyhow::Result<Channel> {
        self.remote
            .get(name)
            .cloned()
            .with_context(|| format!("say where {name} runs with --services {name}=http://HOST:PORT"))
    }

    /// Waits until what the command asked for is done, where nobody would go on with it afterwards.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        if self.local.is_none() {
            return Ok(());
        }
        let letters = DeadLettersClient::new(self.channel(Role::Meetings)?);
        let moved = settled(async || {
            let request = self.request(GetBacklogRequest {})?;
            let left = letters.clone().get_backlog(request).await.map_err(told)?.into_inner();
            Ok([left.outbox, left.queued, left.jobs])
        });
        if !moved.await? {
            eprintln!("some work waits for its next try: it goes on when an instance runs");
        }
        Ok(())
    }

    /// A signed request.
    pub(crate) fn request<T>(&self, message: T) -> anyhow::Result<tonic::Request<T>> {
        Ok(self.outbound.request(&self.caller, message, Duration::from_secs(60))?)
    }

    /// A signed stream of requests.
    pub(crate) fn stream<T>(&self, message: T) -> anyhow::Result<tonic::Request<T>> {
        Ok(self.outbound.stream(&self.caller, message)?)
    }

    /// What was started for the command.
    pub(crate) fn local(&self) -> Option<&Local> {
        self.local.as_ref()
    }

    /// Stops what was started for the command.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self.local {
            Some(local) => local.stop().await,
            None => Ok(()),
        }
    }
}

/// Looks until nothing is left, twice in a row: the counts are taken one after another, so that a fact may move behind a
/// look, from what is not counted yet to what was. `false` where what is left does not get less.
async fn settled(look: impl AsyncFn() -> anyhow::Result<[u64; 3]>) -> anyhow::Result<bool> {
    let (mut seen, mut since) = (None, Instant::now());
    loop {
        let left = look().await?;
        if seen != Some(left) {
            (seen, since) = (Some(left), Instant::now());
        } else if left == [0; 3] {
            return Ok(true);
        } else if since.elapsed() > STALLED {
            return Ok(false);
        }
        tokio::time::sleep(BACKLOG_LOOK).await;
    }
}

/// The running instance of a data directory, where it answers.
async fn running(dir: &DataDir) -> Option<Channel> {
    if dir.lock().is_ok() {
        return None;
    }
    let instance = dir.instance()?;
    let channel = cs_rpc::connect(&instance.grpc).ok()?;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let check = health.check(tonic_health::pb::HealthCheckRequest { service: String::new() });
    tokio::time::timeout(ANSWER, check).await.ok()?.ok()?;
    Some(channel)
}

/// A service's error as an operator reads it.
pub(crate) fn told(status: tonic::Status) -> anyhow::Error {
    let failure = cs_rpc::Failure::from(&status);
    let mut text = format!("{} ({})", failure.message, failure.reason.as_str_name());
    for field in failure.fields {
        text = format!("{text}\n  {}: {}", field.field, field.description);
    }
    anyhow::anyhow!(text)
}

/// Binds an address, or says what to do.
pub(crate) async fn bind(
    address: std::net::SocketAddr,
    option: &str,
) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(address).await.with_context(|| {
        format!("{address} cannot be used: another program may have it. Choose another address with --{option} HOST:PORT")
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn nothing_left_is_seen_twice() {
        // While the queue was counted, its message made a fact, after those were counted.
        let looks = RefCell::new(vec![[0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0]]);
        let done = settled(async || Ok(looks.borrow_mut().pop().unwrap())).await.unwrap();
        assert!(done && looks.borrow().is_empty(), "it ended with {looks:?} to be seen");
    }
}
