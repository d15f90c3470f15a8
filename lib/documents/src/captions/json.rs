//! Caption JSON: `[{start, duration, text}]` and its relatives (a list under a key; a `timestamp` such as `4:18-9:53`).

use serde_json::Value;

use super::Cue;

/// Whether every entry of the list (bare, or under the only list key of an object) has words and a time.
pub(crate) fn looks_like_captions(value: &Value) -> bool {
    cues(value).is_some()
}

pub(super) fn cues(value: &Value) -> Option<Vec<Cue>> {
    let list = match value {
        Value::Array(list) => list,
        Value::Object(map) => {
            let mut lists = map.values().filter_map(Value::as_array);
            let list = lists.next()?;
            if lists.next().is_some() {
                return None;
            }
            list
        }
        _ => return None,
    };
    if list.is_empty() {
        return None;
    }
    let mut cues: Vec<Cue> = list.iter().map(cue).collect::<Option<_>>()?;
    cues.sort_by_key(|c| c.start);
    Some(cues)
}

fn cue(entry: &Value) -> Option<Cue> {
    let words = ["text", "page_content", "content", "utf8"].iter().find_map(|k| entry.get(k)?.as_str())?;
    let start = seconds(entry, &["start", "start_time", "from", "timestamp", "time", "begin"])
        .or_else(|| entry.get("start_ms")?.as_u64())?;
    let speaker = entry.get("speaker").and_then(Value::as_str).map(str::to_owned);
    Some(Cue { start, text: words.to_owned(), speaker })
}

/// Seconds (a number, or digits in a string) or a clock time, as milliseconds.
fn seconds(entry: &Value, keys: &[&str]) -> Option<u64> {
    keys.iter().find_map(|k| match entry.get(k)? {
        Value::Number(n) => from_seconds(n.as_f64()?),
        Value::String(s) => {
            let from = s.split(['-', '–']).next().unwrap_or(s).trim();
            if from.contains(':') { super::timed::clock(from) } else { from_seconds(from.parse().ok()?) }
        }
        _ => None,
    })
}

fn from_seconds(seconds: f64) -> Option<u64> {
    // A month is longer than any meeting; beyond it the number is no time.
    (0.0..2_700_000.0).contains(&seconds).then(|| (seconds * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_of_words_with_times_are_captions() {
        let plain = json!([{"start": 1.5, "duration": 2, "text": "good morning"}, {"start": "4", "text": "roll call"}]);
        let found = cues(&plain).unwrap();
        assert_eq!((found[0].start, found[1].start), (1500, 4000));
        let nested = json!({"messages": [{"timestamp": "1:04:18-1:09:53", "page_content": "good morning"}]});
        assert_eq!(cues(&nested).unwrap()[0].start, 3_858_000);
    }

    #[test]
    fn other_json_is_not() {
        assert!(!looks_like_captions(&json!({"message": [{"page_content": "Ordinance: CAL. NO. 33,974"}]})));
        assert!(!looks_like_captions(&json!([])));
        assert!(!looks_like_captions(&json!({"title": "Regular meeting"})));
    }
}
