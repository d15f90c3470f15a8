//! How fast a published meeting becomes one delivery a follower, and how fast those get into inboxes:
//! `cargo run --release -p notifications --example fan_out -- 200000`. It makes a database of its own.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

use std::sync::Arc;
use std::time::Instant;

use cs_core::{BodyId, Caller, CityId, Clock, Ids, MeetingId, SystemClock, TenantId, Trace};
use cs_db::{Db, DbOptions, SchemaSpec, Tx, Wakeups};
use cs_events::{Envelope, Fact};
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::events::v1::MeetingPublished;
use cs_proto::meetings::v1::{BatchGetMeetingsResponse, Meeting};
use cs_rpc::{InMemory, Outbound, SigningKey};
use cs_testkit::postgres::{ROLE_SECRET, database};
use notifications::{Deps, Sender, Settings, announce, keys::Keys};
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};

/// Whatever is asked for is there.
struct Standing;

impl UnaryService<BatchGetRequest> for Standing {
    type Response = BatchGetMeetingsResponse;
    type Future = std::future::Ready<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<BatchGetRequest>) -> Self::Future {
        let ids = request.into_inner().ids.into_iter();
        let meetings = ids.map(|id| Meeting { id, ..Meeting::default() }).collect();
        std::future::ready(Ok(Response::new(BatchGetMeetingsResponse { meetings })))
    }
}

#[tokio::main]
async fn main() {
    let count: i32 = std::env::args().nth(1).map_or(200_000, |text| text.parse().unwrap());
    let url = tokio::task::spawn_blocking(|| database("bench_fan_out")).await.unwrap();
    let migrators = [&cs_events::SERVICE_MIGRATOR, &notifications::MIGRATOR];
    let spec = SchemaSpec { name: notifications::SCHEMA, migrators: &migrators };
    cs_db::migrate(&url, ROLE_SECRET, &[spec]).await.unwrap();
    let options = DbOptions {
        url,
        schema: notifications::SCHEMA.to_owned(),
        role_secret: ROLE_SECRET.to_vec(),
        max_connections: 10,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Ids::new(clock.clone());
    // Meetings is asked for the city's name, and answers with an empty message: there is none. All meetings stand.
    let listener = InMemory::default();
    let meetings = listener.channel();
    let empty = axum::Router::new().fallback(async |request: http::Request<axum::body::Body>| {
        if request.uri().path().ends_with("/BatchGetMeetings") {
            let codec = tonic_prost::ProstCodec::default();
            return Grpc::new(codec).unary(Standing, request.map(Body::new)).await.map(axum::body::Body::new);
        }
        let headers = [("content-type", "application/grpc"), ("grpc-status", "0")];
        axum::response::IntoResponse::into_response((headers, vec![0u8; 5]))
    });
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(cs_rpc::serve(listener.incoming(), tonic::service::Routes::from(empty), stop));
    let settings = Settings::default();
    let deps = Deps {
        db: Db::new(&options).unwrap(),
        ids: ids.clone(),
        wakeups: Wakeups::default(),
        meetings,
        accounts: None,
        search: None,
        outbound: Outbound::new("notifications", SigningKey::generate().unwrap(), clock.clone()),
        keys: Keys::derive(b"bench"),
        public_url: settings.public_url(),
        trust: settings.trust(),
        available: settings.available(),
    };
    let tenant: TenantId = ids.next();
    let (city, body): (CityId, BodyId) = (ids.next(), ids.next());
    let caller = Caller::service(notifications::SCHEMA, tenant, Trace::start());
    let mut tx = deps.db.tenant(&caller).await.unwrap();
    // A million followers at once take longer than a service's statement may.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(tx.conn()).await.unwrap();
    sqlx::query(
        "INSERT INTO follows (id, tenant_id, user_id, kind, target_id, origin, created_at)
         SELECT gen_random_uuid(), $1, u, kind, CASE kind WHEN 'city' THEN $2 ELSE $3 END, 'resident', now()
         FROM (SELECT gen_random_uuid() AS u, n FROM generate_series(1, $4) n) people
         CROSS JOIN (VALUES ('city'), ('body')) kinds (kind) WHERE kind = 'city' OR n % 10 = 0",
    )
    .bind(tenant.uuid())
    .bind(city.to_string())
    .bind(body.to_string())
    .bind(count)
    .execute(tx.conn())
    .await
    .unwrap();
    tx.commit().await.unwrap();

    for round in 1..=3 {
        let meeting: MeetingId = ids.next();
        let event = MeetingPublished {
            meeting_id: meeting.to_string(),
            city_id: city.to_string(),
            body_id: body.to_string(),
            version: 1,
            visibility: "public".into(),
            title: "Regular Meeting".into(),
            short_summary: "The council adopted the budget.".into(),
            ..Default::default()
        };
        let fact = Fact {
            kind: "meeting.published",
            resource: ("meeting", String::new()),
            key: meeting.to_string(),
            payload: &event,
        };
        let envelope = Envelope::new("bench", &caller, &ids, fact).unwrap();
        announce::published(&deps, &caller, &envelope).await.unwrap();
        let worker = notifications::job_worker(&deps, clock.clone());
        let began = Instant::now();
        while worker.step().await.unwrap() > 0 {}
        let made = began.elapsed().as_secs_f64();
        let senders = (0..2).map(|_| async {
            let sender = Sender::new(&deps, Vec::new());
            while sender.step().await.unwrap() > 0 {}
        });
        let began = Instant::now();
        futures::future::join_all(senders).await;
        let told = began.elapsed().as_secs_f64();
        let mut tx = deps.db.tenant(&caller).await.unwrap();
        let sent: i64 = sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE state = 'sent'")
            .fetch_one(tx.conn())
            .await
            .unwrap();
        assert_eq!(sent, i64::from(count) * round);
        let rate = |seconds: f64| f64::from(count) / seconds;
        println!("{count} followers: delivery rows {:.0}/s, into inboxes {:.0}/s", rate(made), rate(told));
    }
}
