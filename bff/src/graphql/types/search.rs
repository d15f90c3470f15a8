//! Search: passages and their place, why they were found, and what else there is.

use std::sync::Arc;

use async_graphql::connection::{Connection, ConnectionNameType, Edge, EdgeNameType, EmptyFields};
use async_graphql::{Context, Enum, ID, InputObject, Object, OutputType, Result, SimpleObject};
use cs_proto::search::v1 as pb;

use super::artifact::{Artifact, ArtifactKind};
use super::claim::{milliseconds, place};
use super::meeting::Meeting;
use super::{page, words};
use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::scalars::{Date, text};
use crate::graphql::scope::{Scope, read};

words! {
    /// What a passage is taken from.
    PassageKind {
        /// A section of a document.
        Passage = "passage",
        Decision = "decision",
        Action = "action",
        Topic = "topic",
        Fact = "fact",
    }
}

/// How to search.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchMode {
    /// By words and by meaning.
    Hybrid,
    /// By words.
    Keyword,
    /// By meaning.
    Vector,
}

/// Applied before ranking.
#[derive(InputObject)]
pub(crate) struct SearchFilter {
    city_ids: Option<Vec<ID>>,
    body_ids: Option<Vec<ID>>,
    from: Option<Date>,
    to: Option<Date>,
    artifact_kinds: Option<Vec<ArtifactKind>>,
    kinds: Option<Vec<PassageKind>>,
    meeting_ids: Option<Vec<ID>>,
    /// A claim must be at least this sure, 0 to 1. Passages are kept.
    min_confidence: Option<f64>,
}

/// What to look for.
#[derive(InputObject)]
pub(crate) struct SearchInput {
    query: String,
    mode: Option<SearchMode>,
    filter: Option<SearchFilter>,
    pub(crate) first: Option<i32>,
    after: Option<String>,
    /// The best passage of each meeting only.
    group_by_meeting: Option<bool>,
}

fn owns(kind: Kind, ids: Option<Vec<ID>>, field: &str) -> Result<Vec<String>, Fault> {
    ids.unwrap_or_default().iter().map(|id| kind.own(id, field)).collect()
}

impl SearchInput {
    fn message(self) -> Result<pb::SearchRequest, Fault> {
        let page = page::request(self.first, self.after, None, None).map_err(|mut fault| {
            for violation in &mut fault.fields {
                violation.field.insert_str(0, "input.");
            }
            fault
        })?;
        let filter = self
            .filter
            .map(|filter| {
                let words = |kinds: Option<Vec<ArtifactKind>>| {
                    kinds.unwrap_or_default().into_iter().map(|kind| kind.word().to_owned()).collect()
                };
                Ok::<_, Fault>(pb::SearchFilter {
                    city_ids: owns(Kind::City, filter.city_ids, "input.filter.cityIds")?,
                    body_ids: owns(Kind::Body, filter.body_ids, "input.filter.bodyIds")?,
                    from: filter.from.map(|date| date.0).unwrap_or_default(),
                    to: filter.to.map(|date| date.0).unwrap_or_default(),
                    artifact_kinds: words(filter.artifact_kinds),
                    kinds: filter
                        .kinds
                        .unwrap_or_default()
                        .into_iter()
                        .map(|kind| kind.word().to_owned())
                        .collect(),
                    meeting_ids: owns(Kind::Meeting, filter.meeting_ids, "input.filter.meetingIds")?,
                    min_confidence: filter.min_confidence,
                })
            })
            .transpose()?;
        let mode = match self.mode {
            None => pb::SearchMode::Unspecified,
            Some(SearchMode::Hybrid) => pb::SearchMode::Hybrid,
            Some(SearchMode::Keyword) => pb::SearchMode::Keyword,
            Some(SearchMode::Vector) => pb::SearchMode::Vector,
        };
        Ok(pb::SearchRequest {
            query: self.query,
            mode: mode.into(),
            filter,
            first: page.first,
            after: page.after,
            group_by_meeting: self.group_by_meeting.unwrap_or(false),
        })
    }
}

/// `SearchConnection`, not `SearchHitConnection`.
pub(crate) struct ConnectionName;

impl ConnectionNameType for ConnectionName {
    fn type_name<T: OutputType>() -> String {
        "SearchConnection".to_owned()
    }
}

/// `SearchEdge`.
pub(crate) struct EdgeName;

impl EdgeNameType for EdgeName {
    fn type_name<T: OutputType>() -> String {
        "SearchEdge".to_owned()
    }
}

/// A page of hits.
pub(crate) type SearchConnection =
    Connection<String, SearchHit, Findings, EmptyFields, ConnectionName, EdgeName>;

/// Asks the index.
pub(crate) async fn find(scope: &Scope, input: SearchInput) -> Result<SearchConnection, Fault> {
    let has_previous = input.after.is_some();
    let answer = read!(scope.calls, search.search, input.message()?)?;
    let findings = Findings {
        total_count: answer.total,
        facets: answer.facets.into_iter().map(Facet::from).collect(),
        degraded: answer.degraded,
        notes: answer.notes,
    };
    let mut connection = Connection::with_additional_fields(has_previous, answer.has_next_page, findings);
    connection.edges.extend(answer.hits.into_iter().map(|mut hit| {
        let cursor = std::mem::take(&mut hit.cursor);
        Edge::new(cursor, SearchHit(Arc::new(hit)))
    }));
    Ok(connection)
}

/// Beside the hits.
#[derive(SimpleObject)]
pub(crate) struct Findings {
    /// Of all pages.
    total_count: u64,
    facets: Vec<Facet>,
    /// keyword_only: there was no embedder. partial: the deadline came first. rebuilding: the index lacks passages until
    /// it has been built anew.
    degraded: Vec<String>,
    /// What of the query could not be parsed, and was searched as words.
    notes: Vec<String>,
}

/// A passage that was found.
pub(crate) struct SearchHit(Arc<pb::Hit>);

/// A passage that was found.
#[Object]
impl SearchHit {
    async fn meeting(&self, context: &Context<'_>) -> Result<Option<Meeting>> {
        let Some(passage) = &self.0.passage else { return Ok(None) };
        Ok(Scope::of(context).loaders.meetings.load(passage.meeting_id.clone()).await?.map(Meeting))
    }

    async fn passage(&self) -> Result<Passage> {
        if self.0.passage.is_none() {
            return Err(Fault::internal().into());
        }
        Ok(Passage(self.0.clone()))
    }

    async fn score(&self) -> f64 {
        self.0.score
    }

    async fn explanation(&self) -> Explanation {
        let explanation = self.0.explanation.clone().unwrap_or_default();
        Explanation {
            keyword_score: explanation.keyword_score,
            keyword_rank: explanation.keyword_rank,
            vector_score: explanation.vector_score,
            vector_rank: explanation.vector_rank,
            fused_score: explanation.fused_score,
            matched_terms: explanation.matched_terms,
        }
    }
}

/// The unit of search: a span of a section, or a claim.
pub(crate) struct Passage(Arc<pb::Hit>);

impl Passage {
    fn message(&self) -> Result<&pb::Passage, Fault> {
        self.0.passage.as_ref().ok_or_else(Fault::internal)
    }
}

/// The unit of search: a span of a section, or a claim. Offsets count Unicode code points into the text version.
#[Object]
impl Passage {
    async fn id(&self) -> Result<ID> {
        Ok(ID(self.message()?.id.clone()))
    }

    async fn text(&self) -> Result<&str> {
        Ok(&self.message()?.text)
    }

    /// Within the text.
    async fn highlights(&self) -> Vec<Highlight> {
        self.0
            .highlights
            .iter()
            .map(|highlight| Highlight { start: highlight.start, end: highlight.end })
            .collect()
    }

    async fn heading(&self) -> Result<Option<&str>> {
        Ok(text(&self.message()?.heading))
    }

    async fn artifact(&self, context: &Context<'_>) -> Result<Option<Artifact>> {
        let Some(id) = text(&self.message()?.artifact_id) else { return Ok(None) };
        Ok(Scope::of(context).loaders.artifacts.load(id.to_owned()).await?.map(Artifact))
    }

    async fn page(&self) -> Result<Option<u32>> {
        Ok(self.message()?.page)
    }

    /// In a recording, milliseconds from its beginning.
    async fn time_ms(&self) -> Result<Option<f64>> {
        Ok(milliseconds(self.message()?.time_ms))
    }

    async fn start(&self) -> Result<u32> {
        Ok(self.message()?.start)
    }

    async fn end(&self) -> Result<u32> {
        Ok(self.message()?.end)
    }

    async fn kind(&self) -> Result<PassageKind> {
        Ok(PassageKind::of(&self.message()?.kind)?)
    }

    /// Permanent link to its place in this application, as `Evidence.url`.
    async fn url(&self) -> Result<String> {
        let passage = self.message()?;
        Ok(place(&passage.meeting_id, &passage.artifact_id, passage.start, passage.end))
    }
}

/// A part of a text that matched, in code points.
#[derive(SimpleObject)]
pub(crate) struct Highlight {
    start: u32,
    end: u32,
}

/// Why a passage was found.
#[derive(SimpleObject)]
pub(crate) struct Explanation {
    keyword_score: Option<f64>,
    keyword_rank: Option<u32>,
    vector_score: Option<f64>,
    vector_rank: Option<u32>,
    fused_score: f64,
    matched_terms: Vec<String>,
}

/// How the hits of all pages divide.
#[derive(SimpleObject)]
pub(crate) struct Facet {
    /// city, body, year, or artifact_kind
    name: String,
    values: Vec<FacetValue>,
}

impl From<pb::Facet> for Facet {
    fn from(facet: pb::Facet) -> Self {
        let values = facet
            .values
            .into_iter()
            .map(|value| FacetValue { facet: facet.name.clone(), value: value.value, count: value.count })
            .collect();
        Self { name: facet.name, values }
    }
}

/// One part.
pub(crate) struct FacetValue {
    facet: String,
    value: String,
    count: u64,
}

/// One part.
#[Object]
impl FacetValue {
    /// As a filter takes it: an id of a city or body, a year, a kind.
    async fn value(&self) -> String {
        match self.facet.as_str() {
            "city" => Kind::City.id(&self.value).0,
            "body" => Kind::Body.id(&self.value).0,
            "artifact_kind" => self.value.to_uppercase(),
            _ => self.value.clone(),
        }
    }

    /// For people.
    async fn label(&self, context: &Context<'_>) -> Result<String> {
        let loaders = &Scope::of(context).loaders;
        let named = match self.facet.as_str() {
            "city" => loaders.cities.load(self.value.clone()).await?.map(|city| city.name.clone()),
            "body" => loaders.bodies.load(self.value.clone()).await?.map(|body| body.name.clone()),
            _ => None,
        };
        Ok(named.unwrap_or_else(|| self.value.clone()))
    }

    async fn count(&self) -> u64 {
        self.count
    }
}
