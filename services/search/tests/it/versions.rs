//! The next version is built beside the one that serves, taken in one step, and gone back from.

use std::sync::Arc;
use std::time::Duration;

use cs_proto::search::v1 as pb;
use cs_proto::search::v1::search_server::Search;
use search::index::embedded::OnDamage;
use search::index::versions::VersionedIndex;
use search::index::{IndexError, Part, SearchIndex, Visibility};
use search::rank::RankParams;
use tempfile::TempDir;

use crate::support::*;

fn open(dir: &TempDir) -> VersionedIndex {
    let (index, damaged) = VersionedIndex::open(dir.path(), RankParams::default(), OnDamage::Refuse).unwrap();
    assert!(damaged.is_empty());
    index
}

fn now() -> chrono::DateTime<chrono::Utc> {
    "2026-03-01T10:00:00.123456Z".parse().unwrap()
}

/// Back to the version before, which was told nothing meanwhile.
async fn back(live: &VersionedIndex) -> Result<String, IndexError> {
    live.begin_back(now()).await?.switch(async { Ok::<_, IndexError>(()) }).await
}

async fn found(index: &dyn SearchIndex) -> Vec<String> {
    let found = index.search(words(uuid(1), "zoning")).await.unwrap();
    let mut texts: Vec<String> = texts(&found).into_iter().map(str::to_owned).collect();
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_wait_for_the_switch_and_searches_do_not() {
    let dir = TempDir::new().unwrap();
    let live = open(&dir);
    put(&live, uuid(1), uuid(10), 1, &["zoning old"]).await;
    let building = live.begin(now()).await.unwrap();
    put(&*building.index(), uuid(1), uuid(10), 5, &["zoning new"]).await;
    assert_eq!(found(&live).await, ["zoning old"]);
    // Told while it is built: the build finds it where it comes from.
    put(&live, uuid(1), uuid(11), 1, &["zoning meanwhile"]).await;
    assert_eq!(found(&live).await, ["zoning meanwhile", "zoning old"]);

    let (next, other) = (building.index(), live.clone());
    let mut waiting = None;
    let last_pass = async {
        let change = async move {
            put(&other, uuid(1), uuid(12), 1, &["zoning late"]).await;
            other.set_visibility(uuid(1), uuid(300), 9, Visibility::Member).await.unwrap();
        };
        let change = waiting.insert(tokio::spawn(change));
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut *change).await.is_err(), "it waits");
        assert_eq!(found(&live).await, ["zoning meanwhile", "zoning old"], "searches are answered");
        put(&*next, uuid(1), uuid(11), 2, &["zoning meanwhile"]).await;
        Ok::<_, IndexError>(())
    };
    assert_eq!(building.switch(last_pass).await.unwrap(), "index-2");
    waiting.unwrap().await.unwrap();
    assert_eq!(live.name(), "index-2");
    assert!(found(&live).await.is_empty(), "what was hidden during the switch is hidden in what is used now");
    live.set_visibility(uuid(1), uuid(300), 10, Visibility::Public).await.unwrap();
    assert_eq!(found(&live).await, ["zoning late", "zoning meanwhile", "zoning new"]);
    drop((live, next));

    // A start finds the version that was taken; the one before is there, and nothing says that one is being built.
    let live = open(&dir);
    assert_eq!((live.name().as_str(), found(&live).await.len()), ("index-2", 3));
    assert!(dir.path().join("index").exists() && !dir.path().join("index-2/since").exists());
    assert_eq!(back(&live).await.unwrap(), "index");
    assert_eq!(found(&live).await, ["zoning meanwhile", "zoning old"]);
    put(&live, uuid(1), uuid(13), 1, &["zoning again"]).await;
    assert_eq!(back(&live).await.unwrap(), "index-2", "forward again");
    assert_eq!(found(&live).await.len(), 3);
}

#[tokio::test]
async fn a_build_that_ended_half_way_goes_on_where_it_was() {
    let dir = TempDir::new().unwrap();
    let live = open(&dir);
    put(&live, uuid(1), uuid(10), 1, &["zoning old"]).await;
    let building = live.begin(now()).await.unwrap();
    put(&*building.index(), uuid(1), uuid(10), 5, &["zoning new"]).await;
    assert!(matches!(live.begin(now()).await, Err(IndexError::Building)), "one at a time");
    assert!(matches!(back(&live).await, Err(IndexError::Building)));
    drop((building, live));

    let live = open(&dir);
    assert_eq!(found(&live).await, ["zoning old"]);
    assert!(matches!(back(&live).await, Err(IndexError::NoVersionBefore(_))));
    let building = live.begin(now() + Duration::from_secs(60)).await.unwrap();
    assert_eq!(building.since(), now(), "what changed since then must be caught up with");
    let there = building.index().version(uuid(1), uuid(10), Part::Documents).await.unwrap();
    assert_eq!(there, Some(5));
    // A last pass that fails leaves everything as it was.
    let refused = building.switch(async { Err(IndexError::Closed) }).await;
    assert!(matches!(refused, Err(IndexError::Closed)));
    assert_eq!((live.name().as_str(), found(&live).await), ("index", vec!["zoning old".to_owned()]));

    // One that cannot be read is begun anew.
    let format = dir.path().join("index-2/engine.json");
    std::fs::write(format, "not json").unwrap();
    let building = live.begin(now() + Duration::from_secs(60)).await.unwrap();
    assert_eq!(building.since(), now() + Duration::from_secs(60));
    assert!(building.index().meetings(uuid(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_one_before_stays_and_older_ones_go() {
    let dir = TempDir::new().unwrap();
    let live = open(&dir);
    for n in 0..3 {
        put(&live, uuid(1), uuid(10), n, &[&format!("zoning {n}")]).await;
        let building = live.begin(now()).await.unwrap();
        put(&*building.index(), uuid(1), uuid(10), n, &[&format!("zoning {n}")]).await;
        building.switch(async { Ok::<_, IndexError>(()) }).await.unwrap();
    }
    let there = |name: &str| dir.path().join(name).exists();
    assert!(!there("index") && !there("index-2") && there("index-3") && there("index-4"));
    // A tenant that is erased does not come back with the version before.
    live.erase_tenant(uuid(1)).await.unwrap();
    assert_eq!(back(&live).await.unwrap(), "index-3");
    assert!(found(&live).await.is_empty() && live.is_empty());
    let shared: Arc<dyn SearchIndex> = Arc::new(live);
    assert_eq!(shared.versioned().unwrap().name(), "index-3");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_before_is_told_what_it_missed_before_it_is_used() {
    let dir = TempDir::new().unwrap();
    let live = open(&dir);
    put(&live, uuid(1), uuid(10), 1, &["zoning"]).await;
    let building = live.begin(now()).await.unwrap();
    put(&*building.index(), uuid(1), uuid(10), 1, &["zoning"]).await;
    building.switch(async { Ok::<_, IndexError>(()) }).await.unwrap();
    live.set_visibility(uuid(1), uuid(300), 9, Visibility::Reviewer).await.unwrap();
    assert!(found(&live).await.is_empty());

    let later = now() + Duration::from_secs(60);
    let going_back = live.begin_back(later).await.unwrap();
    assert_eq!(going_back.since(), now(), "from when on it was not told everything");
    assert!(matches!(live.begin(later).await, Err(IndexError::Building)));
    let before = going_back.index();
    let told = async {
        before.set_visibility(uuid(1), uuid(300), 9, Visibility::Reviewer).await?;
        Ok::<_, IndexError>(())
    };
    assert_eq!(going_back.switch(told).await.unwrap(), "index");
    assert!(found(&live).await.is_empty());
    drop(before);
    // Forward again: since that switch the other one was told nothing.
    assert_eq!(live.begin_back(later + Duration::from_secs(9)).await.unwrap().since(), later);
}

#[tokio::test]
async fn an_index_that_lacks_something_says_so_until_another_one_is_built() {
    let dir = TempDir::new().unwrap();
    let live = open(&dir);
    let flags = async || {
        let service = service(Arc::new(live.clone()), None);
        let asked = pb::SearchRequest { query: "zoning".to_owned(), ..Default::default() };
        service.search(of_tenant(uuid(1), asked)).await.unwrap().into_inner().degraded
    };
    assert_eq!(flags().await, ["keyword_only"]);
    live.set_lacking(true);
    assert_eq!(flags().await, ["keyword_only", "rebuilding"]);
    let building = live.begin(now()).await.unwrap();
    building.switch(async { Ok::<_, IndexError>(()) }).await.unwrap();
    assert_eq!(flags().await, ["keyword_only"]);
}
