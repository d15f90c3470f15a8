//! Passages and requests with as little ceremony as possible.

use std::sync::Arc;
use std::time::Duration;

use cs_core::document::ArtifactKind;
use cs_core::{Caller, Trace};
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use cs_text::embed::Embedder;
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::{
    Filters, Mode, Part, PassageDoc, PassageKind, SearchIndex, SearchRequest, SearchResponse, Visibility,
    VisibleTags,
};
use search::query::parse;
use search::rank::RankParams;
use search::{Deps, SearchService};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const DIMS: usize = 16;

pub(crate) fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn everyone() -> VisibleTags {
    VisibleTags::of([Visibility::Public])
}

/// An index in a directory that goes away with it.
pub(crate) fn index() -> (EmbeddedIndex, TempDir) {
    let dir = TempDir::new().unwrap();
    (open(&dir), dir)
}

pub(crate) fn open(dir: &TempDir) -> EmbeddedIndex {
    EmbeddedIndex::open(dir.path(), RankParams::default(), OnDamage::Refuse).unwrap().0
}

/// A direction that depends on the words alone, so that like texts are alike.
pub(crate) fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.01; DIMS];
    for word in text.to_lowercase().split_whitespace() {
        let hash = word.bytes().fold(7_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
        vector[hash as usize % DIMS] += 1.0;
        vector[(hash / 97) as usize % DIMS] += 0.5;
    }
    vector
}

pub(crate) fn passage(tenant: Uuid, meeting: Uuid, n: u32, text: &str) -> PassageDoc {
    PassageDoc {
        id: format!("{meeting}/{n}"),
        tenant_id: tenant,
        meeting_id: meeting,
        city_id: uuid(100),
        body_id: uuid(200),
        artifact_id: uuid(300),
        derived_from: vec![],
        artifact_kind: ArtifactKind::Minutes,
        text_sha256: "00".repeat(32),
        section: 0,
        start: n * 100,
        end: n * 100 + text.chars().count() as u32,
        page: Some(1),
        time_ms: None,
        date: "2023-03-09".parse().unwrap(),
        visibility: Visibility::Public,
        kind: PassageKind::Passage,
        confidence: None,
        title: "Regular meeting".to_owned(),
        heading: None,
        text: text.to_owned(),
        vector: embed(text),
        embedder: "test/1".to_owned(),
        chunker: "test/1".to_owned(),
        labels: Default::default(),
    }
}

pub(crate) fn request(tenant: Uuid, query: &str) -> SearchRequest {
    let query = parse(query);
    SearchRequest {
        tenant,
        visible: everyone(),
        vector: Some(embed(&query.words)),
        query,
        mode: Mode::Hybrid,
        filters: Filters::default(),
        first: 10,
        after: None,
        group_by_meeting: false,
    }
}

pub(crate) fn words(tenant: Uuid, query: &str) -> SearchRequest {
    SearchRequest { mode: Mode::Keyword, vector: None, ..request(tenant, query) }
}

pub(crate) async fn put(index: &dyn SearchIndex, tenant: Uuid, meeting: Uuid, version: i64, texts: &[&str]) {
    let docs = texts.iter().zip(0..).map(|(text, n)| passage(tenant, meeting, n, text)).collect();
    index.replace_meeting(tenant, meeting, Part::Documents, version, docs).await.unwrap();
}

pub(crate) fn ids(response: &SearchResponse) -> Vec<&str> {
    response.hits.iter().map(|hit| hit.passage.id.as_str()).collect()
}

pub(crate) fn texts(response: &SearchResponse) -> Vec<&str> {
    response.hits.iter().map(|hit| hit.passage.text.as_str()).collect()
}

/// The service over an index, with no other service to ask.
pub(crate) fn service(index: Arc<dyn SearchIndex>, embedder: Option<Arc<dyn Embedder>>) -> SearchService {
    let nowhere = cs_rpc::InMemory::default().channel();
    let clock = Arc::new(cs_core::SystemClock);
    SearchService::new(Deps {
        index,
        embedder,
        meetings: MeetingsClient::new(nowhere.clone()),
        summaries: SummariesClient::new(nowhere),
        outbound: cs_rpc::Outbound::new("search", cs_rpc::SigningKey::generate().unwrap(), clock),
        deadline: Duration::from_secs(1),
    })
}

/// A request of one of a tenant's own services, as the guard lets it through.
pub(crate) fn of_tenant<T>(tenant: Uuid, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.extensions_mut().insert(Caller::service("notifications", tenant.into(), Trace::start()));
    request
}
