//! Whether a meeting answers a saved search.

use std::sync::Arc;
use std::time::Duration;

use cs_core::{Caller, MeetingId, Trace};
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::search::v1 as pb;
use cs_proto::search::v1::search_server::Search;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use search::index::{Filters, Part, SearchIndex, Visibility, VisibleTags};
use search::query::parse;
use search::{Deps, SearchService};

use crate::support::*;

#[tokio::test]
async fn a_meeting_answers_where_one_passage_holds_everything() {
    let (index, _dir) = index();
    let (tenant, meeting) = (uuid(1), uuid(10));
    put(
        &index,
        tenant,
        meeting,
        1,
        &["The council adopted short term rental rules for the Marigny", "Parking rules near the library"],
    )
    .await;
    put(&index, tenant, uuid(11), 1, &["Library budget hearing", "sidewalk dining"]).await;
    let answers = async |query: &str, meeting: u128| {
        search::best_match(
            &index,
            tenant,
            everyone(),
            uuid(meeting),
            parse(query),
            Filters { from: parse(query).from, ..Filters::default() },
        )
        .await
        .unwrap()
        .map(|hit| hit.passage.text)
    };
    assert!(answers("short-term rentals", 10).await.unwrap().contains("rental rules"));
    assert!(answers("library rules", 10).await.unwrap().starts_with("Parking"));
    for (query, meeting) in [
        ("short-term rentals", 11),
        // All its words are there, in different passages.
        ("library rental", 10),
        // Words that stand nowhere at all, or only in another spelling or order.
        ("rental zeppelin", 10),
        ("\"rental term\"", 10),
        ("librari parkin zeppelin", 10),
        ("library -parking", 10),
        ("library from:2030", 11),
        ("", 10),
        ("-library", 12),
    ] {
        assert_eq!(answers(query, meeting).await, None, "{query}");
    }
    assert!(answers("\"term rental\" -hotel", 10).await.is_some());
}

#[tokio::test]
async fn what_may_not_be_read_answers_nothing() {
    let (index, _dir) = index();
    let (tenant, meeting) = (uuid(1), uuid(10));
    let mut doc = passage(tenant, meeting, 0, "zoning in closed session");
    doc.visibility = Visibility::Reviewer;
    index.replace_meeting(tenant, meeting, Part::Documents, 1, vec![doc]).await.unwrap();
    let answer = async |tenant, visible| {
        search::best_match(&index, tenant, visible, meeting, parse("zoning"), Filters::default())
            .await
            .unwrap()
    };
    assert!(answer(tenant, everyone()).await.is_none());
    assert!(answer(uuid(2), VisibleTags::of(Visibility::ALL)).await.is_none());
    assert!(answer(tenant, VisibleTags::of(Visibility::ALL)).await.is_some());
}

#[tokio::test]
async fn a_saved_search_that_cannot_be_read_stops_no_other() {
    let (index, _dir) = index();
    let (tenant, meeting) = (uuid(1), uuid(10));
    put(&index, tenant, meeting, 1, &["Parking rules near the library"]).await;
    let nowhere = cs_rpc::InMemory::default().channel();
    let clock = Arc::new(cs_core::SystemClock);
    let service = SearchService::new(Deps {
        index: Arc::new(index),
        embedder: None,
        meetings: MeetingsClient::new(nowhere.clone()),
        summaries: SummariesClient::new(nowhere),
        outbound: cs_rpc::Outbound::new("search", cs_rpc::SigningKey::generate().unwrap(), clock),
        deadline: Duration::from_secs(1),
    });
    let saved = |id: &str, kinds: &[&str]| pb::SavedSearch {
        id: id.into(),
        query: "library parking".into(),
        filter: Some(pb::SearchFilter {
            artifact_kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            ..pb::SearchFilter::default()
        }),
    };
    let message = pb::MatchSavedSearchesRequest {
        meeting_id: MeetingId::from(meeting).to_string(),
        searches: vec![saved("odd", &["video"]), saved("plain", &[])],
        ..pb::MatchSavedSearchesRequest::default()
    };
    let mut request = tonic::Request::new(message);
    request.extensions_mut().insert(Caller::service("notifications", tenant.into(), Trace::start()));
    let answer = service.match_saved_searches(request).await.unwrap().into_inner();
    let matched: Vec<&str> = answer.matches.iter().map(|found| found.id.as_str()).collect();
    assert_eq!((answer.indexed, matched), (true, vec!["plain"]));
}
