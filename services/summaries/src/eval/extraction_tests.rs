//! The evaluation of structured records, on a made-up legislature.

use super::extraction::{ExtractionError, eval_extraction};

const EVENT: &str = r#"{"ID": 7, "Items": [
    {"MatterFile": "Int 0001-2023", "Title": "A Local Law about bins", "ActionText": "A motion was made that this Introduction be Approved by Council approved by Roll Call.", "ActionName": "Approved by Council"},
    {"MatterFile": "Int 0002-2023", "Title": "A Local Law about trees", "ActionText": "This Introduction was Laid Over by Committee", "ActionName": "Laid Over by Committee"},
    {"Title": "Roll call"}]}"#;

fn matter(file: &str, action: &str, votes: &str) -> String {
    format!(
        r#"{{"File": "{file}", "History": [{{"EventID": 7, "Action": "{action}", "PassedFlagName": "Pass", "Votes": [{votes}]}}, {{"Action": "Introduced by Council"}}]}}"#
    )
}

#[test]
fn a_legislature_is_held_against_its_own_histories() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    let votes = r#"{"FullName": "Ann Roe", "Vote": "Affirmative"}, {"FullName": "Cy Lee, Jr.", "Vote": "Affirmative"}, {"FullName": "Di Fox", "Vote": "Negative"}"#;
    write("event.json", EVENT);
    write("captions.json", r#"[{"start": 0.0, "duration": 1.0, "text": "hello"}]"#);
    write("one.json", &matter("Int 0001-2023", "Approved by Council", votes));
    write("two.json", &matter("Int 0002-2023", "Laid Over by Committee", ""));
    let found = eval_extraction(dir.path()).expect("a report").structured.expect("structured");
    let decisions = found.decisions.expect("decisions");
    assert_eq!(
        (decisions.truth, decisions.extracted, decisions.shared),
        (2, 2, 2),
        "{:?}",
        found.differences
    );
    assert_eq!((found.votes.truth, found.votes.shared), (3, 3), "{:?}", found.differences);
    // Another outcome in the history is a difference on both sides.
    write("two.json", &matter("Int 0002-2023", "Withdrawn", ""));
    let decisions = eval_extraction(dir.path()).expect("a report").structured.and_then(|s| s.decisions);
    assert_eq!(decisions.map(|d| (d.shared, d.f1)), Some((1, 0.5)));
}

#[test]
fn a_folder_without_truth_says_what_is_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("a.json"), "[1, 2]").expect("written");
    assert!(matches!(eval_extraction(dir.path()), Err(ExtractionError::NoTruth(_))));
}
