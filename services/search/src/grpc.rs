//! `search.v1.Search`: proto ⇄ index.

use std::str::FromStr;
use std::time::Duration;

use cs_core::{BodyId, Caller, CityId, InvalidId, MeetingId};
use cs_policy::Action;
use cs_proto::common::v1::PageRequest;
use cs_proto::meetings::v1::{City, ListCitiesRequest};
use cs_proto::search::v1 as pb;
use cs_proto::search::v1::search_server::Search;
use cs_rpc::caller;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::index::{
    Facets, Filters, Hit, IndexError, Mode, Part, PassageDoc, PassageKind, SearchRequest, SearchResponse,
    Visibility, VisibleTags,
};
use crate::query::{Field, ParsedQuery, narrow, narrow_days, parse, resolve_bodies};
use crate::saved::best_match;
use crate::{Deps, Error};

/// Hits of a page where nobody asked for a number.
const DEFAULT_FIRST: u32 = 20;

/// How long a query's embedding may take: who searches waits, and words answer without it.
const EMBEDDED_WITHIN: Duration = Duration::from_secs(2);

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
        narrow_days(&mut filters, &query);
        let vector = match mode {
            Mode::Keyword => None,
            Mode::Hybrid | Mode::Vector => self.vector(caller, &mut query).await,
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

    /// The query's vector; `None` where there is none to be had, and keywords answer alone.
    async fn vector(&self, caller: &Caller, query: &mut ParsedQuery) -> Option<Vec<f32>> {
        let embedder = self.0.embedder.as_ref().filter(|_| !query.is_empty())?;
        let made_by = self.0.index.embedders(caller.tenant.uuid()).await;
        if made_by.is_some_and(|names| names.iter().any(|name| name != embedder.version())) {
            query.messages.push(
                "The index was made with another embedding model: only words were searched.".to_owned(),
            );
            return None;
        }
        let embedding = embedder.embed_for(caller.tenant, vec![query.meaning().to_owned()]);
        match tokio::time::timeout(EMBEDDED_WITHIN, embedding).await {
            Ok(Ok(vectors)) => vectors?.pop(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the query was not embedded: keywords answer alone");
                None
            }
            Err(_) => {
                tracing::warn!("the query was not embedded in time: keywords answer alone");
                None
            }
        }
    }

    /// `body:` and `city:` names become a filter; a name that nobody bears is searched as words, and said so.
    async fn resolve_names(
        &self,
        caller: &Caller,
        query: &mut ParsedQuery,
        filters: &mut Filters,
    ) -> Result<(), Error> {
        resolve_bodies(&*self.0.index, caller.tenant.uuid(), visible(caller), query, filters).await?;
        if query.cities.is_empty() {
            return Ok(());
        }
        let cities = self.cities(caller).await?;
        let mut named = Vec::new();
        for name in query.cities.clone() {
            let same = |text: &str| cs_text::fold(text) == cs_text::fold(&name);
            match cities.iter().find(|c| same(&c.slug) || same(&c.name)) {
                Some(city) => named.push(uuid::<CityId>("city", &city.id)?),
                None => query.as_words(Field::City, &name),
            }
        }
        narrow(&mut filters.cities, named);
        Ok(())
    }

    /// The tenant's cities, page by page.
    async fn cities(&self, caller: &Caller) -> Result<Vec<City>, Error> {
        let (mut cities, mut after) = (Vec::new(), String::new());
        loop {
            let page = PageRequest { first: cs_core::page::MAX_PAGE, after, ..PageRequest::default() };
            let call =
                self.0.outbound.request(caller, ListCitiesRequest { page: Some(page) }, self.0.deadline)?;
            let listed = self.0.meetings.clone().list_cities(call).await?.into_inner();
            cities.extend(listed.cities);
            match listed.page_info.filter(|info| info.has_next_page) {
                Some(info) => after = info.end_cursor,
                None => return Ok(cities),
            }
        }
    }
}

impl SearchService {
    /// A saved search, read.
    async fn saved(
        &self,
        caller: &Caller,
        query: &str,
        filter: Option<pb::SearchFilter>,
    ) -> Result<(ParsedQuery, Filters), Error> {
        let mut query = parse(query);
        let mut filters = filters(filter.unwrap_or_default())?;
        self.resolve_names(caller, &mut query, &mut filters).await?;
        narrow_days(&mut filters, &query);
        Ok((query, filters))
    }

    async fn match_one(
        &self,
        tenant: Uuid,
        visible: VisibleTags,
        meeting: Uuid,
        (id, query, filters): &(String, ParsedQuery, Filters),
    ) -> Result<Option<pb::SavedSearchMatch>, IndexError> {
        let (query, filters) = (query.clone(), filters.clone());
        let found = best_match(&*self.0.index, tenant, visible, meeting, query, filters).await?;
        Ok(found.map(|hit| {
            let pb::Hit { passage, highlights, .. } = self::hit(hit);
            pb::SavedSearchMatch { id: id.clone(), passage, highlights }
        }))
    }

    async fn is_indexed(&self, tenant: Uuid, meeting: Uuid, summary: u64) -> Result<bool, Error> {
        let documents = self.0.index.version(tenant, meeting, Part::Documents).await?;
        let claims = self.0.index.version(tenant, meeting, Part::Claims).await?;
        let wanted = i64::try_from(summary).unwrap_or(i64::MAX);
        Ok(documents.is_some() && (wanted == 0 || claims.is_some_and(|version| version >= wanted)))
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
        Ok(Response::new(answer(response, no_embedder, self.0.index.is_lacking())))
    }

    async fn match_saved_searches(
        &self,
        request: Request<pb::MatchSavedSearchesRequest>,
    ) -> Result<Response<pb::MatchSavedSearchesResponse>, Status> {
        let caller = caller(&request)?;
        cs_policy::allow(&caller, Action::Serve).map_err(Error::from)?;
        let request = request.into_inner();
        if request.searches.len() > cs_core::page::MAX_PAGE as usize {
            return Err(Error::invalid("searches", "at most 100 at a time").into());
        }
        let meeting = uuid::<MeetingId>("meeting_id", &request.meeting_id)?;
        let tenant = caller.tenant.uuid();
        let visible = told_to(&request);
        let mut response = pb::MatchSavedSearchesResponse {
            indexed: self.is_indexed(tenant, meeting, request.summary_version).await?,
            matches: Vec::new(),
        };
        if !response.indexed {
            return Ok(Response::new(response));
        }
        let (mut answered, mut failed) = (false, Vec::new());
        for saved in request.searches {
            let (query, filters) = match self.saved(&caller, &saved.query, saved.filter).await {
                Ok(read) => read,
                // The others in the call are other people's: one that cannot be read fails none of them.
                Err(error @ Error::Invalid(_)) => {
                    tracing::warn!(saved_search = saved.id, %error, "a saved search that cannot be read matches nothing");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let asked = (saved.id, query, filters);
            match self.match_one(tenant, visible, meeting, &asked).await {
                Ok(matched) => {
                    answered = true;
                    response.matches.extend(matched);
                }
                Err(_) => failed.push(asked),
            }
        }
        // A moment later most answer. One that fails again while others are answered is skipped.
        let mut last = None;
        for asked in failed {
            match self.match_one(tenant, visible, meeting, &asked).await {
                Ok(matched) => {
                    answered = true;
                    response.matches.extend(matched);
                }
                Err(error) => {
                    tracing::warn!(saved_search = asked.0, %error, "a saved search that fails matches nothing");
                    last = Some(error);
                }
            }
        }
        if let (false, Some(error)) = (answered, last) {
            return Err(Error::from(error).into());
        }
        Ok(Response::new(response))
    }
}

/// Whom a match is told to: residents who have signed in, where nothing else is said.
fn told_to(request: &pb::MatchSavedSearchesRequest) -> VisibleTags {
    if request.visible.is_empty() {
        return VisibleTags::of([Visibility::Public, Visibility::Member]);
    }
    VisibleTags::of(request.visible().map(crate::indexer::tag))
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
        min_confidence: match filter.min_confidence {
            Some(least) if !(0.0..=1.0).contains(&least) => {
                return Err(Error::invalid("filter.min_confidence", "must be from 0 to 1"));
            }
            least => least.map(|least| least as f32),
        },
        labels: Vec::new(),
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

fn answer(response: SearchResponse, no_embedder: bool, lacking: bool) -> pb::SearchResponse {
    let flags = [
        ("keyword_only", response.degraded || no_embedder),
        ("partial", response.partial),
        ("rebuilding", lacking),
    ];
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
