//! A stack on a database of its own, stepped to rest instead of slept for.

use std::sync::Arc;
use std::time::Duration;

use councilsense::wiring::{Parts, Role, Stack, migrate, system_clock};
use cs_core::{Caller, Ids, Subject, TenantId, Trace};
use cs_proto::accounts::v1::EnsureTenantRequest;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::meetings::v1 as pb;
use cs_proto::meetings::v1::ingest_meeting_request::Part;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_rpc::{Channel, Outbound, SigningKey};
use cs_testkit::postgres;
use search::index::embedded::OnDamage;
use search::index::versions::VersionedIndex;
use search::rank::RankParams;
use summaries::gate::GateThresholds;
use tokio::sync::OnceCell;
use url::Url;

use crate::embedder::Switched;

/// A document: its name, its kind and its bytes.
pub(crate) type File<'a> = (&'a str, &'a str, &'a [u8]);

/// How the roles reach each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// All in one process, over memory.
    Together,
    /// Each on a port of its own.
    Split,
}

/// What failed in passing comes again before that.
const MOST_WAITED: Duration = Duration::from_secs(60);
/// Rounds without an end mean that something feeds itself.
const MOST_ROUNDS: usize = 2_000;

pub(crate) struct Harness {
    pub(crate) stacks: Vec<Stack>,
    pub(crate) key: SigningKey,
    pub(crate) database: Url,
    pub(crate) embedder: Arc<Switched>,
    /// Where each stack is reached from outside, as far as it is.
    pub(crate) addresses: Vec<String>,
    _dir: tempfile::TempDir,
}

/// Migrated once a test program.
pub(crate) async fn database() -> Url {
    static READY: OnceCell<Url> = OnceCell::const_new();
    READY
        .get_or_init(|| async {
            let url = tokio::task::spawn_blocking(|| postgres::database("flows")).await.unwrap();
            migrate(&url, postgres::ROLE_SECRET).await.unwrap();
            url
        })
        .await
        .clone()
}

/// A database that nobody else's workers touch: stepping one stack would do the work of another on the same database.
pub(crate) async fn own_database(name: &str) -> Url {
    let name = name.to_owned();
    let url = tokio::task::spawn_blocking(move || postgres::database(&name)).await.unwrap();
    migrate(&url, postgres::ROLE_SECRET).await.unwrap();
    url
}

impl Harness {
    pub(crate) async fn start(name: &str, mode: Mode) -> Self {
        Self::gated(name, mode, GateThresholds::default()).await
    }

    /// With a gate of the test's own.
    pub(crate) async fn gated(name: &str, mode: Mode, thresholds: GateThresholds) -> Self {
        Self::set_up(name, mode, thresholds, notifications::Settings::default()).await
    }

    /// With channels outside.
    pub(crate) async fn notifying(name: &str, mode: Mode, notify: notifications::Settings) -> Self {
        Self::set_up(name, mode, GateThresholds::default(), notify).await
    }

    async fn set_up(
        name: &str,
        mode: Mode,
        thresholds: GateThresholds,
        notify: notifications::Settings,
    ) -> Self {
        let database = own_database(name).await;
        let (dir, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
        Self::on(database, mode, dir, key, thresholds, notify).await
    }

    /// A stack on what another one left behind.
    pub(crate) async fn restart(self) -> Self {
        let Self { stacks, key, database, _dir, .. } = self;
        for stack in &stacks {
            assert!(stack.tasks.drain(Duration::from_secs(10)).await);
        }
        drop(stacks);
        let notify = notifications::Settings::default();
        Self::on(database, Mode::Together, _dir, key, GateThresholds::default(), notify).await
    }

    async fn on(
        database: Url,
        mode: Mode,
        dir: tempfile::TempDir,
        key: SigningKey,
        thresholds: GateThresholds,
        notify: notifications::Settings,
    ) -> Self {
        let embedder = Switched::new();
        let parts = |roles: Vec<Role>, elsewhere| {
            let search = roles.contains(&Role::Search);
            Parts {
                elsewhere,
                database: database.clone(),
                role_secret: postgres::ROLE_SECRET.to_vec(),
                key: key.clone(),
                clock: system_clock(),
                sns: None,
                artifacts: dir.path().join("artifacts"),
                extractor: meetings::Extractor::InProcess,
                max_artifact_bytes: 1 << 20,
                thresholds: thresholds.clone(),
                index: search.then(|| {
                    let (index, damaged) =
                        VersionedIndex::open(dir.path(), RankParams::default(), OnDamage::Refuse).unwrap();
                    assert!(damaged.is_empty());
                    Arc::new(index) as Arc<dyn search::index::SearchIndex>
                }),
                embedder: search.then(|| embedder.clone() as Arc<dyn cs_text::embed::Embedder>),
                notify: notify.clone(),
                search_indexes: true,
                roles,
            }
        };
        let mut addresses = Vec::new();
        let stacks = match mode {
            Mode::Together => vec![Stack::new(parts(Role::ALL.to_vec(), Default::default())).await.unwrap()],
            Mode::Split => {
                let mut listeners = Vec::new();
                for role in Role::ALL {
                    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let address = format!("http://{}", listener.local_addr().unwrap());
                    listeners.push((role, listener, address));
                }
                addresses = listeners.iter().map(|(.., address)| address.clone()).collect();
                let elsewhere: Vec<(String, String)> = listeners
                    .iter()
                    .map(|(role, _, address)| (role.name().to_owned(), address.clone()))
                    .collect();
                let mut stacks = Vec::new();
                for (role, listener, _) in listeners {
                    let elsewhere = elsewhere.iter().cloned().collect();
                    let stack = Stack::new(parts(vec![role], elsewhere)).await.unwrap();
                    let (routes, stop) = (stack.routes().unwrap(), stack.tasks.stopping());
                    stack.tasks.spawn(cs_rpc::serve(cs_rpc::incoming(listener), routes, stop));
                    stacks.push(stack);
                }
                stacks
            }
        };
        for stack in &stacks {
            stack.subscribe().await.unwrap();
        }
        Self { stacks, key, database, embedder, addresses, _dir: dir }
    }

    /// Steps every worker until nothing is left to do, nor waits for another try.
    pub(crate) async fn drain(&self) {
        let began = std::time::Instant::now();
        loop {
            self.drain_what_is_due().await;
            let waiting = self.waiting().await;
            if waiting.is_empty() {
                return;
            }
            assert!(
                began.elapsed() < MOST_WAITED,
                "this waits for another try: {waiting:#?}. A test that expects it calls drain_what_is_due"
            );
            // On a busy machine a call may take longer than it may; it comes again.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What is left to be done, and why it was not.
    async fn waiting(&self) -> Vec<(String, String, String)> {
        let mut sql =
            "SELECT 'queue ' || queue, type, coalesce(error, '') FROM bus.messages WHERE dead_at IS NULL"
                .to_owned();
        for schema in ["accounts", "meetings", "summaries", "notifications"] {
            sql += &format!(
                " UNION ALL SELECT '{schema} outbox', type, '' FROM {schema}.outbox WHERE published_at IS NULL AND refused_at IS NULL
                  UNION ALL SELECT '{schema} jobs', type, coalesce(error, '') FROM {schema}.jobs WHERE state IN ('ready', 'running')"
            );
        }
        let mut admin =
            <sqlx::PgConnection as sqlx::Connection>::connect(self.database.as_str()).await.unwrap();
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&mut admin).await.unwrap()
    }

    /// Steps every worker until nothing is left to do now.
    pub(crate) async fn drain_what_is_due(&self) {
        let mut idle = 0;
        for _ in 0..MOST_ROUNDS {
            let mut done = 0;
            for stack in &self.stacks {
                done += stack.step().await.unwrap();
            }
            idle = if done == 0 { idle + 1 } else { 0 };
            // Twice: what one stack did may have been seen too late by another.
            if idle == 2 {
                return;
            }
        }
        panic!("the workers never come to rest");
    }

    pub(crate) fn channel(&self, role: Role) -> Channel {
        let own = self.stacks.iter().find(|s| s.roles().contains(&role)).unwrap();
        own.channel(role).unwrap()
    }

    pub(crate) fn outbound(&self) -> Outbound {
        self.outbound_as("bff")
    }

    fn outbound_as(&self, role: &str) -> Outbound {
        Outbound::new(role, self.key.clone(), system_clock())
    }

    pub(crate) fn request<T>(&self, caller: &Caller, message: T) -> tonic::Request<T> {
        self.outbound().request(caller, message, Duration::from_secs(30)).unwrap()
    }

    /// A tenant that accounts knows.
    pub(crate) async fn tenant(&self) -> TenantId {
        self.tenant_called(&format!("t-{}", tenant()).to_lowercase()).await
    }

    /// The same by its slug.
    pub(crate) async fn tenant_called(&self, slug: &str) -> TenantId {
        let service = Caller::service("accounts", TenantId::of_slug(slug), Trace::start());
        let request =
            EnsureTenantRequest { slug: slug.to_owned(), name: "A tenant".to_owned(), hosts: Vec::new() };
        let mut accounts = AccountsClient::new(self.channel(Role::Accounts));
        accounts
            .ensure_tenant(
                self.outbound_as("accounts").request(&service, request, Duration::from_secs(10)).unwrap(),
            )
            .await
            .unwrap();
        service.tenant
    }

    /// Takes one document in as a meeting of `city`.
    pub(crate) async fn ingest(
        &self,
        caller: &Caller,
        city: &str,
        uid: &str,
        files: &[File<'_>],
    ) -> pb::IngestMeetingResponse {
        let header = pb::IngestHeader {
            city: city.to_owned(),
            time_zone: "America/Chicago".to_owned(),
            meeting_uid: uid.to_owned(),
            title: "Regular Meeting".to_owned(),
            body: "City Council".to_owned(),
            date: "2023-01-05".to_owned(),
            file_count: u32::try_from(files.len()).unwrap(),
            ..Default::default()
        };
        let mut parts = vec![Part::Header(header)];
        for (name, kind, bytes) in files {
            parts.push(Part::File(pb::IngestFile {
                file_name: (*name).to_owned(),
                kind: (*kind).to_owned(),
                size_bytes: bytes.len() as u64,
                ..Default::default()
            }));
            parts.extend(bytes.chunks(1000).map(|c| Part::Chunk(c.to_vec())));
        }
        let messages: Vec<_> =
            parts.into_iter().map(|part| pb::IngestMeetingRequest { part: Some(part) }).collect();
        let request = self.outbound().stream(caller, futures::stream::iter(messages)).unwrap();
        MeetingsClient::new(self.channel(Role::Meetings)).ingest_meeting(request).await.unwrap().into_inner()
    }
}

/// An operator of a tenant of the test's own.
pub(crate) fn operator(tenant: TenantId) -> Caller {
    Caller {
        subject: Subject::Operator("test".to_owned()),
        roles: [cs_core::Role::Operator].into(),
        ..Caller::service("test", tenant, Trace::start())
    }
}

/// Nobody.
pub(crate) fn anonymous(tenant: TenantId) -> Caller {
    Caller { subject: Subject::Anonymous, ..Caller::service("test", tenant, Trace::start()) }
}

pub(crate) fn tenant() -> TenantId {
    Ids::new(system_clock()).next()
}

/// Minutes with three decisions in the usual words of councils.
pub(crate) const MINUTES: &str = "\
MINUTES OF THE REGULAR MEETING OF THE CITY COUNCIL

Thursday, January 5, 2023

CALL TO ORDER
The meeting was called to order at 10:00 A.M. by President Rivera.

ROLL CALL
Present: Councilmembers Rivera, Banks, Osei, Lindqvist, Moreau.

1. CAL. NO. 34,001 - BY: COUNCILMEMBER BANKS
An Ordinance to appropriate $250,000 for the repair of the streets of the Riverside district.
MOVED BY: Banks SECONDED BY: Osei
YEAS: Rivera, Banks, Osei, Lindqvist, Moreau - 5
NAYS: 0
ABSTAIN: 0
ABSENT: 0
AND THE ORDINANCE WAS PASSED.

2. MOTION - NO. M-23-2 - BY: COUNCILMEMBER MOREAU
A motion directing the City Planning Commission to hold a public hearing on short-term rentals.
MOVED BY: Moreau SECONDED BY: Rivera
YEAS: Rivera, Osei, Moreau - 3
NAYS: Banks, Lindqvist - 2
ABSTAIN: 0
ABSENT: 0
AND THE MOTION PASSED.

3. CAL. NO. 34,002 - BY: COUNCILMEMBER OSEI
An Ordinance to establish a library at 12 Elm Street.
DEFERRED TO THE MEETING OF JANUARY 19, 2023.

ADJOURNMENT
The meeting was adjourned at 11:30 A.M.
";
