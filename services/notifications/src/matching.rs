//! Which saved searches does a meeting match? Search is asked when the index has the meeting; the same search of many
//! people is tried once.

use std::time::Duration;

use cs_core::{Caller, MeetingId};
use cs_events::jobs::{self, Job};
use cs_events::{HandlerError, dies_at};
use cs_proto::events::v1::{MeetingPublished, NotificationFanOutRequested, NotificationMatchRequested};
use cs_proto::search::v1::search_client::SearchClient;
use cs_proto::search::v1::{
    MatchSavedSearchesRequest, MatchSavedSearchesResponse, SavedSearch, SearchFilter,
};

use crate::announce::{MEETING_PUBLISHED, ask, ask_match};
use crate::home::parse;
use crate::store::searches::{self, Followed};
use crate::store::{erasure, notices};
use crate::{Deps, Error, SCHEMA};

/// Searches tried in one job.
const BATCH: i64 = 50;
/// Search tries them one after another; a cluster that is busy takes some hundred milliseconds for each.
const DEADLINE: Duration = Duration::from_secs(30);

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
    if erasure::is_withdrawn(&mut tx, meeting, event.version).await? {
        // The index lets go of it, and nobody is to be told.
        jobs::finish(&mut tx, job, deps.ids.now()).await?;
        return Ok(tx.commit().await?);
    }
    let tried = searches::followed(&mut tx, &request.after_key, BATCH).await?;
    tx.commit().await?;
    dies_at!("matching.read");
    let asked: Vec<&Followed> =
        tried.iter().filter(|search| readable(search) && concerns(search, event)).collect();
    let answer = if asked.is_empty() { all_there() } else { ask_search(deps, &us, event, &asked).await? };
    // How long the index lags says nothing about the meeting: only what was published without any text is never found.
    if !answer.indexed && !event.text_sha256.is_empty() {
        return Err(HandlerError::Transient("the index does not have the meeting yet".to_owned()));
    }
    dies_at!("matching.asked");
    let matched: Vec<String> = answer.matches.into_iter().map(|matched| matched.id).collect();
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
    dies_at!("matching.kept");
    jobs::finish(&mut tx, job, now).await?;
    tx.commit().await?;
    dies_at!("matching.committed");
    tracing::info!(meeting_id = %meeting, searches = tried.len(), matched = matched.len(), "saved searches were tried");
    Ok(())
}

/// Whether search can read it. One that was kept before kinds were checked must not fail the others of its batch.
fn readable(search: &Followed) -> bool {
    let kinds = search.filter.kinds();
    if let Err(unknown) = &kinds {
        tracing::warn!(match_key = search.match_key, %unknown, "a saved search cannot be tried and is passed over");
    }
    kinds.is_ok()
}

/// Whether a search looks where the meeting was.
fn concerns(search: &Followed, event: &MeetingPublished) -> bool {
    let within = |ids: &[String], id: &String| ids.is_empty() || ids.contains(id);
    within(&search.filter.city_ids, &event.city_id) && within(&search.filter.body_ids, &event.body_id)
}

fn all_there() -> MatchSavedSearchesResponse {
    MatchSavedSearchesResponse { indexed: true, ..MatchSavedSearchesResponse::default() }
}

/// Search matches against what every resident who signed in may read: nobody is told of a passage that they could not open.
async fn ask_search(
    deps: &Deps,
    us: &Caller,
    event: &MeetingPublished,
    searches: &[&Followed],
) -> Result<MatchSavedSearchesResponse, Error> {
    let channel = deps.search.clone().ok_or_else(|| {
        Error::Search(cs_rpc::Failure::from(&tonic::Status::unavailable(
            "search runs elsewhere: say where with --services search=http://HOST:PORT",
        )))
    })?;
    let saved = |search: &&Followed| SavedSearch {
        id: search.match_key.clone(),
        query: search.query.clone(),
        filter: Some(SearchFilter {
            artifact_kinds: search.filter.artifact_kinds.clone(),
            ..SearchFilter::default()
        }),
    };
    let message = MatchSavedSearchesRequest {
        meeting_id: event.meeting_id.clone(),
        summary_version: event.version,
        visible: Vec::new(),
        searches: searches.iter().map(saved).collect(),
    };
    let failed = |status: tonic::Status| Error::Search(cs_rpc::Failure::from(&status));
    let request = deps.outbound.to("search").request(us, message, DEADLINE).map_err(failed)?;
    Ok(SearchClient::new(channel).match_saved_searches(request).await.map_err(failed)?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

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
