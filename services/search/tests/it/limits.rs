//! What bounds a search, and what it says then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cs_proto::search::v1 as pb;
use cs_proto::search::v1::search_server::Search;
use cs_text::embed::{EmbedError, Embedder};
use search::index::{IndexError, Mode, Part, SearchIndex, SearchRequest};
use search::query::ParsedQuery;
use sha2::Digest;

use crate::place::{Place, contract};
use crate::support::*;

contract! {
    a_file_number_in_more_passages_than_are_candidates,
    strict_phrases_are_never_dropped,
    few_words_are_respelt,
    another_model_of_the_same_length_is_not_compared,
    days_typed_and_days_chosen_hold_both,
}

async fn a_file_number_in_more_passages_than_are_candidates(place: &Place) {
    let index = place.open().await;
    let tenant = uuid(1);
    let docs: Vec<_> =
        (0..1_100_u32).map(|n| passage(tenant, uuid(10), n, &format!("file 29,650 page {n}"))).collect();
    // The one that holds the word as well has the last key of all.
    let key = |id: &str| sha2::Sha256::digest(id)[..8].to_vec();
    let last = docs.iter().map(|doc| key(&doc.id)).max().unwrap();
    let n = (2_000..).find(|n| key(&format!("{}/{n}", uuid(11))) > last).unwrap();
    let best = passage(tenant, uuid(11), n, "zoning file 29,650");
    let wanted = best.id.clone();
    index.replace_meeting(tenant, uuid(10), Part::Documents, 1, docs).await.unwrap();
    index.replace_meeting(tenant, uuid(11), Part::Documents, 1, vec![best]).await.unwrap();
    for mode in [Mode::Keyword, Mode::Hybrid] {
        let asked = SearchRequest { mode, ..request(tenant, "Ord. 29,650 zoning") };
        let found = index.search(asked).await.unwrap();
        assert_eq!(ids(&found)[0], wanted, "{mode:?}");
    }
    let found = index.search(words(tenant, "Ord. 29,650 zoning")).await.unwrap();
    assert_eq!((found.total, found.reachable), (1_101, 1_000), "the best of them and no others");
}

async fn strict_phrases_are_never_dropped(place: &Place) {
    let index = place.open().await;
    put(&*index, uuid(1), uuid(10), 1, &["short term rentals", "zoning of rentals"]).await;
    let asked = |strict| {
        let asked = words(uuid(1), "\"rentals\" \"term rentals of zoning\"");
        SearchRequest { query: ParsedQuery { strict, ..asked.query }, ..asked }
    };
    let found = index.search(asked(false)).await.unwrap();
    assert_eq!((found.hits.len(), found.messages.len()), (2, 1));
    let found = index.search(asked(true)).await.unwrap();
    assert_eq!((found.hits.len(), found.messages.len()), (0, 0));
}

async fn few_words_are_respelt(place: &Place) {
    let index = place.open().await;
    // No ending of theirs is cut.
    let names = [
        "castellano",
        "drummond",
        "fitzpatrick",
        "giarrusso",
        "hollingsworth",
        "kowalczuk",
        "bouchard",
        "delacroix",
        "mazumdar",
        "okonkwo",
    ];
    put(&*index, uuid(1), uuid(10), 1, &[&names.join(" ")]).await;
    // One letter too many in each.
    let typed: Vec<String> = names.iter().map(|name| format!("{name}q")).collect();
    let found = index.search(words(uuid(1), &typed.join(" "))).await.unwrap();
    assert_eq!(found.hits.len(), 1);
    let respelt = found.messages.iter().filter(|told| told.contains("occurs nowhere")).count();
    assert_eq!(respelt, 8, "{:?}", found.messages);
    assert!(!found.partial);
}

/// A model of the same length as the one that made the index, and another one.
struct Other;

#[async_trait]
impl Embedder for Other {
    fn dimensions(&self) -> usize {
        DIMS
    }

    fn version(&self) -> &str {
        "other/1"
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts.iter().map(|text| embed(text)).collect())
    }
}

async fn another_model_of_the_same_length_is_not_compared(place: &Place) {
    let index: Arc<dyn SearchIndex> = place.open().await.into();
    put(&*index, uuid(1), uuid(10), 1, &["zoning"]).await;
    assert_eq!(index.embedders(uuid(1)).await.unwrap(), ["test/1"]);
    let service = service(index, Some(Arc::new(Other)));
    let asked = pb::SearchRequest { query: "zoning".to_owned(), ..Default::default() };
    let answer = service.search(of_tenant(uuid(1), asked)).await.unwrap().into_inner();
    assert_eq!((answer.hits.len(), answer.degraded), (1, vec!["keyword_only".to_owned()]));
    assert!(answer.notes[0].contains("another embedding model"), "{:?}", answer.notes);
}

async fn days_typed_and_days_chosen_hold_both(place: &Place) {
    let index: Arc<dyn SearchIndex> = place.open().await.into();
    for (n, day) in ["2022-05-01", "2023-05-01", "2024-05-01"].into_iter().enumerate() {
        let mut doc = passage(uuid(1), uuid(10 + n as u128), 0, &format!("zoning {day}"));
        doc.date = day.parse().unwrap();
        index.replace_meeting(uuid(1), doc.meeting_id, Part::Documents, 1, vec![doc]).await.unwrap();
    }
    let service = service(index, None);
    let asked = pb::SearchRequest {
        query: "zoning from:2023".to_owned(),
        filter: Some(pb::SearchFilter {
            from: "2022-01-01".to_owned(),
            to: "2023-12-31".to_owned(),
            ..pb::SearchFilter::default()
        }),
        ..pb::SearchRequest::default()
    };
    let answer = service.search(of_tenant(uuid(1), asked)).await.unwrap().into_inner();
    let texts: Vec<String> = answer.hits.into_iter().map(|hit| hit.passage.unwrap().text).collect();
    assert_eq!(texts, ["zoning 2023-05-01"]);
}

#[tokio::test]
async fn a_search_waits_for_its_turn_no_longer_than_its_time() {
    let (index, _dir) = index();
    put(&index, uuid(1), uuid(10), 1, &["zoning"]).await;
    let index = index.limited(0, Duration::from_millis(50));
    let late = index.search(request(uuid(1), "zoning")).await;
    assert!(matches!(late, Err(IndexError::Late(_))), "{late:?}");
    let index = index.limited(1, Duration::ZERO);
    let late = index.search(request(uuid(1), "zoning")).await;
    assert!(matches!(late, Err(IndexError::Late(_))), "no time is left before anything was found: {late:?}");
    let index = index.limited(1, Duration::from_secs(60));
    for _ in 0..3 {
        assert!(!index.search(request(uuid(1), "zoning")).await.unwrap().partial, "turns are given back");
    }
}
