//! What only an engine that is another process can do wrong.

use std::time::{Duration, Instant};

use cs_events::dying::dying;
use search::index::opensearch::{Generation, OpenSearchIndex, Options};
use search::index::{Applied, Filters, IndexError, Part, SearchIndex, SearchRequest, Visibility};
use uuid::Uuid;

use crate::place::Place;
use crate::support::*;

fn place() -> Option<Options> {
    match Place::opensearch()? {
        Place::OpenSearch(options) => Some(options),
        Place::Embedded(_) => None,
    }
}

#[tokio::test]
async fn an_index_laid_out_otherwise_is_refused_with_the_difference() {
    let Some(options) = place() else { return };
    let index = OpenSearchIndex::connect(options.clone()).await.unwrap();
    put(&index, uuid(1), uuid(10), 1, &["zoning"]).await;
    let other = Options { dimensions: DIMS + 1, ..options.clone() };
    let refused = OpenSearchIndex::connect(other.clone()).await.err().unwrap().to_string();
    assert!(refused.contains("vector.dimension: found 16, expected 17"), "{refused}");
    // The same where it is found only when something is written.
    let lazy = OpenSearchIndex::lazy(other).unwrap();
    let refused = lazy.remove_part(uuid(1), uuid(10), Part::Documents, 2).await.unwrap_err();
    assert!(matches!(refused, IndexError::Layout { .. }), "{refused}");
    index.remove_everything().await.unwrap();
}

#[tokio::test]
async fn an_engine_that_is_down_is_said_at_once() {
    // Port 9 of this machine: nobody listens.
    let index = OpenSearchIndex::lazy(Options::new("http://127.0.0.1:9".parse().unwrap(), DIMS)).unwrap();
    for _ in 0..5 {
        let error = index.search(request(uuid(1), "zoning")).await.unwrap_err();
        assert!(matches!(error, IndexError::Unavailable { .. }), "{error}");
    }
    let error = index.search(request(uuid(1), "zoning")).await.unwrap_err().to_string();
    assert!(error.contains("failed 3 times in a row"), "the breaker is open: {error}");
    assert!(index.ready().await.is_err());
    assert!(index.remove_part(uuid(1), uuid(2), Part::Documents, 1).await.is_err());
}

#[tokio::test]
async fn an_engine_that_is_slow_is_waited_for_no_longer_than_the_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let mut options = Options::new(url, DIMS);
    options.deadline = Duration::from_millis(300);
    let index = OpenSearchIndex::lazy(options).unwrap();
    let began = Instant::now();
    let error = index.search(request(uuid(1), "zoning")).await.unwrap_err();
    assert!(matches!(error, IndexError::Unavailable { .. }), "{error}");
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    drop(listener);
}

#[tokio::test]
async fn searches_that_are_late_open_no_breaker() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let mut options = Options::new(url, DIMS);
    options.deadline = Duration::from_millis(60);
    let index = OpenSearchIndex::lazy(options).unwrap();
    for _ in 0..5 {
        let error = index.search(request(uuid(1), "zoning")).await.unwrap_err().to_string();
        assert!(error.contains("no answer within"), "{error}");
    }
    // Whether it answers at all is asked beside, and that counts.
    for _ in 0..3 {
        assert!(index.ready().await.is_err());
    }
    let error = index.search(request(uuid(1), "zoning")).await.unwrap_err().to_string();
    assert!(error.contains("failed 3 times in a row"), "{error}");
    drop(listener);
}

#[tokio::test]
async fn an_engine_that_came_up_later_is_prepared_when_it_answers() {
    let Some(options) = place() else { return };
    let index = OpenSearchIndex::connect(options.clone()).await.unwrap();
    put(&index, uuid(1), uuid(10), 1, &["zoning"]).await;
    let other = OpenSearchIndex::lazy(Options { dimensions: DIMS + 1, ..options.clone() }).unwrap();
    let refused = other.ready().await.unwrap_err();
    assert!(matches!(refused, IndexError::Layout { .. }), "{refused}");
    let same = OpenSearchIndex::lazy(options).unwrap();
    same.ready().await.unwrap();
    same.ready().await.unwrap();
    index.remove_everything().await.unwrap();
}

#[tokio::test]
async fn versions_are_built_beside_switched_at_once_and_gone_back_to() {
    let Some(options) = place() else { return };
    let live = OpenSearchIndex::connect(options).await.unwrap();
    let (tenant, other) = (uuid(1), uuid(2));
    put(&live, tenant, uuid(10), 1, &["zoning old"]).await;
    let next = live.at_version(2);
    put(&next, tenant, uuid(10), 5, &["zoning new"]).await;
    put(&next, other, uuid(20), 5, &["zoning of another tenant"]).await;
    assert_eq!(texts(&live.search(words(tenant, "zoning")).await.unwrap()), ["zoning old"]);
    assert!(live.search(words(other, "zoning")).await.unwrap().hits.is_empty());
    assert!(next.meetings(tenant).await.unwrap().keys().map(|held| held.meeting).eq([uuid(10)]));

    live.switch(&[(tenant, 2), (other, 2)]).await.unwrap();
    assert_eq!(texts(&live.search(words(tenant, "zoning")).await.unwrap()), ["zoning new"]);
    assert_eq!(live.search(words(other, "zoning")).await.unwrap().hits.len(), 1);
    let stale = live.remove_part(tenant, uuid(10), Part::Documents, 3).await.unwrap();
    assert_eq!(stale, Applied::Stale { indexed: 5 }, "changes go to the version that is used");
    let versions = live.generation(tenant).await.unwrap();
    assert_eq!(versions, Generation { current: Some(2), versions: vec![1, 2] });

    live.switch(&[(tenant, 1)]).await.unwrap();
    assert_eq!(texts(&live.search(words(tenant, "zoning")).await.unwrap()), ["zoning old"]);
    live.remove_everything().await.unwrap();
    assert!(live.generations().await.unwrap().is_empty());
}

#[tokio::test]
async fn writers_in_two_processes_agree() {
    let Some(options) = place() else { return };
    let one = OpenSearchIndex::connect(options.clone()).await.unwrap();
    let two = OpenSearchIndex::connect(options).await.unwrap();
    let (tenant, meeting) = (uuid(1), uuid(10));
    put(&one, tenant, meeting, 1, &["zoning first"]).await;
    for round in 0..4 {
        let texts = ["zoning a", "zoning b", "zoning c"];
        // The same event taken twice, and a newer one at the same time.
        futures::join!(
            put(&one, tenant, meeting, 10 * round + 2, &texts),
            put(&two, tenant, meeting, 10 * round + 2, &texts),
            put(&two, tenant, meeting, 10 * round + 3, &texts[..2]),
        );
        let found = one.search(words(tenant, "zoning")).await.unwrap();
        assert_eq!(found.total, 2, "the newest has two: {:?}", texts);
    }
    one.remove_everything().await.unwrap();
}

/// A write is several calls; who dies between two of them leaves what the same event, taken again, makes whole.
#[tokio::test]
async fn a_write_that_was_broken_off_anywhere_is_made_whole_by_the_same_again() {
    let Some(options) = place() else { return };
    let index = OpenSearchIndex::connect(options.clone()).await.unwrap();
    let points = ["opensearch.entered", "opensearch.put", "opensearch.swept"];
    let tenant = uuid(1);
    for (meeting, point) in (10..).map(uuid).zip(points) {
        // The first time, and in the place of what stands there.
        for version in 1..=2 {
            let texts = [format!("zoning {version} of the river"), format!("zoning {version} of the hill")];
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let dead = OpenSearchIndex::connect(options.clone()).await.unwrap();
            let ended = dying(point, put(&dead, tenant, meeting, version, &texts)).await;
            assert!(ended.is_none(), "{point} was never reached");
            let whole = index.version(tenant, meeting, Part::Documents).await.unwrap();
            assert_eq!(
                whole,
                (version > 1).then_some(version - 1),
                "it is not taken for whole after {point}"
            );
            put(&index, tenant, meeting, version, &texts).await;
            let of_meeting = Filters { meetings: vec![meeting], ..Filters::default() };
            let found = index.search(SearchRequest { filters: of_meeting, ..words(tenant, "zoning") }).await;
            let found = found.unwrap();
            let mut there = self::texts(&found);
            there.sort_unstable();
            assert_eq!(there, [texts[1], texts[0]], "after {point}");
            assert_eq!(index.version(tenant, meeting, Part::Documents).await.unwrap(), Some(version));
        }
    }
    let dead = OpenSearchIndex::connect(options).await.unwrap();
    let hidden = |index: OpenSearchIndex| async move {
        index.set_visibility(tenant, uuid(300), 1, Visibility::Reviewer).await.unwrap();
    };
    assert!(dying("opensearch.told", hidden(dead)).await.is_none(), "never reached");
    index.set_visibility(tenant, uuid(300), 1, Visibility::Reviewer).await.unwrap();
    assert_eq!(index.search(words(tenant, "zoning")).await.unwrap().total, 0, "hidden in the end");
    index.remove_everything().await.unwrap();
}

#[tokio::test]
async fn many_changes_at_once_share_refreshes_and_a_tag_is_revoked_in_time() {
    let Some(options) = place() else { return };
    let index = OpenSearchIndex::connect(options).await.unwrap();
    let tenant = uuid(1);
    let put_one = |n: u128| {
        let mut doc = passage(tenant, uuid(1_000 + n), 0, "zoning of the river");
        doc.artifact_id = uuid(300 + n % 2);
        index.replace_meeting(tenant, uuid(1_000 + n), Part::Documents, 1, vec![doc])
    };
    futures::future::try_join_all((0..300).map(put_one)).await.unwrap();
    assert_eq!(index.search(words(tenant, "zoning")).await.unwrap().total, 300);
    let began = Instant::now();
    index.set_visibility(tenant, uuid(300), 1, Visibility::Reviewer).await.unwrap();
    let took = began.elapsed();
    assert_eq!(index.search(words(tenant, "zoning")).await.unwrap().total, 150);
    println!("150 passages were hidden in {took:?}");
    index.remove_everything().await.unwrap();
}

#[tokio::test]
async fn facets_filters_and_labels_are_those_of_the_embedded_engine() {
    let Some(options) = place() else { return };
    let far = OpenSearchIndex::connect(options).await.unwrap();
    let near = Place::embedded();
    let here = near.open().await;
    let tenant = uuid(1);
    let kinds = ["zoning", "budget hearing", "zoning budget", "short term rentals", "rentals and zoning"];
    let mut docs = Vec::new();
    for n in 0..40_u128 {
        let mut doc = passage(tenant, uuid(10 + n / 4), n as u32, kinds[n as usize % kinds.len()]);
        doc.city_id = uuid(100 + n % 3);
        doc.body_id = uuid(200 + n % 2);
        doc.date = doc.date + chrono::Days::new(n as u64 * 40);
        doc.labels.insert("topic".to_owned(), format!("t{}", n % 4));
        let meeting = Uuid::from_u128(5_000 + n);
        doc.meeting_id = meeting;
        docs.push(doc);
    }
    for index in [&*here, &far as &dyn SearchIndex] {
        let put = |doc: &search::index::PassageDoc| {
            index.replace_meeting(tenant, doc.meeting_id, Part::Documents, 1, vec![doc.clone()])
        };
        futures::future::try_join_all(docs.iter().map(put)).await.unwrap();
    }
    for query in
        ["zoning", "budget rentals", "\"short term\" rentals", "zoning -budget", "hearing of nothing"]
    {
        for narrow in 0..4 {
            let mut asked = request(tenant, query);
            asked.first = 100;
            match narrow {
                1 => asked.filters.cities = vec![uuid(101)],
                2 => asked.filters.labels = vec![("topic".to_owned(), "t2".to_owned())],
                3 => asked.filters.from = "2024-01-01".parse().ok(),
                _ => {}
            }
            let (a, b) =
                (here.search(asked.clone()).await.unwrap(), far.search(asked.clone()).await.unwrap());
            assert_eq!(
                (a.total, a.reachable, &a.facets),
                (b.total, b.reachable, &b.facets),
                "{query} {narrow}"
            );
            assert_eq!(a.messages, b.messages, "{query} {narrow}");
            let sorted = |r: &search::index::SearchResponse| {
                let mut all: Vec<String> = ids(r).into_iter().map(str::to_owned).collect();
                all.sort();
                all
            };
            assert_eq!(sorted(&a), sorted(&b), "{query} {narrow}");
            for (x, y) in a.hits.iter().zip(&b.hits) {
                let close = |x: Option<f32>, y: Option<f32>| match (x, y) {
                    (Some(x), Some(y)) => (x - y).abs() < 0.05,
                    (None, None) => true,
                    _ => false,
                };
                assert!((x.score - y.score).abs() < 0.1, "{query} {narrow}: {} {}", x.score, y.score);
                assert!(
                    close(x.explanation.vector_score, y.explanation.vector_score)
                        || x.passage.id != y.passage.id
                );
            }
        }
    }
    far.remove_everything().await.unwrap();
}
