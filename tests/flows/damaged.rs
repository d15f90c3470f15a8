//! The real program: an index that is damaged or gone is built anew at the next start, and said; the next version is
//! built while the instance runs.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::MINUTES;
use crate::program::{Up, answer, scratch};

fn only_store(index: &Path) -> PathBuf {
    let tenant = std::fs::read_dir(index.join("tenants")).unwrap().next().unwrap().unwrap().path();
    let files = std::fs::read_dir(tenant).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|e| e == "store")).max().unwrap()
}

#[test]
fn a_damaged_index_is_built_anew_and_the_next_version_while_it_serves() {
    let dir = scratch();
    let documents = dir.path().join("documents");
    for day in 1..=2 {
        let folder = documents.join(format!("2023-01-0{day}-city-council"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("minutes.txt"), format!("{MINUTES}\nDay {day}\n")).unwrap();
    }
    let data = dir.path().join("data");
    let taken = answer(&data, &["ingest", "--city", "springfield", documents.to_str().unwrap()]);
    assert_eq!(taken["meetings"].as_array().unwrap().len(), 2, "{taken}");

    // Gone, where `up` has never been.
    std::fs::remove_dir_all(data.join("index")).unwrap();
    let (up, said) = Up::start(&data);
    assert!(said.contains("search index built anew"), "{said}");
    up.stop();

    let store = only_store(&data.join("index-2"));
    let mut bytes = std::fs::read(&store).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&store, bytes).unwrap();
    let (up, said) = Up::start(&data);
    assert!(said.contains("search index built anew"), "{said}");

    // Built and compared by the instance that runs; a second one goes back.
    let built = answer(&data, &["reindex"]);
    assert_eq!(built, json!([{ "meetings": 2, "engine": "embedded", "version": "index-4" }]));
    assert_eq!(answer(&data, &["reindex", "--rollback"]), json!([{ "version": "index-3" }]));
    up.stop();

    // Nothing is damaged now, and nothing is built at the next start; nobody runs, so the command is an instance.
    let built = answer(&data, &["reindex"]);
    assert_eq!(built[0]["version"], "index-4");
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("index-") {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let (up, said) = Up::start(&data);
    assert!(said.contains("search index built anew"), "an index that is gone: {said}");
    up.stop();
    let (up, said) = Up::start(&data);
    assert!(!said.contains("search index built anew"), "{said}");
    up.stop();
}
