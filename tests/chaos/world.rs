//! A system of several processes' worth: servers and workers to be killed, ways between them that can be made to fail, people
//! to be told, and a hand that nothing happens to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use councilsense::data_dir::DataDir;
use councilsense::wiring::{Parts, QUEUES, Role, Stack, migrate, system_clock};
use cs_core::{Caller, Ids, Subject, TenantId, Trace, UserId};
use cs_events::{Envelope, SnsOptions};
use cs_proto::accounts::v1::EnsureTenantRequest;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::meetings::v1 as pb;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::notifications::v1::SaveSearchRequest;
use cs_proto::notifications::v1::notifications_client::NotificationsClient;
use cs_rpc::SigningKey;
use cs_testkit::toxiproxy::Toxiproxy;
use cs_testkit::{localstack, postgres};
use sqlx::{AssertSqlSafe, PgPool};
use url::Url;

use crate::door::{Door, operator, patiently};
use crate::outside::Outside;
use crate::servers::Servers;

/// How much of it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// On SNS and SQS, and not on the embedded bus.
    pub(crate) sns: bool,
    pub(crate) seed: u64,
    pub(crate) meetings: i64,
    pub(crate) cities: i64,
    pub(crate) followers: i64,
    /// Of each city's followers, so many have a webhook, and as many are written to.
    pub(crate) outside: i64,
    /// Pieces of trouble, at least.
    pub(crate) acts: u32,
    pub(crate) patience: Duration,
}

impl Plan {
    /// Of each city.
    pub(crate) fn each(&self) -> i64 {
        self.followers / self.cities
    }
}

/// People who follow no city and keep a search that every meeting matches.
pub(crate) const SEARCHERS: i64 = 2;
const DEADLINE: Duration = Duration::from_secs(10);

/// What is needed to make another worker, or another server.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) database: Url,
    pub(crate) data: PathBuf,
    /// Where each service is, by name.
    pub(crate) elsewhere: BTreeMap<String, String>,
    pub(crate) sns: Option<SnsOptions>,
    notify: notifications::Settings,
    key: SigningKey,
}

pub(crate) struct World {
    pub(crate) recipe: Recipe,
    pub(crate) servers: Servers,
    pub(crate) outside: Outside,
    pub(crate) admin: PgPool,
    /// Nothing runs in it. It reaches everything by ways that do not fail.
    pub(crate) hand: Stack,
    pub(crate) tenant: TenantId,
    /// Where it is installed; and the ways that fail by it.
    pub(crate) faults: Option<Toxiproxy>,
    pub(crate) ways: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Recipe {
    fn parts(&self, roles: &[Role]) -> Parts {
        Parts {
            roles: roles.to_vec(),
            elsewhere: self.elsewhere.clone(),
            database: self.database.clone(),
            role_secret: postgres::ROLE_SECRET.to_vec(),
            key: self.key.clone(),
            clock: system_clock(),
            sns: self.sns.clone(),
            artifacts: self.data.join("artifacts"),
            extractor: meetings::Extractor::InProcess,
            max_artifact_bytes: 1 << 20,
            thresholds: Default::default(),
            index: None,
            embedder: None,
            notify: self.notify.clone(),
            search_indexes: true,
        }
    }

    /// The same, with database, bus and services reached over ways that can be made to fail; gives the ways' names.
    fn by_way_of(mut self, faults: Option<&Toxiproxy>) -> (Self, Vec<String>) {
        let Some(faults) = faults else { return (self, Vec::new()) };
        let mut ways = Vec::new();
        let mut lead = |name: String, to: &mut Url| {
            let port = faults.to(&name, to.port_or_known_default().unwrap());
            to.set_port(Some(port)).unwrap();
            ways.push(name);
        };
        lead("database".to_owned(), &mut self.database);
        if let Some(endpoint) = self.sns.as_mut().and_then(|sns| sns.endpoint.as_mut()) {
            lead("bus".to_owned(), endpoint);
        }
        for (service, address) in &mut self.elsewhere {
            let mut url: Url = address.parse().unwrap();
            lead(format!("calls-of-{service}"), &mut url);
            *address = url.as_str().trim_end_matches('/').to_owned();
        }
        (self, ways)
    }

    /// A worker of these services, at work.
    pub(crate) async fn worker(&self, roles: &[Role]) -> Stack {
        let stack = Stack::new(self.parts(roles)).await.unwrap();
        stack.work();
        stack
    }
}

impl World {
    /// `None`, where there are no SNS and SQS.
    pub(crate) async fn start(plan: &Plan) -> Option<Self> {
        let sns = match plan.sns {
            true => Some(SnsOptions {
                endpoint: {
                    localstack::credentials();
                    Some(localstack::endpoint().await?)
                },
                prefix: format!("chaos-{}", std::process::id()),
                topic_arn: None,
                wait: Duration::from_secs(1),
            }),
            false => None,
        };
        let name = if plan.sns { "chaos_sns" } else { "chaos" };
        let database = tokio::task::spawn_blocking(move || postgres::database(name)).await.unwrap();
        migrate(&database, postgres::ROLE_SECRET).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ports = Role::ALL.map(|role| (role, free_port()));
        let address =
            |(role, port): &(Role, u16)| (role.name().to_owned(), format!("http://127.0.0.1:{port}"));
        let outside = Outside::start(plan.seed).await;
        let recipe = Recipe {
            key: signing_key(dir.path()),
            database: database.clone(),
            data: dir.path().to_owned(),
            elsewhere: ports.iter().map(address).collect(),
            sns,
            notify: notifications::Settings {
                smtp_url: Some(format!("smtp://127.0.0.1:{}", outside.mail)),
                mail_from: Some("news@chaos.example".to_owned()),
                allow_loopback: true,
                ..Default::default()
            },
        };
        let hand = Stack::new(recipe.parts(&[])).await.unwrap();
        hand.subscribe().await.unwrap();
        let faults = tokio::task::spawn_blocking(Toxiproxy::start).await.unwrap();
        let (recipe, ways) = recipe.by_way_of(faults.as_ref());
        let world = Self {
            admin: PgPool::connect(database.as_str()).await.unwrap(),
            servers: Servers::start(&recipe, &ports),
            recipe,
            outside,
            hand,
            tenant: TenantId::of_slug("chaos"),
            faults,
            ways,
            _dir: dir,
        };
        world.people(plan).await;
        Some(world)
    }

    /// The tenant, its cities and their followers, and those who search.
    async fn people(&self, plan: &Plan) {
        let (door, outbound) = (self.door(), self.hand.outbound("bff"));
        patiently(async || {
            let service = Caller::service("accounts", self.tenant, Trace::start());
            let request =
                EnsureTenantRequest { slug: "chaos".into(), name: "Chaos".into(), hosts: Vec::new() };
            let call = self.hand.outbound("accounts").request(&service, request, DEADLINE)?;
            AccountsClient::new(door.channel(Role::Accounts)).ensure_tenant(call).await
        })
        .await;
        for city in 0..plan.cities {
            let made = patiently(async || {
                let request = pb::AddCityRequest {
                    slug: format!("city-{city}"),
                    name: format!("City {city}"),
                    time_zone: "UTC".into(),
                    language: "en".into(),
                };
                let call = outbound.request(&operator(self.tenant), request, DEADLINE)?;
                MeetingsClient::new(door.channel(Role::Meetings)).add_city(call).await
            });
            self.followers(plan, &made.await.into_inner().city.unwrap().id).await;
        }
        let ids = Ids::new(system_clock());
        for _ in 0..SEARCHERS {
            let searcher = Caller {
                subject: Subject::User(ids.next::<UserId>()),
                roles: [cs_core::Role::Resident].into(),
                ..Caller::service("test", self.tenant, Trace::start())
            };
            patiently(async || {
                let query = "repair of the streets".to_owned();
                let request = SaveSearchRequest { query, follow: true, ..Default::default() };
                let call = outbound.request(&searcher, request, DEADLINE)?;
                NotificationsClient::new(door.channel(Role::Notifications)).save_search(call).await
            })
            .await;
        }
    }

    /// A city's followers: some have a webhook, some are written to, all have an inbox.
    async fn followers(&self, plan: &Plan, city: &str) {
        let (tenant, each, some, web) = (self.tenant.uuid(), plan.each(), plan.outside, self.outside.web);
        // Its triggers look for their tables in the schema, as for the service's own roles.
        self.run(&format!(
            "SET search_path = notifications;
             WITH followers AS (
                 INSERT INTO follows (id, tenant_id, user_id, kind, target_id, origin, created_at)
                 SELECT gen_random_uuid(), '{tenant}', gen_random_uuid(), 'city', '{city}', 'resident', now()
                 FROM generate_series(1, {each}) RETURNING user_id
             ), outside AS (
                 SELECT user_id, row_number() OVER () <= {some} AS by_web FROM followers LIMIT 2 * {some}
             ), chosen AS (
                 INSERT INTO preferences (user_id, tenant_id, channels, updated_at)
                 SELECT user_id, '{tenant}', ARRAY['in_app', CASE WHEN by_web THEN 'webhook' ELSE 'email' END], now() FROM outside
             ), hooks AS (
                 INSERT INTO webhooks (id, tenant_id, user_id, url, created_at)
                 SELECT gen_random_uuid(), '{tenant}', user_id, 'http://127.0.0.1:{web}/' || user_id, now() FROM outside WHERE by_web
             )
             INSERT INTO accounts.users (id, tenant_id, display_name, email, created_at, updated_at)
             SELECT user_id, '{tenant}', 'Resident', user_id || '@chaos.example', now(), now() FROM outside WHERE NOT by_web;
             RESET search_path"
        ))
        .await;
    }

    pub(crate) fn door(&self) -> Door {
        Door::of(&self.hand, self.tenant)
    }

    pub(crate) async fn run(&self, sql: &str) -> u64 {
        // The monkey may have cut this connection; the next one does it.
        let mut why = None;
        for _ in 0..5 {
            match sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.admin).await {
                Ok(done) => return done.rows_affected(),
                Err(error) => why = Some(error),
            }
        }
        panic!("{why:?}: {sql}");
    }

    /// Has messages come later than they would, and after others; on queues elsewhere some come twice. Gives how many of
    /// each. `seed` is between 0 and 1.
    pub(crate) async fn jumble(&self, seed: f64) -> (u64, u64) {
        if self.recipe.sns.is_none() {
            let later = "UPDATE bus.messages SET visible_at = now() + random() * interval '2 s' WHERE dead_at IS NULL AND random() < 0.5";
            return (self.run_by_chance(seed, later).await, 0);
        }
        let (bus, mut sums) = (self.hand.bus(), (0, 0));
        // Taken, and never ended.
        let taking = QUEUES.map(|(queue, _)| bus.receive(queue, 10, Duration::from_secs(2)));
        for ((queue, _), taken) in QUEUES.into_iter().zip(futures::future::join_all(taking).await) {
            let envelopes: Vec<Envelope> =
                taken.unwrap().into_iter().filter_map(|d| d.envelope.ok()).collect();
            sums.0 += envelopes.len() as u64;
            sums.1 += bus.send(queue, &envelopes).await.unwrap();
        }
        sums
    }

    /// Runs what asks for `random()`, which follows from `seed`, between 0 and 1.
    pub(crate) async fn run_by_chance(&self, seed: f64, sql: &str) -> u64 {
        self.run(&format!("DO $$ BEGIN PERFORM setseed({seed}); END $$; {sql}")).await
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.admin).await.unwrap()
    }
}

/// The key by which the services know each other; and for the processes among them, beside it, the secret by which the tests'
/// database knows all.
fn signing_key(data: &std::path::Path) -> SigningKey {
    let secrets = DataDir::open(data).unwrap().secrets().unwrap();
    let file = data.join("secrets.toml");
    let mut table: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    table.insert("role_secret".to_owned(), STANDARD.encode(postgres::ROLE_SECRET).into());
    std::fs::write(&file, table.to_string()).unwrap();
    secrets.internal_key().unwrap()
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
