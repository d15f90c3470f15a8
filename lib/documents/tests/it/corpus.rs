//! The published documents of a real city, where the corpus is at hand.

use std::collections::HashSet;
use std::path::PathBuf;

use cs_documents::{extract, folder};

/// The folder of the corpus, or a note that it is not there.
fn corpus() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests are told of the corpus by the environment")]
    let root = std::env::var("COUNCILSENSE_CORPUS").ok().map(|c| PathBuf::from(c).join("new_orleans"));
    if root.is_none() {
        eprintln!("skipped: set COUNCILSENSE_CORPUS to the folder that holds new_orleans");
    }
    root
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn every_file_is_read_as_other_readers_read_it() {
    let Some(root) = corpus() else { return };
    let mut files = 0;
    for line in include_str!("expected.tsv").lines().filter(|l| !l.starts_with('#')) {
        let mut fields = line.split('\t');
        let (file, count) = (fields.next().unwrap(), fields.next().unwrap().parse::<usize>().unwrap());
        let read =
            extract(file, &std::fs::read(root.join(file)).unwrap()).unwrap_or_else(|e| panic!("{file}: {e}"));
        let found = words(&read.text.text);
        let off = found.len().abs_diff(count);
        assert!(off * 50 <= count + 500, "{file}: {} words, expected {count}", found.len());
        let runs: HashSet<String> = found.windows(4).map(|w| w.join(" ")).collect();
        let phrases: Vec<&str> = fields.collect();
        let missing: Vec<_> = phrases.iter().filter(|p| !runs.contains(**p)).collect();
        assert!(missing.len() * 20 <= phrases.len(), "{file}: missing {missing:?}");
        files += 1;
    }
    assert_eq!(files, 36);
}

#[test]
fn no_file_is_lost() {
    let Some(root) = corpus() else { return };
    let scan = folder::scan(&root, &folder::Introductions::new(cs_documents::Reader::InProcess)).unwrap();
    assert_eq!(scan.meetings.len(), 19);
    assert!(scan.meetings.iter().all(|m| m.error.is_none()));
    assert_eq!(scan.meetings.iter().map(|m| m.artifacts.len()).sum::<usize>(), 36);
    assert_eq!(scan.ignored.len(), 1, "the voting rolls: {:?}", scan.ignored);
    let march = scan.meetings.iter().find(|m| m.meeting_uid == "city-council-2023-03-09").unwrap();
    assert_eq!(march.artifacts.len(), 4);
}
