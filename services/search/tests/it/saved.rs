//! Whether a meeting answers a saved search.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cs_core::MeetingId;
use cs_proto::search::v1 as pb;
use cs_proto::search::v1::search_server::Search;
use search::index::embedded::EmbeddedIndex;
use search::index::{
    Applied, Counts, Filters, Held, IndexError, IndexStats, Part, PassageDoc, SearchIndex, SearchRequest,
    SearchResponse, Visibility, VisibleTags,
};
use search::query::parse;
use uuid::Uuid;

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
    let service = service(Arc::new(index), None);
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
    let answer = service.match_saved_searches(of_tenant(tenant, message)).await.unwrap().into_inner();
    let matched: Vec<&str> = answer.matches.iter().map(|found| found.id.as_str()).collect();
    assert_eq!((answer.indexed, matched), (true, vec!["plain"]));
}

/// An engine that refuses searches for one word, and does the first of another's badly.
struct Refusing {
    inner: EmbeddedIndex,
    stumbled: AtomicBool,
}

#[async_trait]
impl SearchIndex for Refusing {
    async fn search(&self, request: SearchRequest) -> Result<SearchResponse, IndexError> {
        let words = &request.query.words;
        if words.contains("heavy") || words.contains("unlucky") && !self.stumbled.swap(true, Ordering::SeqCst)
        {
            return Err(IndexError::Late(Duration::from_secs(2)));
        }
        self.inner.search(request).await
    }

    async fn version(&self, tenant: Uuid, meeting: Uuid, part: Part) -> Result<Option<i64>, IndexError> {
        self.inner.version(tenant, meeting, part).await
    }

    async fn replace_meeting(
        &self,
        tenant: Uuid,
        meeting: Uuid,
        part: Part,
        version: i64,
        docs: Vec<PassageDoc>,
    ) -> Result<Applied, IndexError> {
        self.inner.replace_meeting(tenant, meeting, part, version, docs).await
    }

    async fn set_visibility(
        &self,
        tenant: Uuid,
        artifact: Uuid,
        version: i64,
        visibility: Visibility,
    ) -> Result<Applied, IndexError> {
        self.inner.set_visibility(tenant, artifact, version, visibility).await
    }

    async fn erase_tenant(&self, tenant: Uuid) -> Result<(), IndexError> {
        self.inner.erase_tenant(tenant).await
    }

    async fn bodies(&self, tenant: Uuid, visible: VisibleTags) -> Result<Vec<(Uuid, String)>, IndexError> {
        self.inner.bodies(tenant, visible).await
    }

    async fn meetings(&self, tenant: Uuid) -> Result<BTreeMap<Held, Counts>, IndexError> {
        self.inner.meetings(tenant).await
    }

    async fn stats(&self, tenant: Uuid) -> Result<IndexStats, IndexError> {
        self.inner.stats(tenant).await
    }

    async fn flush(&self) -> Result<(), IndexError> {
        self.inner.flush().await
    }
}

#[tokio::test]
async fn a_saved_search_that_fails_is_skipped_and_not_its_batch() {
    let (inner, _dir) = index();
    let (tenant, meeting) = (uuid(1), uuid(10));
    put(&inner, tenant, meeting, 1, &["Parking rules near the unlucky library"]).await;
    let service = service(Arc::new(Refusing { inner, stumbled: AtomicBool::new(false) }), None);
    let ask = async |queries: &[&str]| {
        let searches = queries.iter().map(|query| pb::SavedSearch {
            id: (*query).to_owned(),
            query: (*query).to_owned(),
            filter: None,
        });
        let message = pb::MatchSavedSearchesRequest {
            meeting_id: MeetingId::from(meeting).to_string(),
            searches: searches.collect(),
            ..pb::MatchSavedSearchesRequest::default()
        };
        let answer = service.match_saved_searches(of_tenant(tenant, message)).await?.into_inner();
        let mut matched: Vec<String> = answer.matches.into_iter().map(|found| found.id).collect();
        matched.sort();
        Ok::<_, tonic::Status>(matched)
    };
    assert_eq!(ask(&["heavy", "library", "unlucky"]).await.unwrap(), ["library", "unlucky"]);
    // Where nothing is answered the engine is to blame, and whoever asks comes again.
    assert_eq!(ask(&["heavy"]).await.unwrap_err().code(), tonic::Code::Unavailable);
}
