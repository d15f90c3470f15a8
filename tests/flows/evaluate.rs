//! `councilsense eval search`: the figures of contracts §10, and no trace of it.

use std::path::Path;

use serde_json::json;

use crate::program::{answer, councilsense, scratch};

fn lines(path: &Path, of: &[serde_json::Value]) {
    std::fs::write(path, of.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[test]
fn a_collection_is_evaluated_without_a_trace() {
    let dir = scratch();
    let (collection, data) = (dir.path().join("collection"), dir.path().join("data"));
    std::fs::create_dir_all(&collection).unwrap();
    lines(
        &collection.join("corpus.jsonl"),
        &[
            json!({"_id": "a", "title": "", "text": "The council adopted the budget of the library.", "city": "springfield"}),
            json!({"_id": "b", "title": "", "text": "A library, a library, a library!", "city": "shelbyville"}),
            json!({"_id": "c", "title": "", "text": "Sidewalks on Elm Street will be repaired.", "city": "springfield"}),
            json!({"_id": "d", "title": "", "text": "The meeting was adjourned.", "city": "springfield"}),
        ],
    );
    lines(
        &collection.join("queries.jsonl"),
        &[
            json!({"_id": "1", "text": "library", "filter": {"city": "springfield"}}),
            json!({"_id": "2", "text": "sidewalks"}),
        ],
    );
    let judged = "query-id\tcorpus-id\tscore\n1\ta\t1\n2\tc\t1\n";
    std::fs::write(collection.join("qrels.tsv"), judged).unwrap();
    let path = collection.to_str().unwrap();

    for mode in ["keyword", "hybrid"] {
        let report = answer(&data, &["eval", "search", path, "--mode", mode]);
        assert_eq!(
            (&report["queries"], &report["mode"], &report["engine"]),
            (&json!(2), &json!(mode), &json!("embedded"))
        );
        for measure in ["ndcg_at_10", "recall_at_100", "mrr_at_10"] {
            assert_eq!(report[measure], 1.0, "{mode}: {report}");
        }
        assert!(["p50", "p95", "p99"].iter().all(|each| report["latency_ms"][each].is_number()), "{report}");
    }
    // Without the filter the other city's comes first: 1 at rank 2 is worth 1 / log2(3) of the best.
    let unfiltered = answer(&data, &["eval", "search", path, "--mode", "keyword", "--no-filter"]);
    let due = f64::midpoint(1.0, 1.0 / 3_f64.log2());
    assert!((unfiltered["ndcg_at_10"].as_f64().unwrap() - due).abs() < 1e-3, "{unfiltered}");
    assert_eq!(unfiltered["mrr_at_10"], 0.75);

    assert!(!data.exists(), "no trace");
    let missing = councilsense(&data, &["eval", "search", "/no/such/collection"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/no/such/collection"));
}
