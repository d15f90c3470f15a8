//! A database, a tenant of one's own, people who follow things, and meetings that answer over a real channel.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};
use cs_core::document::ArtifactKind;
use cs_core::{
    BodyId, Caller, CityId, Clock, Ids, ManualClock, MeetingId, Role, Subject, TenantId, Trace, UserId,
};
use cs_db::{Db, DbOptions, SchemaSpec, TenantTx, Tx, Wakeups};
use cs_events::{Envelope, Fact, HandlerError};
use cs_proto::accounts::v1::{BatchGetUsersResponse, User};
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::errors::v1::Reason;
use cs_proto::events::v1::{AccountHomeCityChanged, MeetingPublished};
use cs_proto::meetings::v1::{
    BatchGetBodiesResponse, BatchGetCitiesResponse, BatchGetMeetingsResponse, Body as MeetingsBody, City,
    Meeting,
};
use cs_proto::search::v1::{MatchSavedSearchesRequest, MatchSavedSearchesResponse, SavedSearchMatch};
use cs_rpc::{InMemory, Outbound, SigningKey};
use cs_testkit::postgres::{ROLE_SECRET, database};
use notifications::channel::Channel;
use notifications::follow::{self, Target};
use notifications::keys::Keys;
use notifications::preferences::{self, CHANNELS, Change};
use notifications::{Deps, Sender, announce, home};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};

/// Roles belong to the server: two migrations at once would change them under each other.
static MIGRATING: Mutex<()> = Mutex::const_new(());

/// The one city and body that meetings knows; everybody has a mailbox at accounts; search finds what it is told.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) city: CityId,
    pub(crate) body: BodyId,
    /// Meetings that were taken back.
    pub(crate) gone: Arc<std::sync::Mutex<Vec<String>>>,
    /// Words that stand in every meeting.
    pub(crate) found: Arc<std::sync::Mutex<Vec<String>>>,
}

struct People;
impl UnaryService<BatchGetRequest> for People {
    type Response = BatchGetUsersResponse;
    type Future = Answer<Self::Response>;
    fn call(&mut self, request: Request<BatchGetRequest>) -> Self::Future {
        Box::pin(async move {
            let user = |id: String| User {
                email: format!("{}@example.org", id.to_lowercase()),
                display_name: "Zoë Núñez".into(),
                id,
                ..User::default()
            };
            Ok(Response::new(BatchGetUsersResponse {
                users: request.into_inner().ids.into_iter().map(user).collect(),
            }))
        })
    }
}

/// A meeting is in the index when it knows any word; a search matches when it knows all of the search's.
struct Found(Vec<String>);
impl UnaryService<MatchSavedSearchesRequest> for Found {
    type Response = MatchSavedSearchesResponse;
    type Future = Answer<Self::Response>;
    fn call(&mut self, request: Request<MatchSavedSearchesRequest>) -> Self::Future {
        let known = self.0.clone();
        Box::pin(async move {
            let request = request.into_inner();
            assert!(request.visible.is_empty(), "matched against what residents may read");
            let kinds =
                request.searches.iter().filter_map(|s| s.filter.as_ref()).flat_map(|f| &f.artifact_kinds);
            if let Some(Err(unknown)) = kinds.map(|kind| kind.parse::<ArtifactKind>()).find(Result::is_err) {
                return Err(cs_rpc::status(Reason::InvalidArgument, &unknown.to_string(), &[]));
            }
            let all = |query: &str| query.split_whitespace().all(|word| known.contains(&word.to_lowercase()));
            let matches = request.searches.into_iter().filter(|search| all(&search.query));
            let matches = matches.map(|search| SavedSearchMatch { id: search.id, ..Default::default() });
            let indexed = !known.is_empty();
            Ok(Response::new(MatchSavedSearchesResponse { indexed, matches: matches.collect() }))
        })
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

struct Cities(String);
impl UnaryService<BatchGetRequest> for Cities {
    type Response = BatchGetCitiesResponse;
    type Future = Answer<Self::Response>;
    fn call(&mut self, request: Request<BatchGetRequest>) -> Self::Future {
        let known = self.0.clone();
        Box::pin(async move {
            let ids = request.into_inner().ids.into_iter().filter(|id| *id == known);
            let cities = ids.map(|id| City { id, name: "New Orleans".into(), ..City::default() }).collect();
            Ok(Response::new(BatchGetCitiesResponse { cities }))
        })
    }
}

/// Those that are not gone.
struct Standing(Vec<String>);
impl UnaryService<BatchGetRequest> for Standing {
    type Response = BatchGetMeetingsResponse;
    type Future = Answer<Self::Response>;
    fn call(&mut self, request: Request<BatchGetRequest>) -> Self::Future {
        let gone = self.0.clone();
        Box::pin(async move {
            let ids = request.into_inner().ids.into_iter().filter(|id| !gone.contains(id));
            let meetings = ids.map(|id| Meeting { id, ..Meeting::default() }).collect();
            Ok(Response::new(BatchGetMeetingsResponse { meetings }))
        })
    }
}

struct Bodies(String);
impl UnaryService<BatchGetRequest> for Bodies {
    type Response = BatchGetBodiesResponse;
    type Future = Answer<Self::Response>;
    fn call(&mut self, request: Request<BatchGetRequest>) -> Self::Future {
        let known = self.0.clone();
        Box::pin(async move {
            let ids = request.into_inner().ids.into_iter().filter(|id| *id == known);
            let bodies = ids.map(|id| MeetingsBody { id, ..MeetingsBody::default() }).collect();
            Ok(Response::new(BatchGetBodiesResponse { bodies }))
        })
    }
}

impl tower::Service<http::Request<Body>> for Places {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (city, body) = (self.city.to_string(), self.body.to_string());
        let (found, gone) = (self.found.lock().unwrap().clone(), self.gone.lock().unwrap().clone());
        Box::pin(async move {
            assert!(request.headers().contains_key("authorization"), "the call is signed");
            Ok(match request.uri().path().rsplit('/').next() {
                Some("BatchGetCities") => {
                    Grpc::new(tonic_prost::ProstCodec::default()).unary(Cities(city), request).await
                }
                Some("BatchGetMeetings") => {
                    Grpc::new(tonic_prost::ProstCodec::default()).unary(Standing(gone), request).await
                }
                Some("BatchGetUsers") => {
                    Grpc::new(tonic_prost::ProstCodec::default()).unary(People, request).await
                }
                Some("MatchSavedSearches") => {
                    Grpc::new(tonic_prost::ProstCodec::default()).unary(Found(found), request).await
                }
                _ => Grpc::new(tonic_prost::ProstCodec::default()).unary(Bodies(body), request).await,
            })
        })
    }
}

/// One test's tenant.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) deps: Deps,
    url: url::Url,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ids: Ids,
    pub(crate) tenant: TenantId,
    pub(crate) places: Places,
    _stop: Arc<tokio_util::sync::DropGuard>,
}

impl World {
    /// A new tenant in a database of the test's own: a worker takes what is due of every tenant there.
    pub(crate) async fn start(test: &str) -> Self {
        let url = database(test);
        let migrating = MIGRATING.lock().await;
        let migrators = [&cs_events::SERVICE_MIGRATOR, &notifications::MIGRATOR];
        let spec = SchemaSpec { name: notifications::SCHEMA, migrators: &migrators };
        cs_db::migrate(&url, ROLE_SECRET, &[spec]).await.unwrap();
        drop(migrating);
        let options = DbOptions {
            url: url.clone(),
            schema: notifications::SCHEMA.to_owned(),
            role_secret: ROLE_SECRET.to_vec(),
            max_connections: 10,
        };
        let clock = Arc::new(ManualClock::default());
        let ids = Ids::new(clock.clone());
        let places =
            Places { city: ids.next(), body: ids.next(), gone: Arc::default(), found: Arc::default() };
        let (listener, stop) = (InMemory::default(), CancellationToken::new());
        let meetings = listener.channel();
        let answers = places.clone();
        let served = axum::Router::new().fallback(move |request: http::Request<axum::body::Body>| {
            let mut answers = answers.clone();
            async move {
                let answered = tower::Service::call(&mut answers, request.map(Body::new)).await;
                answered.unwrap_or_else(|never| match never {}).map(axum::body::Body::new)
            }
        });
        tokio::spawn(cs_rpc::serve(listener.incoming(), tonic::service::Routes::from(served), stop.clone()));
        let key = SigningKey::generate().unwrap();
        let deps = Deps {
            db: Db::new(&options).unwrap(),
            ids: ids.clone(),
            wakeups: Wakeups::default(),
            meetings: meetings.clone(),
            accounts: Some(meetings.clone()),
            search: Some(meetings),
            keys: Keys::derive(b"test"),
            public_url: "https://council.example/".parse().unwrap(),
            trust: cs_net::Trust::Loopback,
            available: CHANNELS.to_vec(),
            outbound: Outbound::new("notifications", key, clock.clone()),
        };
        let tenant = ids.next();
        Self { deps, url, clock, ids, tenant, places, _stop: Arc::new(stop.drop_guard()) }
    }

    /// The superuser, who owns the tables; for what no role of ours may do.
    pub(crate) async fn owner(&self) -> sqlx::PgConnection {
        <sqlx::PgConnection as sqlx::Connection>::connect(self.url.as_str()).await.unwrap()
    }

    /// The schema of the bus in the same database.
    pub(crate) async fn bus(&self) -> Db {
        let _migrating = MIGRATING.lock().await;
        let spec = SchemaSpec { name: "bus", migrators: &[&cs_events::BUS_MIGRATOR] };
        cs_db::migrate(&self.url, ROLE_SECRET, &[spec]).await.unwrap();
        let (url, schema) = (self.url.clone(), "bus".to_owned());
        Db::new(&DbOptions { url, schema, role_secret: ROLE_SECRET.to_vec(), max_connections: 2 }).unwrap()
    }

    /// Another tenant of the same database.
    pub(crate) fn neighbour(&self) -> Self {
        Self { tenant: self.ids.next(), ..self.clone() }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn service(&self) -> Caller {
        Caller::service("notifications", self.tenant, Trace::start())
    }

    pub(crate) fn person(&self, user: UserId) -> Caller {
        Caller { subject: Subject::User(user), roles: [Role::Resident].into(), ..self.service() }
    }

    pub(crate) async fn tx(&self, caller: &Caller) -> TenantTx {
        self.deps.db.tenant(caller).await.unwrap()
    }

    pub(crate) async fn follow(&self, user: UserId, target: &Target) {
        let caller = self.person(user);
        let mut tx = self.tx(&caller).await;
        follow::follow(&mut tx, &caller, &self.ids, target).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A sender by these channels.
    pub(crate) fn sender(&self, channels: Vec<Arc<dyn Channel>>) -> Sender {
        Sender::new(&self.deps, channels)
    }

    pub(crate) async fn prefer(&self, user: UserId, change: &Change) {
        let caller = self.person(user);
        let mut tx = self.tx(&caller).await;
        preferences::update(&mut tx, &caller, &self.deps, change).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) fn envelope<P: Serialize>(&self, kind: &str, payload: &P) -> Envelope {
        let fact = Fact { kind, resource: ("thing", String::new()), key: String::new(), payload };
        Envelope::new("somebody", &self.service(), &self.ids, fact).unwrap()
    }

    /// `meeting.published` of a meeting of the city and body.
    pub(crate) fn published(
        &self,
        meeting: MeetingId,
        change: impl FnOnce(&mut MeetingPublished),
    ) -> Envelope {
        let mut event = MeetingPublished {
            meeting_id: meeting.to_string(),
            city_id: self.places.city.to_string(),
            body_id: self.places.body.to_string(),
            date: "2023-03-09".into(),
            version: 1,
            verdict: "pass".into(),
            visibility: "public".into(),
            title: "Regular Meeting".into(),
            body_name: "City Council".into(),
            short_summary: "The council adopted the budget.".into(),
            text_sha256: vec!["0".repeat(64)],
            ..Default::default()
        };
        change(&mut event);
        self.envelope("meeting.published", &event)
    }

    pub(crate) async fn announce(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        announce::published(&self.deps, &envelope.caller("notifications"), envelope).await
    }

    pub(crate) async fn move_home(&self, user: UserId, city: Option<CityId>, version: u64) -> Envelope {
        let event = AccountHomeCityChanged {
            user_id: user.to_string(),
            city_id: city.map(|c| c.to_string()).unwrap_or_default(),
            previous_city_id: String::new(),
            version,
        };
        let envelope = self.envelope("account.home_city_changed", &event);
        self.moved(&envelope).await;
        envelope
    }

    pub(crate) async fn moved(&self, envelope: &Envelope) {
        home::changed(&self.deps, &envelope.caller("notifications"), envelope).await.unwrap();
    }

    /// Does this tenant's jobs until none is left; gives their number. (A worker takes every tenant's.)
    pub(crate) async fn work(&self) -> usize {
        let workers = [notifications::job_worker, notifications::match_worker]
            .map(|worker| worker(&self.deps, self.clock.clone()));
        let waiting = "jobs WHERE state IN ('ready', 'running')";
        while self.count(waiting).await > 0 {
            for worker in &workers {
                worker.step().await.unwrap();
            }
        }
        usize::try_from(self.count("jobs WHERE state = 'done'").await).unwrap()
    }

    /// Sends until nothing of this tenant is under way.
    pub(crate) async fn send(&self, sender: &notifications::Sender) {
        while self.count("deliveries WHERE state = 'pending'").await > 0 {
            sender.step().await.unwrap();
        }
    }

    /// Announces a meeting, tells its followers and sends.
    pub(crate) async fn publish(&self, meeting: MeetingId) {
        self.announce(&self.published(meeting, |_| {})).await.unwrap();
        self.work().await;
        self.send(&self.sender(vec![])).await;
    }

    /// A number that the tenant's app role counts.
    pub(crate) async fn count(&self, from: &str) -> i64 {
        let mut tx = self.tx(&self.service()).await;
        let sql = format!("SELECT count(*) FROM {from}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(tx.conn()).await.unwrap()
    }

    /// One column of texts, as the tenant's app role reads it.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        let mut tx = self.tx(&self.service()).await;
        sqlx::query_scalar(sql).fetch_all(tx.conn()).await.unwrap()
    }

    /// Asks for a job again, as a replay does.
    pub(crate) async fn repeat_jobs(&self) {
        let mut tx = self.tx(&self.service()).await;
        sqlx::query("UPDATE jobs SET state = 'ready', attempt = 0, run_at = created_at")
            .execute(tx.conn())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

/// Waits for a state instead of for a time.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    for _ in 0..2_400 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not within a minute: {what}");
}
