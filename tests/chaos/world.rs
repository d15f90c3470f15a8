//! A system of several processes' worth: a door that takes meetings in, search and accounts, and workers to be killed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use councilsense::wiring::{Parts, QUEUES, Role, Stack, migrate, system_clock};
use cs_core::{Caller, Subject, TenantId, Trace};
use cs_events::{Envelope, SnsOptions};
use cs_proto::accounts::v1::EnsureTenantRequest;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::meetings::v1 as pb;
use cs_proto::meetings::v1::ingest_meeting_request::Part;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1::ReplayDeadLettersRequest;
use cs_proto::ops::v1::dead_letters_client::DeadLettersClient;
use cs_rpc::{Channel, Outbound, SigningKey};
use cs_testkit::toxiproxy::Toxiproxy;
use cs_testkit::{localstack, postgres};
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::rank::RankParams;
use sqlx::{AssertSqlSafe, PgPool};
use url::Url;

/// How much of it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// On SNS and SQS, and not on the embedded bus.
    pub(crate) sns: bool,
    pub(crate) seed: u64,
    pub(crate) meetings: i64,
    pub(crate) cities: i64,
    pub(crate) followers: i64,
    /// Pieces of trouble, at least.
    pub(crate) acts: u32,
    pub(crate) patience: Duration,
}

const WORKERS: [Role; 3] = [Role::Meetings, Role::Summaries, Role::Notifications];

/// What is needed to make another worker.
#[derive(Clone)]
pub(crate) struct Recipe {
    key: SigningKey,
    database: Url,
    artifacts: PathBuf,
    elsewhere: BTreeMap<String, String>,
    sns: Option<SnsOptions>,
}

pub(crate) struct World {
    pub(crate) recipe: Recipe,
    pub(crate) admin: PgPool,
    pub(crate) tenant: TenantId,
    /// Where it is installed; and the ways that fail by it.
    pub(crate) faults: Option<Toxiproxy>,
    pub(crate) ways: Vec<&'static str>,
    door: Stack,
    _others: Stack,
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
            artifacts: self.artifacts.clone(),
            extractor: meetings::Extractor::InProcess,
            max_artifact_bytes: 1 << 20,
            thresholds: Default::default(),
            index: None,
            embedder: None,
            notify: Default::default(),
            search_indexes: true,
        }
    }

    /// The same, with database and bus reached over ways that can be made to fail; gives the ways' names.
    fn by_way_of(mut self, faults: Option<&Toxiproxy>) -> (Self, Vec<&'static str>) {
        let Some(faults) = faults else { return (self, Vec::new()) };
        let mut ways = Vec::new();
        let mut lead = |name: &'static str, to: &mut Url| {
            let port = faults.to(name, to.port_or_known_default().unwrap());
            to.set_port(Some(port)).unwrap();
            ways.push(name);
        };
        lead("database", &mut self.database);
        if let Some(endpoint) = self.sns.as_mut().and_then(|sns| sns.endpoint.as_mut()) {
            lead("bus", endpoint);
        }
        (self, ways)
    }

    /// A worker of three services, at work.
    pub(crate) async fn worker(&self) -> Stack {
        let stack = Stack::new(self.parts(&WORKERS)).await.unwrap();
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
        let database = tokio::task::spawn_blocking(|| postgres::database("chaos")).await.unwrap();
        migrate(&database, postgres::ROLE_SECRET).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (front, back) = (listener().await, listener().await);
        let address = |l: &tokio::net::TcpListener| format!("http://{}", l.local_addr().unwrap());
        let elsewhere: BTreeMap<String, String> = Role::ALL
            .iter()
            .map(|role| {
                let at = if WORKERS.contains(role) { address(&front) } else { address(&back) };
                (role.name().to_owned(), at)
            })
            .collect();
        let recipe = Recipe {
            key: SigningKey::generate().unwrap(),
            database: database.clone(),
            artifacts: dir.path().join("artifacts"),
            elsewhere,
            sns,
        };
        let (index, _) =
            EmbeddedIndex::open(&dir.path().join("index"), RankParams::default(), OnDamage::Refuse).unwrap();
        let mut parts = recipe.parts(&[Role::Accounts, Role::Search]);
        parts.index = Some(Arc::new(index));
        let others = Stack::new(parts).await.unwrap();
        let door = Stack::new(recipe.parts(&WORKERS)).await.unwrap();
        for (stack, listener) in [(&door, front), (&others, back)] {
            stack.subscribe().await.unwrap();
            let serving =
                cs_rpc::serve(cs_rpc::incoming(listener), stack.routes().unwrap(), stack.tasks.stopping());
            stack.tasks.spawn(serving);
        }
        others.work();
        let tenant = TenantId::of_slug("chaos");
        let faults = tokio::task::spawn_blocking(Toxiproxy::start).await.unwrap();
        let (recipe, ways) = recipe.by_way_of(faults.as_ref());
        let world = Self {
            admin: PgPool::connect(database.as_str()).await.unwrap(),
            recipe,
            tenant,
            faults,
            ways,
            door,
            _others: others,
            _dir: dir,
        };
        world.people(plan).await;
        Some(world)
    }

    /// The tenant, its cities and their followers.
    async fn people(&self, plan: &Plan) {
        let service = Caller::service("accounts", self.tenant, Trace::start());
        let request = EnsureTenantRequest { slug: "chaos".into(), name: "Chaos".into(), hosts: Vec::new() };
        let request =
            self.door.outbound("accounts").request(&service, request, Duration::from_secs(10)).unwrap();
        AccountsClient::new(self.door.channel(Role::Accounts).unwrap()).ensure_tenant(request).await.unwrap();
        let mut client = MeetingsClient::new(self.door.channel(Role::Meetings).unwrap());
        for city in 0..plan.cities {
            let request = pb::AddCityRequest {
                slug: format!("city-{city}"),
                name: format!("City {city}"),
                time_zone: "UTC".into(),
                language: "en".into(),
            };
            let call =
                self.door.outbound("bff").request(&operator(self.tenant), request, Duration::from_secs(10));
            let city = client.add_city(call.unwrap()).await.unwrap().into_inner().city.unwrap();
            let (tenant, each) = (self.tenant.uuid(), plan.followers / plan.cities);
            // Its triggers look for their tables in the schema, as for the service's own roles.
            self.run(&format!(
                "SET search_path = notifications;
                 INSERT INTO follows (id, tenant_id, user_id, kind, target_id, origin, created_at)
                 SELECT gen_random_uuid(), '{tenant}', gen_random_uuid(), 'city', '{}', 'resident', now() FROM generate_series(1, {each});
                 RESET search_path",
                city.id
            ))
            .await;
        }
    }

    pub(crate) fn door(&self) -> Door {
        Door {
            channel: self.door.channel(Role::Meetings).unwrap(),
            outbound: self.door.outbound("bff"),
            tenant: self.tenant,
        }
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
        let (bus, mut sums) = (self.door.bus(), (0, 0));
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

    /// What is under way, in words.
    pub(crate) async fn open(&self) -> String {
        let sql = "SELECT string_agg(what || ' ' || n, ', ') FROM (
            SELECT 'outbox' AS what, (SELECT count(*) FROM meetings.outbox WHERE published_at IS NULL)
                 + (SELECT count(*) FROM summaries.outbox WHERE published_at IS NULL)
                 + (SELECT count(*) FROM accounts.outbox WHERE published_at IS NULL) AS n
            UNION ALL SELECT 'messages of ' || queue, count(*) FROM bus.messages WHERE dead_at IS NULL GROUP BY queue
            UNION ALL SELECT 'jobs ' || state || ' ' || type, count(*) FROM (SELECT * FROM meetings.jobs UNION ALL
                SELECT * FROM summaries.jobs UNION ALL SELECT * FROM notifications.jobs) j
                WHERE state IN ('ready', 'running') GROUP BY state, type
            UNION ALL SELECT 'deliveries ' || state, count(*) FROM notifications.deliveries
                WHERE state IN ('pending', 'sending') GROUP BY state) o WHERE n > 0";
        let open: Option<String> = sqlx::query_scalar(sql).fetch_one(&self.admin).await.unwrap();
        let mut open = open.unwrap_or_default();
        if self.recipe.sns.is_some() {
            for (queue, _) in QUEUES {
                let (waiting, _) = self.door.bus().count(queue).await.unwrap();
                if waiting > 0 {
                    open += &format!(", messages of {queue} {waiting}");
                }
            }
        }
        open
    }

    /// Twice: what moves from a queue elsewhere into the database between the looks at the two is seen by neither.
    pub(crate) async fn at_rest(&self) -> bool {
        self.open().await.is_empty() && self.open().await.is_empty()
    }

    /// The dead would be waited for until their leases end: up to two minutes.
    pub(crate) async fn end_leases_of_the_dead(&self) {
        for sql in [
            "UPDATE bus.messages SET visible_at = now() WHERE dead_at IS NULL AND visible_at > now() + interval '5 s'",
            "UPDATE meetings.jobs SET run_at = now() WHERE state IN ('ready', 'running') AND run_at > now() + interval '5 s'",
            "UPDATE summaries.jobs SET run_at = now() WHERE state IN ('ready', 'running') AND run_at > now() + interval '5 s'",
            "UPDATE notifications.jobs SET run_at = now() WHERE state IN ('ready', 'running') AND run_at > now() + interval '5 s'",
            "UPDATE notifications.deliveries SET due_at = now() WHERE state IN ('pending', 'sending') AND due_at > now() + interval '5 s'",
        ] {
            self.run(sql).await;
        }
    }
}

async fn listener() -> tokio::net::TcpListener {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn operator(tenant: TenantId) -> Caller {
    Caller {
        subject: Subject::Operator("chaos".to_owned()),
        roles: [cs_core::Role::Operator].into(),
        ..Caller::service("test", tenant, Trace::start())
    }
}

/// Takes meetings in, and tries again where the monkey was in the way.
pub(crate) struct Door {
    channel: Channel,
    outbound: Outbound,
    tenant: TenantId,
}

impl Door {
    pub(crate) async fn take_in(self, plan: Plan) {
        for number in 0..plan.meetings {
            let mut tries = 0;
            while let Err(status) = self.ingest(number, number % plan.cities).await {
                tries += 1;
                assert!(tries < 50, "meeting {number} cannot be taken in: {status}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    /// Every dead letter of every service and queue, as `councilsense dlq replay --all` does; gives how many.
    pub(crate) async fn replay_dead_letters(&self) -> usize {
        let request = ReplayDeadLettersRequest { all: true, ..Default::default() };
        let call = self.outbound.request(&operator(self.tenant), request, Duration::from_secs(60)).unwrap();
        let mut letters = DeadLettersClient::new(self.channel.clone());
        letters.replay_dead_letters(call).await.unwrap().into_inner().ids.len()
    }

    async fn ingest(&self, number: i64, city: i64) -> Result<(), tonic::Status> {
        let header = pb::IngestHeader {
            city: format!("city-{city}"),
            time_zone: "UTC".to_owned(),
            meeting_uid: format!("m{number}"),
            title: "Regular Meeting".to_owned(),
            body: "City Council".to_owned(),
            date: "2023-01-05".to_owned(),
            file_count: 1,
            ..Default::default()
        };
        let text = minutes(number);
        let file = pb::IngestFile {
            file_name: "minutes.txt".to_owned(),
            kind: "minutes".to_owned(),
            size_bytes: text.len() as u64,
            ..Default::default()
        };
        let parts = [Part::Header(header), Part::File(file), Part::Chunk(text.into_bytes())];
        let messages = parts.map(|part| pb::IngestMeetingRequest { part: Some(part) });
        let request = self.outbound.stream(&operator(self.tenant), futures::stream::iter(messages));
        MeetingsClient::new(self.channel.clone()).ingest_meeting(request.unwrap()).await.map(|_| ())
    }
}

fn minutes(number: i64) -> String {
    format!(
        "MINUTES OF THE REGULAR MEETING OF THE CITY COUNCIL\n\nThursday, January 5, 2023\n\nROLL CALL\n\
         Present: Councilmembers Rivera, Banks, Osei, Lindqvist, Moreau.\n\n\
         1. CAL. NO. {}\nAn Ordinance to appropriate $250,{:03} for the repair of the streets of district {number}.\n\
         MOVED BY: Banks SECONDED BY: Osei\nYEAS: Rivera, Banks, Osei, Lindqvist, Moreau - 5\nNAYS: 0\nABSTAIN: 0\nABSENT: 0\n\
         AND THE ORDINANCE WAS PASSED.\n\nADJOURNMENT\nThe meeting was adjourned at 11:30 A.M.\n",
        34_000 + number,
        number % 1_000
    )
}
