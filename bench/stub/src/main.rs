//! What stands behind the BFF while it is measured: meetings, summaries and accounts that answer from memory, and the
//! development identity provider, so that every session is one that was really begun.
//!
//! 1,000 meetings with texts as long as those of the stub that the peers are measured on: a title, a date, a summary of
//! twelve sentences and five decisions. Calls are counted: `GET /counters` and `POST /reset` on the control address.
//!
//! Usage: bench-stub GRPC_ADDR CONTROL_ADDR IDP_ADDR CLIENT_SECRET REDIRECT_URI

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use cs_core::{Clock, Ids, SystemClock, TenantId, UserId};
use cs_proto::accounts::v1 as accounts;
use cs_proto::common::v1::PageInfo;
use cs_proto::meetings::v1 as meetings;
use cs_proto::summaries::v1 as summaries;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

const MEETINGS: usize = 1_000;

struct Stub {
    ids: Ids,
    meetings: Vec<meetings::Meeting>,
    summaries: BTreeMap<String, summaries::Summary>,
    counts: Mutex<BTreeMap<String, u64>>,
}

fn ulid(kind: char, n: usize) -> String {
    format!("01J{kind}{n:022}")
}

fn meeting(n: usize) -> meetings::Meeting {
    let date = format!("2026-{:02}-{:02}", n % 12 + 1, n % 28 + 1);
    meetings::Meeting {
        id: ulid('M', n),
        city_id: ulid('C', n % 4),
        title: format!("Council meeting {n}: zoning, budget and transit"),
        starts_at: format!("{date}T16:00:00Z"),
        date,
        status: "held".into(),
        run_state: "published".into(),
        ..meetings::Meeting::default()
    }
}

fn summary(n: usize) -> summaries::Summary {
    let claims = (0..5).map(|k| summaries::Claim {
        id: ulid('D', n * 5 + k),
        kind: summaries::ClaimKind::Decision.into(),
        text: format!("Decision {k} of m-{n:04}: motion carried {} to 2 after the amendment", 7 + k),
        ..summaries::Claim::default()
    });
    summaries::Summary {
        meeting_id: ulid('M', n),
        version: 1,
        verdict: "pass".into(),
        short_summary: format!("In m-{n:04} the council discussed item {n} at length. ").repeat(12),
        claims: claims.collect(),
        ..summaries::Summary::default()
    }
}

impl Stub {
    fn new(clock: &Arc<dyn Clock>) -> Self {
        let summaries = (0..MEETINGS).map(summary).map(|summary| (summary.meeting_id.clone(), summary));
        Self {
            ids: Ids::new(clock.clone()),
            meetings: (0..MEETINGS).map(meeting).collect(),
            summaries: summaries.collect(),
            counts: Mutex::default(),
        }
    }

    /// The answer of one method; `None` where the bench needs none.
    fn answer(&self, path: &str, body: &[u8]) -> Option<Vec<u8>> {
        *self.counts.lock().ok()?.entry(path.to_owned()).or_default() += 1;
        Some(match path {
            "/councilsense.meetings.v1.Meetings/ListMeetings" => {
                let request = meetings::ListMeetingsRequest::decode(body).ok()?;
                let first = request.page.map_or(20, |page| page.first).max(1) as usize;
                let page: Vec<_> = self.meetings.iter().take(first).cloned().collect();
                let cursors = page.iter().map(|meeting| meeting.id.clone()).collect();
                let page_info = Some(PageInfo { has_next_page: true, ..PageInfo::default() });
                meetings::ListMeetingsResponse { meetings: page, cursors, page_info }.encode_to_vec()
            }
            "/councilsense.summaries.v1.Summaries/BatchGetCurrentSummaries" => {
                let request = summaries::BatchGetCurrentSummariesRequest::decode(body).ok()?;
                let found = request.meeting_ids.iter().filter_map(|id| self.summaries.get(id).cloned());
                summaries::BatchGetCurrentSummariesResponse { summaries: found.collect() }.encode_to_vec()
            }
            "/councilsense.accounts.v1.Accounts/ResolveTenant" => {
                let id = TenantId::of_slug("default").to_string();
                let tenant = accounts::Tenant { id, slug: "default".into(), name: "Default".into() };
                accounts::ResolveTenantResponse { tenant: Some(tenant) }.encode_to_vec()
            }
            // Each sign-in is another person, so that no two requests can share anything.
            "/councilsense.accounts.v1.Accounts/ResolveIdentity" => {
                let user = accounts::User {
                    id: self.ids.next::<UserId>().to_string(),
                    display_name: "Rosa Resident".into(),
                    roles: vec!["resident".into()],
                    ..accounts::User::default()
                };
                accounts::ResolveIdentityResponse { user: Some(user), created: true }.encode_to_vec()
            }
            _ => return None,
        })
    }
}

async fn serve(stub: Arc<Stub>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Ok(body) = request.into_body().collect().await else {
        return tonic::Status::cancelled("gone").into_http::<Body>().into_response();
    };
    let framed = body.to_bytes();
    let Some(message) = stub.answer(&path, framed.get(5..).unwrap_or_default()) else {
        return tonic::Status::unimplemented(path).into_http::<Body>().into_response();
    };
    let mut frame = Vec::with_capacity(message.len() + 5);
    frame.push(0);
    frame.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend(message);
    let mut trailers = axum::http::HeaderMap::new();
    trailers.insert("grpc-status", axum::http::HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from(frame)), Frame::trailers(trailers)];
    let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, std::io::Error>)));
    ([("content-type", "application/grpc")], Body::new(body)).into_response()
}

fn control(stub: &Arc<Stub>) -> Router {
    let (shown, cleared) = (stub.clone(), stub.clone());
    Router::new()
        .route("/counters", get(move || async move { Json(shown.counts.lock().map(|c| c.clone()).unwrap_or_default()) }))
        .route(
            "/reset",
            post(move || async move {
                if let Ok(mut counts) = cleared.counts.lock() {
                    counts.clear();
                }
            }),
        )
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [grpc, ctl, idp, client_secret, redirect_uri] = arguments.as_slice() else {
        return Err("usage: bench-stub GRPC_ADDR CONTROL_ADDR IDP_ADDR CLIENT_SECRET REDIRECT_URI".into());
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stub = Arc::new(Stub::new(&clock));
    let (grpc, ctl) = (grpc.parse::<SocketAddr>()?, TcpListener::bind(ctl).await?);
    let idp_listener = TcpListener::bind(idp).await?;
    let provider = cs_devidp::Config {
        issuer: url::Url::parse(&format!("http://{idp}"))?,
        client_id: "councilsense".into(),
        client_secret: client_secret.clone(),
        redirect_uris: vec![redirect_uri.clone()],
        post_logout_redirect_uris: Vec::new(),
        key: cs_devidp::SigningKey::generate()?,
        people: cs_devidp::people(),
        clock,
    };
    tokio::spawn(cs_devidp::serve(idp_listener, provider));
    let control = control(&stub);
    tokio::spawn(async move { axum::serve(ctl, control).await });
    let router = Router::new().fallback(move |request: Request| serve(stub.clone(), request));
    let incoming = TcpIncoming::from(TcpListener::bind(grpc).await?).with_nodelay(Some(true));
    println!("stub on {grpc}");
    tonic::transport::Server::builder()
        .max_concurrent_streams(Some(10_000))
        .add_routes(Routes::from(router))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
