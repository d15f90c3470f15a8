//! Rolls of votes that somebody has read from minutes: `… voted on ordinance CAL. NO. 33,974 : Green: yeas, Harris: nays.`

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::extraction::{Ballot, KINDS};

static ROLL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)\bvoted\s+on\s+\w+\s+(?P<matter>[^:]+?)\s*:\s*(?P<roll>[^|]+)$")
        .expect("a fixed expression")
});

/// The ballots of every roll in the documents.
pub(super) fn read(documents: &[Value]) -> BTreeSet<Ballot> {
    let mut out = BTreeSet::new();
    documents.iter().for_each(|document| collect(document, &mut out));
    out
}

/// Rolls stand as strings somewhere in the document.
fn collect(value: &Value, out: &mut BTreeSet<Ballot>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, out)),
        Value::String(text) => {
            let Some(found) = ROLL.captures(text.trim()) else { return };
            for entry in found["roll"].split(',') {
                let Some((name, vote)) = entry.split_once(':') else { continue };
                let vote = vote.trim().trim_end_matches('.').to_lowercase();
                if let Some(kind) = KINDS.iter().find(|kind| **kind == vote) {
                    out.insert((key(&found["matter"]), surname(name), kind));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What two spellings of a number share: `MOTION M-23-100` and `M-23-100`, `CAL. NO. 33,974` and `CAL. NO.33,974`.
pub(super) fn key(number: &str) -> String {
    let tail = number.trim().rsplit(char::is_whitespace).next().unwrap_or_default();
    tail.trim_start_matches("NO.").chars().filter(char::is_ascii_alphanumeric).collect()
}

pub(super) fn surname(name: &str) -> String {
    name.trim().to_lowercase()
}
