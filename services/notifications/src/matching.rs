//! Which saved searches does a meeting match? Search is asked, a search at a time whoever keeps it, when the index has
//! the meeting.

use std::time::Duration;

use cs_core::{Caller, MeetingId};
use cs_events::HandlerError;
use cs_events::jobs::{self, Job};
use cs_proto::events::v1::{MeetingPublished, NotificationFanOutRequested, NotificationMatchRequested};
use cs_proto::search::v1::search_client::SearchClient;
use cs_proto::search::v1::{SearchFilter, SearchMode, SearchRequest, SearchResponse};

use crate::announce::{MEETING_PUBLISHED, ask, ask_match};
use crate::home::parse;
use crate::saved_search::required;
use crate::store::notices;
use crate::store::searches::{self, Followed};
use crate::{Deps, Error, SCHEMA};

/// Searches tried in one job.
const BATCH: i64 = 100;
const DEADLINE: Duration = Duration::from_secs(5);
/// A meeting that is not in the index after this many tries matches nothing: it may have no text at all.
const PATIENCE: i32 = 8;
/// Hits looked at: the words may stand apart, in different passages.
const HITS: u32 = 5;

/// `notification.match.requested`: the searches after the last one tried.
pub async fn matching(
    deps: &Deps,
    caller: &Caller,
    job: &Job,
    request: &NotificationMatchRequested,
) -> Result<(), HandlerError> {
    let event = request.meeting.as_ref().ok_or_else(|| Error::invalid("meeting", "must be given"))?;
    let meeting: MeetingId = parse("meeting_id", &event.meeting_id)?;
    let kind = if request.r#type.is_empty() { MEETING_PUBLISHED } else { &request.r#type };
    let us = Caller::service(SCHEMA, caller.tenant, caller.trace.child());
    let mut tx = deps.db.tenant(caller).await?;
    let notice = notices::of(&mut tx, meeting, kind).await?.ok_or(Error::NotFound("notice"))?;
    let tried = searches::followed(&mut tx, &request.after_key, BATCH).await?;
    tx.commit().await?;
    if request.after_key.is_empty()
        && job.attempt < PATIENCE
        && !tried.is_empty()
        && !is_there(deps, &us, event).await?
    {
        return Err(HandlerError::Transient("the index does not have the meeting yet".to_owned()));
    }
    let mut matched = Vec::new();
    for search in tried.iter().filter(|search| concerns(search, event)) {
        if matches(deps, &us, event, search).await? {
            matched.push(search.match_key.clone());
        }
    }
    let now = deps.ids.now();
    let mut tx = deps.db.tenant(caller).await?;
    searches::keep_matches(&mut tx, notice.id, &matched).await?;
    match tried.last() {
        Some(last) if i64::try_from(tried.len()) == Ok(BATCH) => {
            let next = NotificationMatchRequested { after_key: last.match_key.clone(), ..request.clone() };
            ask_match(&mut tx, caller, &deps.ids, &next).await?;
        }
        // All of them were tried: their followers are told.
        _ => {
            let first = NotificationFanOutRequested {
                meeting: request.meeting.clone(),
                after_user_id: String::new(),
                r#type: kind.to_owned(),
                saved_searches: true,
            };
            ask(&mut tx, caller, &deps.ids, &first).await?;
        }
    }
    jobs::finish(&mut tx, job, now).await?;
    tx.commit().await?;
    tracing::info!(meeting_id = %meeting, searches = tried.len(), matched = matched.len(), "saved searches were tried");
    Ok(())
}

/// Whether a search looks where the meeting was.
fn concerns(search: &Followed, event: &MeetingPublished) -> bool {
    let within = |ids: &[String], id: &String| ids.is_empty() || ids.contains(id);
    within(&search.filter.city_ids, &event.city_id) && within(&search.filter.body_ids, &event.body_id)
}

async fn is_there(deps: &Deps, us: &Caller, event: &MeetingPublished) -> Result<bool, Error> {
    let words = format!("{} {}", event.title, event.short_summary.chars().take(300).collect::<String>());
    let request = SearchRequest { query: words, first: 1, ..within(event) };
    Ok(!ask_search(deps, us, request).await?.hits.is_empty())
}

/// Whether every word that says something stands in what the search finds of the meeting.
async fn matches(
    deps: &Deps,
    us: &Caller,
    event: &MeetingPublished,
    search: &Followed,
) -> Result<bool, Error> {
    let mut request = SearchRequest { query: search.query.clone(), first: HITS, ..within(event) };
    if let Some(filter) = &mut request.filter {
        filter.artifact_kinds = search.filter.artifact_kinds.clone();
    }
    let hits = ask_search(deps, us, request).await?.hits;
    let found: Vec<String> = hits
        .iter()
        .filter_map(|hit| hit.explanation.as_ref())
        .flat_map(|explanation| &explanation.matched_terms)
        .map(|term| term.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
        .collect();
    let wanted = required(&search.query);
    // A word with marks inside comes back in parts, each of them found.
    Ok(!hits.is_empty() && wanted.iter().all(|word| found.contains(word) || in_parts(word, &found)))
}

fn in_parts(word: &str, found: &[String]) -> bool {
    let mut rest = word;
    while !rest.is_empty() {
        match found.iter().find(|part| !part.is_empty() && rest.starts_with(part.as_str())) {
            Some(part) => rest = &rest[part.len()..],
            None => return false,
        }
    }
    true
}

/// By keyword, in one meeting.
fn within(event: &MeetingPublished) -> SearchRequest {
    let filter = SearchFilter { meeting_ids: vec![event.meeting_id.clone()], ..SearchFilter::default() };
    SearchRequest { mode: SearchMode::Keyword.into(), filter: Some(filter), ..SearchRequest::default() }
}

async fn ask_search(deps: &Deps, us: &Caller, request: SearchRequest) -> Result<SearchResponse, Error> {
    let channel = deps.search.clone().ok_or_else(|| {
        Error::Search(cs_rpc::Failure::from(&tonic::Status::unavailable(
            "search runs elsewhere: say where with --services search=http://HOST:PORT",
        )))
    })?;
    let failed = |status: tonic::Status| Error::Search(cs_rpc::Failure::from(&status));
    let request = deps.outbound.to("search").request(us, request, DEADLINE).map_err(failed)?;
    Ok(SearchClient::new(channel).search(request).await.map_err(failed)?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_marks_inside_is_found_in_parts() {
        let found = ["short".to_owned(), "term".to_owned(), "rentals".to_owned()];
        assert!(in_parts("shortterm", &found));
        assert!(!in_parts("shortlist", &found));
    }

    #[test]
    fn a_search_elsewhere_is_not_tried() {
        let event = MeetingPublished { city_id: "a".into(), body_id: "b".into(), ..Default::default() };
        let search = |cities: &[&str]| Followed {
            match_key: String::new(),
            query: String::new(),
            filter: crate::saved_search::Filter {
                city_ids: cities.iter().map(|id| (*id).to_owned()).collect(),
                ..Default::default()
            },
        };
        assert!(concerns(&search(&[]), &event) && concerns(&search(&["x", "a"]), &event));
        assert!(!concerns(&search(&["x"]), &event));
    }
}
