//! `search.v1.Search`: proto ⇄ index.

use std::str::FromStr;

use cs_core::{BodyId, Caller, CityId, InvalidId, MeetingId};
use cs_proto::meetings::v1::ListCitiesRequest;
use cs_proto::search::v1 as pb;
use cs_proto::search::v1::search_server::Search;
use cs_rpc::caller;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::index::{
    Facets, Filters, Hit, Mode, PassageDoc, PassageKind, SearchRequest, SearchResponse, VisibleTags,
};
use crate::query::{Field, ParsedQuery, parse};
use crate::{Deps, Error};

/// Hits of a page where nobody asked for a number.
const DEFAULT_FIRST: u32 = 20;

/// The service.
pub struct SearchService(Deps);

impl SearchService {
    /// Over `deps`.
    pub fn new(deps: Deps) -> Self {
        Self(deps)
    }

    /// The request for the index: names resolved, the query's meaning embedded.
    async fn prepare(&self, caller: &Caller, request: pb::SearchRequest) -> Result<SearchRequest, Error> {
        let mode = match request.mode() {
            pb::SearchMode::Keyword => Mode::Keyword,
            pb::SearchMode::Vector => Mode::Vector,
            pb::SearchMode::Hybrid | pb::SearchMode::Unspecified => Mode::Hybrid,
        };
        let first = if request.first == 0 { DEFAULT_FIRST } else { request.first };
        if first > cs_core::page::MAX_PAGE {
            return Err(Error::invalid("first", format!("a page has 1 to {} hits", cs_core::page::MAX_PAGE)));
        }
        let mut query = parse(&request.query);
        let mut filters = filters(request.filter.unwrap_or_default())?;
        self.resolve_names(caller, &mut query, &mut filters).await?;
        filters.from = filters.from.or(query.from);
        filters.to = filters.to.or(query.to);
        let vector = match &self.0.embedder {
            Some(embedder) if mode != Mode::Keyword && !query.is_empty() => {
                embedder.embed(vec![query.meaning().to_owned()]).await?.pop()
            }
            _ => None,
        };
        Ok(SearchRequest {
            tenant: caller.tenant.uuid(),
            visible: visible(caller),
            query,
            vector,
            mode,
            filters,
            first: first as usize,
            after: (!request.after.is_empty()).then_some(request.after),
            group_by_meeting: request.group_by_meeting,
        })
    }

    /// `city:` names become a filter; a name that nobody bears is searched as words, and said so.
    async fn resolve_names(
        &self,
        caller: &Caller,
        query: &mut ParsedQuery,
        filters: &mut Filters,
    ) -> Result<(), Error> {
        for name in query.bodies.clone() {
            query.as_words(Field::Body, &name);
        }
        if query.cities.is_empty() {
            return Ok(());
        }
        let call = self.0.outbound.request(caller, ListCitiesRequest::default(), self.0.deadline)?;
        let cities = self.0.meetings.clone().list_cities(call).await?.into_inner().cities;
        for name in query.cities.clone() {
            let same = |text: &str| cs_text::fold(text) == cs_text::fold(&name);
            match cities.iter().find(|c| same(&c.slug) || same(&c.name)) {
                Some(city) => filters.cities.push(uuid::<CityId>("city", &city.id)?),
                None => query.as_words(Field::City, &name),
            }
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl Search for SearchService {
    async fn search(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        let caller = caller(&request)?;
        let wants_meaning = request.get_ref().mode() != pb::SearchMode::Keyword;
        let request = self.prepare(&caller, request.into_inner()).await?;
        let no_embedder = wants_meaning && self.0.embedder.is_none();
        let response = self.0.index.search(request).await.map_err(Error::from)?;
        Ok(Response::new(answer(response, no_embedder)))
    }
}

fn visible(caller: &Caller) -> VisibleTags {
    VisibleTags::of(cs_policy::visible(caller).iter().copied())
}

fn uuid<T: FromStr<Err = InvalidId> + Into<Uuid>>(field: &str, text: &str) -> Result<Uuid, Error> {
    text.parse::<T>().map(Into::into).map_err(|e| Error::invalid(field, e.to_string()))
}

fn uuids<T: FromStr<Err = InvalidId> + Into<Uuid>>(
    field: &str,
    texts: &[String],
) -> Result<Vec<Uuid>, Error> {
    if texts.len() > cs_core::page::MAX_PAGE as usize {
        return Err(Error::invalid(field, "at most 100 values"));
    }
    texts.iter().map(|text| uuid::<T>(field, text)).collect()
}

fn filters(filter: pb::SearchFilter) -> Result<Filters, Error> {
    let date = |field: &str, text: &str| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Error::invalid(field, "must be a date, YYYY-MM-DD")),
    };
    Ok(Filters {
        cities: uuids::<CityId>("filter.city_ids", &filter.city_ids)?,
        bodies: uuids::<BodyId>("filter.body_ids", &filter.body_ids)?,
        meetings: uuids::<MeetingId>("filter.meeting_ids", &filter.meeting_ids)?,
        from: date("filter.from", &filter.from)?,
        to: date("filter.to", &filter.to)?,
        artifact_kinds: filter
            .artifact_kinds
            .iter()
            .map(|kind| {
                kind.parse().map_err(|e: cs_core::document::UnknownArtifactKind| {
                    Error::invalid("filter.artifact_kinds", e.to_string())
                })
            })
            .collect::<Result<_, _>>()?,
        kinds: filter
            .kinds
            .iter()
            .map(|kind| {
                kind_of(kind).ok_or_else(|| {
                    Error::invalid("filter.kinds", "must be passage, decision, action, topic or fact")
                })
            })
            .collect::<Result<_, _>>()?,
        ..Filters::default()
    })
}

fn kind_of(word: &str) -> Option<PassageKind> {
    [PassageKind::Passage, PassageKind::Decision, PassageKind::Action, PassageKind::Topic, PassageKind::Fact]
        .into_iter()
        .find(|kind| kind_word(*kind) == word)
}

fn kind_word(kind: PassageKind) -> &'static str {
    match kind {
        PassageKind::Passage => "passage",
        PassageKind::Decision => "decision",
        PassageKind::Action => "action",
        PassageKind::Topic => "topic",
        PassageKind::Fact => "fact",
    }
}

fn answer(response: SearchResponse, no_embedder: bool) -> pb::SearchResponse {
    let flags = [("keyword_only", response.degraded || no_embedder), ("partial", response.partial)];
    let degraded = flags.iter().filter(|(_, is)| *is).map(|(flag, _)| (*flag).to_owned()).collect();
    pb::SearchResponse {
        end_cursor: response.hits.last().map(|h| h.cursor.clone()).unwrap_or_default(),
        hits: response.hits.into_iter().map(hit).collect(),
        facets: facets(response.facets),
        total: response.total,
        has_next_page: response.has_more,
        degraded,
        notes: response.messages,
    }
}

fn hit(hit: Hit) -> pb::Hit {
    let e = hit.explanation;
    pb::Hit {
        passage: Some(passage(hit.passage)),
        highlights: hit
            .highlights
            .into_iter()
            .map(|s| pb::Highlight { start: s.start, end: s.end })
            .collect(),
        score: f64::from(hit.score),
        explanation: Some(pb::Explanation {
            keyword_score: e.keyword_score.map(f64::from),
            keyword_rank: e.keyword_rank,
            vector_score: e.vector_score.map(f64::from),
            vector_rank: e.vector_rank,
            fused_score: f64::from(e.fused_score),
            matched_terms: e.matched_terms,
        }),
        cursor: hit.cursor,
    }
}

fn passage(doc: PassageDoc) -> pb::Passage {
    pb::Passage {
        id: doc.id,
        meeting_id: MeetingId::from(doc.meeting_id).to_string(),
        city_id: CityId::from(doc.city_id).to_string(),
        body_id: BodyId::from(doc.body_id).to_string(),
        artifact_id: cs_core::ArtifactId::from(doc.artifact_id).to_string(),
        artifact_kind: doc.artifact_kind.as_str().to_owned(),
        text_sha256: doc.text_sha256,
        section: doc.section,
        start: doc.start,
        end: doc.end,
        page: doc.page,
        time_ms: doc.time_ms,
        heading: doc.heading.unwrap_or_default(),
        text: doc.text,
        kind: kind_word(doc.kind).to_owned(),
    }
}

fn facets(facets: Facets) -> Vec<pb::Facet> {
    let facet = |name: &str, values: Vec<(String, u64)>| pb::Facet {
        name: name.to_owned(),
        values: values.into_iter().map(|(value, count)| pb::FacetValue { value, count }).collect(),
    };
    vec![
        facet("city", facets.cities.into_iter().map(|(id, n)| (CityId::from(id).to_string(), n)).collect()),
        facet("body", facets.bodies.into_iter().map(|(id, n)| (BodyId::from(id).to_string(), n)).collect()),
        facet("year", facets.years.into_iter().map(|(year, n)| (year.to_string(), n)).collect()),
        facet("artifact_kind", facets.artifact_kinds),
    ]
}
