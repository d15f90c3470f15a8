//! Every role on one screen.
//!
//! There is one wiring. The only branch on the mode is how a channel is made: to a role in this process over memory,
//! to one elsewhere over TCP. Same tokens, deadlines and errors in both.

mod database;
mod role;
mod web;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use cs_core::{Clock, Ids, SystemClock};
use cs_db::{Db, DbOptions, Wakeups};
use cs_documents::folder::Introductions;
use cs_events::{
    Bus, BusError, Consumer, DeadLetterPart, DeadLetters, JobWorker, Ledger, PostgresBus, Relay, SnsBus,
    SnsOptions, chores, gauges,
};
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::accounts::v1::accounts_server::AccountsServer;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::meetings::v1::meetings_server::MeetingsServer;
use cs_proto::notifications::v1::notifications_server::NotificationsServer;
use cs_proto::ops::v1::dead_letters_server::DeadLettersServer;
use cs_proto::ops::v1::indexes_server::IndexesServer;
use cs_proto::ops::v1::records_server::RecordsServer;
use cs_proto::ops::v1::runs_server::RunsServer;
use cs_proto::ops::v1::sources_server::SourcesServer;
use cs_proto::search::v1::search_server::SearchServer;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use cs_proto::summaries::v1::summaries_server::SummariesServer;
use cs_rpc::{Channel, Guard, HealthReporter, InMemory, Outbound, SigningKey, Tasks};
use cs_text::embed::Embedder;
use search::index::SearchIndex;
use tonic::service::{InterceptorLayer, Routes};
use tower::Layer;

pub use database::{QUEUES, in_use, migrate, migration_sql};
pub use role::Role;

/// Longest a service waits for another.
const DEADLINE: Duration = Duration::from_secs(20);
/// Largest message between roles: a text version travels whole.
const LARGEST_MESSAGE: usize = 64 << 20;
/// How often database and search engine are asked whether they answer.
const HEALTH_TICK: Duration = Duration::from_secs(2);
/// Lanes of each consumer and of each service's jobs: while one waits for something slow, another goes on.
const LANES: usize = 2;
/// Connections of one service's app role.
const CONNECTIONS: u32 = 12;

/// What the roles of a process are given.
pub struct Parts {
    /// The roles that run here.
    pub roles: Vec<Role>,
    /// Where the others are, by name.
    pub elsewhere: BTreeMap<String, String>,
    /// The database server; users are the roles' own.
    pub database: url::Url,
    /// From which the roles' passwords are derived.
    pub role_secret: Vec<u8>,
    /// Signs and checks caller tokens.
    pub key: SigningKey,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How to reach SNS and SQS; without, the bus is the embedded one.
    pub sns: Option<SnsOptions>,
    /// Where artifacts are kept.
    pub artifacts: PathBuf,
    /// How documents are read.
    pub extractor: meetings::Extractor,
    /// Largest artifact, bytes.
    pub max_artifact_bytes: u64,
    /// Where the gate draws its lines.
    pub thresholds: summaries::gate::GateThresholds,
    /// The search engine, where search runs here.
    pub index: Option<Arc<dyn SearchIndex>>,
    /// Makes vectors, where search runs here.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// How notifications are sent.
    pub notify: notifications::Settings,
    /// Whether search also fills the index here. Else a role of its own does.
    pub search_indexes: bool,
}

/// The roles of this process, ready to be served and to work.
pub struct Stack {
    /// Signs on behalf of a role.
    pub key: SigningKey,
    /// The time and ids everything here uses.
    pub ids: Ids,
    /// Background work.
    pub tasks: Tasks,
    /// Wakes workers.
    pub wakeups: Wakeups,
    clock: Arc<dyn Clock>,
    roles: Vec<Role>,
    channels: BTreeMap<&'static str, Channel>,
    database: url::Url,
    role_secret: Vec<u8>,
    routes: Routes,
    /// The names of the services in `routes`.
    services: Vec<&'static str>,
    health: HealthReporter,
    bus: Arc<dyn Bus>,
    relays: Vec<Relay>,
    schemas: Vec<(&'static str, Db)>,
    queues: Vec<String>,
    consumers: Vec<Consumer>,
    jobs: Vec<(&'static str, JobWorker)>,
    meetings: Option<meetings::Deps>,
    search: Option<search::Deps>,
    sender: Option<notifications::Sender>,
    forgetting: Option<(notifications::Deps, TimeDelta)>,
}

impl Stack {
    /// Wires the roles of `parts` and serves them in memory. Nothing works yet: see [`Stack::work`].
    pub async fn new(parts: Parts) -> anyhow::Result<Self> {
        let (clock, key) = (parts.clock.clone(), parts.key.clone());
        let (ids, wakeups, tasks) = (Ids::new(clock.clone()), Wakeups::default(), Tasks::default());
        let db = |schema: &str| {
            Db::new(&DbOptions {
                url: parts.database.clone(),
                schema: schema.to_owned(),
                role_secret: parts.role_secret.clone(),
                max_connections: CONNECTIONS,
            })
        };
        let bus_db = db("bus")?;
        let bus: Arc<dyn Bus> = match &parts.sns {
            None => Arc::new(PostgresBus::new(bus_db.clone(), clock.clone())),
            Some(options) => Arc::new(SnsBus::connect(options.clone(), bus_db.clone(), clock.clone()).await),
        };
        let memory = InMemory::default();
        let mut channels = BTreeMap::new();
        for role in Role::ALL {
            let channel = match (parts.roles.contains(&role), parts.elsewhere.get(role.name())) {
                (true, _) => memory.channel(),
                (false, Some(address)) => cs_rpc::connect(address)?,
                (false, None) => continue,
            };
            channels.insert(role.name(), channel);
        }
        let channel = |role: Role, of: Role| {
            channels.get(role.name()).cloned().with_context(|| {
                format!(
                    "{} needs {}: run it here, or say where it is with --services {}=http://HOST:PORT",
                    of.name(),
                    role.name(),
                    role.name()
                )
            })
        };
        let names: Vec<&str> = parts.roles.iter().map(|r| r.name()).collect();
        let (health, health_server) = cs_rpc::health(&names).await;
        let mut stack = Self {
            ids: ids.clone(),
            wakeups: wakeups.clone(),
            relays: Vec::new(),
            schemas: Vec::new(),
            queues: Vec::new(),
            consumers: Vec::new(),
            jobs: Vec::new(),
            meetings: None,
            search: None,
            sender: None,
            forgetting: None,
            routes: Routes::new(health_server),
            services: Vec::new(),
            health: health.clone(),
            bus: bus.clone(),
            channels: BTreeMap::new(),
            database: parts.database.clone(),
            role_secret: parts.role_secret.clone(),
            roles: parts.roles.clone(),
            clock: clock.clone(),
            key: key.clone(),
            tasks: tasks.clone(),
        };
        let mut dead_letters = Vec::new();
        for role in &parts.roles {
            let outbound = Outbound::new(role.name(), key.clone(), clock.clone());
            let guard = InterceptorLayer::new(Guard::new(key.verifier(role.name())));
            match role {
                Role::Accounts => {
                    let deps = accounts::Deps {
                        db: db(accounts::SCHEMA)?,
                        ids: ids.clone(),
                        meetings: channel(Role::Meetings, *role)?,
                        outbound,
                    };
                    stack.relay(accounts::SCHEMA, &deps.db);
                    dead_letters.push(DeadLetterPart { db: Some(deps.db.clone()), queue: String::new() });
                    stack.add(guard.layer(AccountsServer::new(accounts::AccountsService::new(deps))));
                }
                Role::Meetings => {
                    let deps = meetings::Deps {
                        db: db(meetings::SCHEMA)?,
                        objects: Arc::new(meetings::FileStore::new(&parts.artifacts)),
                        ids: ids.clone(),
                        extractor: parts.extractor.clone(),
                        introductions: Arc::new(Introductions::new(parts.extractor.clone())),
                        wakeups: wakeups.clone(),
                        max_artifact_bytes: parts.max_artifact_bytes,
                    };
                    stack.relay(meetings::SCHEMA, &deps.db);
                    stack.consumers.push(meetings::consumer(&deps, bus.clone()));
                    stack.jobs.push((meetings::SCHEMA, meetings::job_worker(&deps, clock.clone())));
                    dead_letters.push(DeadLetterPart {
                        db: Some(deps.db.clone()),
                        queue: meetings::QUEUE.to_owned(),
                    });
                    let server = MeetingsServer::new(meetings::MeetingsService::new(deps.clone()))
                        .max_encoding_message_size(LARGEST_MESSAGE)
                        .max_decoding_message_size(LARGEST_MESSAGE);
                    stack.add(guard.layer(server));
                    let ops = meetings::OpsService::new(deps.clone());
                    stack.add(guard.layer(RunsServer::new(ops.clone())));
                    stack.add(guard.layer(RecordsServer::new(ops.clone())));
                    stack.add(guard.layer(SourcesServer::new(ops)));
                    stack.meetings = Some(deps);
                }
                Role::Summaries => {
                    let deps = summaries::Deps {
                        db: db(summaries::SCHEMA)?,
                        ids: ids.clone(),
                        meetings: MeetingsClient::new(channel(Role::Meetings, *role)?)
                            .max_decoding_message_size(LARGEST_MESSAGE),
                        outbound: outbound.to("meetings"),
                        deadline: DEADLINE,
                        summarizer: Arc::new(summaries::summarizer::Extractive::default()),
                        thresholds: parts.thresholds.clone(),
                    };
                    stack.relay(summaries::SCHEMA, &deps.db);
                    stack.consumers.push(summaries::consumer(&deps, bus.clone()));
                    stack.jobs.push((summaries::SCHEMA, summaries::job_worker(&deps, clock.clone())));
                    dead_letters.push(DeadLetterPart {
                        db: Some(deps.db.clone()),
                        queue: summaries::QUEUE.to_owned(),
                    });
                    let server = SummariesServer::new(summaries::SummariesService::new(deps))
                        .max_encoding_message_size(LARGEST_MESSAGE);
                    stack.add(guard.layer(server));
                }
                Role::Notifications => {
                    let deps = notifications::Deps {
                        db: db(notifications::SCHEMA)?,
                        ids: ids.clone(),
                        wakeups: wakeups.clone(),
                        meetings: channel(Role::Meetings, *role)?,
                        accounts: channel(Role::Accounts, *role).ok(),
                        search: channel(Role::Search, *role).ok(),
                        outbound,
                        keys: notifications::keys::Keys::derive(&parts.role_secret),
                        public_url: parts.notify.public_url(),
                        trust: parts.notify.trust(),
                        available: parts.notify.available(),
                    };
                    stack.relay(notifications::SCHEMA, &deps.db);
                    stack.consumers.push(notifications::consumer(&deps, bus.clone()));
                    for worker in [notifications::job_worker, notifications::match_worker] {
                        stack.jobs.push((notifications::SCHEMA, worker(&deps, clock.clone())));
                    }
                    dead_letters.push(DeadLetterPart {
                        db: Some(deps.db.clone()),
                        queue: notifications::QUEUE.to_owned(),
                    });
                    stack.sender = Some(notifications::sender(&deps, &parts.notify)?);
                    stack.forgetting = Some((deps.clone(), parts.notify.kept()));
                    stack.add(
                        guard.layer(NotificationsServer::new(notifications::NotificationsService::new(deps))),
                    );
                }
                Role::Search | Role::Indexer => {
                    let deps = search::Deps {
                        index: parts
                            .index
                            .clone()
                            .with_context(|| format!("{} runs here without an index", role.name()))?,
                        embedder: parts.embedder.clone(),
                        meetings: MeetingsClient::new(channel(Role::Meetings, *role)?)
                            .max_decoding_message_size(LARGEST_MESSAGE),
                        summaries: SummariesClient::new(channel(Role::Summaries, *role)?)
                            .max_decoding_message_size(LARGEST_MESSAGE),
                        // Both are the search service.
                        outbound: Outbound::new(search::NAME, key.clone(), clock.clone()),
                        deadline: DEADLINE,
                    };
                    if *role == Role::Indexer || parts.search_indexes {
                        stack.consumers.push(search::consumer(&deps, bus.clone()));
                    }
                    // Nobody calls the indexer: search answers for its queue too.
                    dead_letters.push(DeadLetterPart { db: None, queue: search::QUEUE.to_owned() });
                    let index = deps.index.clone();
                    stack.watch_health((role.name(), "search engine"), move || {
                        let index = index.clone();
                        async move { index.ready().await }
                    });
                    if *role == Role::Search {
                        stack.add(guard.layer(SearchServer::new(search::SearchService::new(deps.clone()))));
                        let accounts = channel(Role::Accounts, *role).ok().map(AccountsClient::new);
                        stack.add(guard.layer(IndexesServer::new(search::IndexesService::new(
                            deps.clone(),
                            accounts,
                            clock.clone(),
                            tasks.clone(),
                        ))));
                        stack.search = Some(deps);
                    }
                }
            }
        }
        if !parts.roles.is_empty() {
            // One service for the letters of every role here: it is called as any of them.
            let audiences: Vec<&str> = parts.roles.iter().map(|role| role.name()).collect();
            let guard = InterceptorLayer::new(Guard::new(key.verifier_of(&audiences)));
            let ledger = Ledger::new(bus_db.clone(), ids.clone());
            stack.queues =
                dead_letters.iter().map(|part| part.queue.clone()).filter(|q| !q.is_empty()).collect();
            let letters = DeadLetters::new(dead_letters, bus.clone(), ledger, clock.clone());
            stack.add(guard.layer(DeadLettersServer::new(letters)));
        }
        stack.channels = channels;
        let (routes, stop) = (stack.routes.clone(), tasks.stopping());
        tasks.spawn(async move {
            if let Err(error) = cs_rpc::serve(memory.incoming(), routes, stop).await {
                tracing::error!(%error, "the in-memory server failed");
            }
        });
        let (listen, stop) = (wakeups.clone(), tasks.stopping());
        tasks.spawn(async move {
            tokio::select! {
                () = listen.listen(bus_db, cs_events::WAKE_CHANNEL) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(stack)
    }

    fn add<S>(&mut self, service: S)
    where
        S: tower::Service<http::Request<tonic::body::Body>, Error = std::convert::Infallible>
            + tonic::server::NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes = std::mem::take(&mut self.routes).add_service(service);
        self.services.push(S::NAME);
    }

    /// Keeps a role's health true by asking what it cannot serve without.
    fn watch_health<F, E>(
        &self,
        what: (&'static str, &'static str),
        answers: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let health = self.health.clone();
        self.tasks.spawn(cs_rpc::watch_health(health, what, answers, HEALTH_TICK, self.tasks.stopping()));
    }

    fn relay(&mut self, schema: &'static str, db: &Db) {
        let probe = db.clone();
        // A schema is called as its role.
        self.watch_health((schema, "database"), move || {
            let probe = probe.clone();
            async move { probe.ping().await }
        });
        self.relays.push(Relay::new(schema, db.clone(), self.bus.clone(), self.clock.clone()));
        self.schemas.push((schema, db.clone()));
    }

    /// The routes of every role here, for a listener.
    pub fn routes(&self) -> anyhow::Result<Routes> {
        Ok(cs_rpc::reflection(self.routes.clone(), &self.services)?)
    }

    /// A channel to a role, here or elsewhere.
    pub fn channel(&self, role: Role) -> anyhow::Result<Channel> {
        self.channels.get(role.name()).cloned().with_context(|| {
            format!("{0} runs elsewhere: say where with --services {0}=http://HOST:PORT", role.name())
        })
    }

    /// Signs as `role`.
    pub fn outbound(&self, role: &str) -> Outbound {
        Outbound::new(role, self.key.clone(), self.clock.clone())
    }

    /// Makes every queue get what its role wants, whether that runs here or not: what is told while a role has never run
    /// waits for it. Before the first event is published.
    pub async fn subscribe(&self) -> anyhow::Result<()> {
        for (queue, types) in QUEUES {
            match self.bus.want(queue, types).await {
                Ok(()) => {}
                // Somebody else looks after it; each consumer checks its own.
                Err(BusError::Denied { action }) => {
                    tracing::info!(queue, action, "these credentials may not look after this queue");
                }
                Err(error) => return Err(error.into()),
            }
        }
        for consumer in &self.consumers {
            consumer.subscribe().await?;
        }
        Ok(())
    }

    /// Starts relays, consumers, jobs and the scheduler; they end when the tasks drain.
    pub fn work(&self) {
        for relay in &self.relays {
            relay.clone().run(&self.tasks, &self.wakeups);
        }
        for (_, db) in &self.schemas {
            chores::run(&self.tasks, db.clone(), self.bus.clone(), self.clock.clone());
        }
        let (bus, clock) = (self.bus.clone(), self.clock.clone());
        gauges::run(&self.tasks, self.schemas.clone(), bus, self.queues.clone(), clock);
        for consumer in &self.consumers {
            consumer.clone().run(&self.tasks, &self.wakeups, LANES);
        }
        for (schema, jobs) in &self.jobs {
            jobs.clone().run(&self.tasks, &self.wakeups, schema, LANES);
        }
        if let Some(sender) = &self.sender {
            sender.clone().run(&self.tasks, &self.wakeups);
        }
        if let Some((deps, kept)) = &self.forgetting {
            notifications::retention::run(deps, *kept, &self.tasks);
        }
        if let Some(deps) = &self.meetings {
            meetings::scheduler(deps, &self.tasks);
        }
    }

    /// One step of every worker here; gives how much was done. For tests, which step until nothing is left.
    pub async fn step(&self) -> anyhow::Result<usize> {
        let mut done = 0;
        for relay in &self.relays {
            done += relay.step().await?;
        }
        for consumer in &self.consumers {
            done += consumer.step().await?;
        }
        for (_, jobs) in &self.jobs {
            done += jobs.step().await?;
        }
        if let Some(sender) = &self.sender {
            done += sender.step().await?;
        }
        Ok(done)
    }

    /// What search is given, where it runs here.
    pub fn search(&self) -> Option<&search::Deps> {
        self.search.as_ref()
    }

    /// The bus.
    pub fn bus(&self) -> Arc<dyn Bus> {
        self.bus.clone()
    }

    /// The roles that run here.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }
}

/// The machine's clock, as everything is given it.
pub fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
