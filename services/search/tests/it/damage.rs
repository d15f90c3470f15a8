//! Directories that are damaged, taken or too new.

use std::fs;

use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::{IndexError, SearchIndex};
use search::rank::RankParams;

use crate::support::*;

fn try_open(dir: &tempfile::TempDir, on_damage: OnDamage) -> Result<(EmbeddedIndex, usize), IndexError> {
    EmbeddedIndex::open(dir.path(), RankParams::default(), on_damage)
        .map(|(index, damaged)| (index, damaged.len()))
}

#[tokio::test]
async fn a_damaged_file_is_noticed_and_can_be_set_aside() {
    for victim in ["store", "term", "idx", "pos", "meta.json"] {
        let (index, dir) = index();
        put(&index, uuid(1), uuid(10), 1, &["zoning ordinance adopted"]).await;
        put(&index, uuid(2), uuid(20), 1, &["zoning"]).await;
        drop(index);
        let files = fs::read_dir(dir.path().join("tenants").join(uuid(1).to_string())).unwrap();
        let file =
            files.map(|f| f.unwrap().path()).find(|f| f.to_string_lossy().ends_with(victim)).expect(victim);
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle] ^= 0x55;
        fs::write(&file, bytes).unwrap();
        assert!(matches!(try_open(&dir, OnDamage::Refuse), Err(IndexError::Corrupt { .. })), "{victim}");
        let (index, damaged) = try_open(&dir, OnDamage::StartEmpty).unwrap();
        assert_eq!(damaged, 1);
        assert!(index.search(words(uuid(1), "zoning")).await.unwrap().hits.is_empty());
        assert_eq!(index.search(words(uuid(2), "zoning")).await.unwrap().hits.len(), 1);
        put(&index, uuid(1), uuid(10), 1, &["zoning again"]).await;
        assert_eq!(index.search(words(uuid(1), "zoning")).await.unwrap().hits.len(), 1);
    }
}

#[tokio::test]
async fn a_truncated_file_is_noticed() {
    let (index, dir) = index();
    put(&index, uuid(1), uuid(10), 1, &["zoning ordinance adopted"]).await;
    drop(index);
    let files = fs::read_dir(dir.path().join("tenants").join(uuid(1).to_string())).unwrap();
    let file = files.map(|f| f.unwrap().path()).find(|f| f.to_string_lossy().ends_with("store")).unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(try_open(&dir, OnDamage::Refuse), Err(IndexError::Corrupt { .. })));
}

#[tokio::test]
async fn one_process_at_a_time_and_no_newer_format() {
    let (index, dir) = index();
    assert!(matches!(try_open(&dir, OnDamage::Refuse), Err(IndexError::InUse(_))));
    drop(index);
    fs::write(dir.path().join("engine.json"), r#"{"format": 999}"#).unwrap();
    assert!(matches!(try_open(&dir, OnDamage::Refuse), Err(IndexError::NewerFormat { found: 999, .. })));
    assert!(matches!(try_open(&dir, OnDamage::StartEmpty), Err(IndexError::NewerFormat { .. })));
    fs::write(dir.path().join("engine.json"), "not json").unwrap();
    assert!(matches!(try_open(&dir, OnDamage::Refuse), Err(IndexError::Corrupt { .. })));
}

#[tokio::test]
async fn where_the_format_cannot_be_read_every_tenant_is_built_again() {
    let (index, dir) = index();
    put(&index, uuid(1), uuid(10), 1, &["zoning"]).await;
    put(&index, uuid(2), uuid(20), 1, &["zoning"]).await;
    drop(index);
    fs::write(dir.path().join("engine.json"), "{\"form").unwrap();
    let (index, damaged) = try_open(&dir, OnDamage::StartEmpty).unwrap();
    assert_eq!(damaged, 2);
    for tenant in [uuid(1), uuid(2)] {
        assert!(index.search(words(tenant, "zoning")).await.unwrap().hits.is_empty());
        assert!(dir.path().join("damaged").join(tenant.to_string()).exists());
        put(&index, tenant, uuid(10), 1, &["zoning again"]).await;
    }
    drop(index);
    // Whoever built them again may have been killed in between: it is said until somebody says that it is done.
    let (index, damaged) = try_open(&dir, OnDamage::Refuse).unwrap();
    assert_eq!((damaged, index.search(words(uuid(1), "zoning")).await.unwrap().hits.len()), (2, 1));
    index.forget_damaged().unwrap();
    drop(index);
    assert_eq!(try_open(&dir, OnDamage::Refuse).unwrap().1, 0);
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_copy_of_the_live_directory() {
    // A copy taken while the process runs is what a crash leaves.
    let (index, dir) = index();
    put(&index, uuid(1), uuid(10), 1, &["zoning ordinance adopted"]).await;
    let copy = tempfile::TempDir::new().unwrap();
    let tenant = copy.path().join("tenants").join(uuid(1).to_string());
    fs::create_dir_all(&tenant).unwrap();
    for file in fs::read_dir(dir.path().join("tenants").join(uuid(1).to_string())).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), tenant.join(file.file_name())).unwrap();
    }
    fs::copy(dir.path().join("engine.json"), copy.path().join("engine.json")).unwrap();
    let copied = open(&copy);
    assert_eq!(copied.search(words(uuid(1), "zoning")).await.unwrap().hits.len(), 1);
    put(&copied, uuid(1), uuid(10), 2, &["zoning again"]).await;
    assert_eq!(texts(&copied.search(words(uuid(1), "zoning")).await.unwrap()), ["zoning again"]);
}
