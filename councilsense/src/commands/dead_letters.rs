//! Dead letters, as an operator handles them: gRPC calls to the running instance, or to one that runs as long as the
//! command.

use std::collections::BTreeMap;

use cs_proto::ops::v1 as ops;
use serde_json::{Value, json};
use tonic::Status;

use super::local::{Services, told};
use super::operate::print;
use crate::config::{DlqVerb, Settings};
use crate::desk::Answer;

fn row(letter: ops::DeadLetter) -> (String, Value) {
    let state = if letter.parked { "parked" } else { letter.origin.as_str() };
    let line = format!(
        "{}  {state:<6} {:<28} after {} tries: {}",
        letter.id, letter.r#type, letter.attempts, letter.error
    );
    // What is no envelope is shown as the text it is.
    let parsed = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
    let value = json!({ "id": letter.id, "origin": letter.origin, "parked": letter.parked, "type": letter.r#type,
        "place": letter.place, "queue": letter.queue, "attempts": letter.attempts, "error": letter.error,
        "failed_at": letter.failed_at, "traceparent": letter.traceparent, "payload": parsed(letter.payload),
        "envelope": parsed(letter.envelope) });
    (line, value)
}

/// What is printed is all there is, or the command says who did not answer and fails.
fn complete(silent: BTreeMap<&'static str, Status>) -> anyhow::Result<()> {
    let mut told: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (place, status) in silent {
        told.entry(self::told(status).to_string()).or_default().push(place);
    }
    if told.is_empty() {
        return Ok(());
    }
    let told: Vec<String> =
        told.into_iter().map(|(why, places)| format!("{}: {why}", places.join(", "))).collect();
    anyhow::bail!("{}", told.join("\n"))
}

pub(crate) async fn dead_letters(settings: Settings, verb: DlqVerb) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
        let desk = services.desk();
        let unasked = services.unasked();
        if !unasked.is_empty() {
            eprintln!("not asked: {}; say where they run with --services", unasked.join(", "));
        }
        let silent = match verb {
            DlqVerb::List { kind, after } => {
                let answer = desk.list(&kind, &after).await;
                print(&settings, answer.found.letters.into_iter().map(row).collect())?;
                if let Some(cursor) = answer.found.more {
                    eprintln!("there are more: see them with --after {cursor}");
                }
                answer.silent
            }
            DlqVerb::Show { id } => {
                let answer = desk.show(&id).await;
                if let Some(letter) = answer.found {
                    println!("{}", serde_json::to_string_pretty(&row(letter).1)?);
                }
                answer.silent
            }
            DlqVerb::Replay { ids, kind, all } => {
                let answer = desk.replay(ids, &kind, all).await;
                services.settle().await?;
                let rows =
                    answer.found.into_iter().map(|id| (format!("{id} sent again"), json!({ "id": id })));
                print(&settings, rows.collect())?;
                answer.silent
            }
            DlqVerb::Discard { ids, kind, reason } => {
                let of_type = if kind.is_empty() { Answer::default() } else { desk.ids(&kind).await };
                let (mut silent, mut rows) = (of_type.silent, Vec::new());
                for id in ids.into_iter().chain(of_type.found) {
                    let answer = desk.discard(&id, &reason).await;
                    silent.extend(answer.silent);
                    if answer.found {
                        rows.push((format!("{id} discarded"), json!({ "id": id })));
                    }
                }
                print(&settings, rows)?;
                silent
            }
            DlqVerb::History => {
                let answer = desk.history().await;
                let rows = answer.found.into_iter().map(|i| {
                    let line = format!(
                        "{}  {}  {} {} {} {}  {}",
                        i.at, i.actor, i.action, i.place, i.r#type, i.letter, i.reason
                    );
                    let value = json!({ "at": i.at, "actor": i.actor, "action": i.action, "place": i.place,
                        "type": i.r#type, "letter": i.letter, "reason": i.reason });
                    (line.trim_end().to_owned(), value)
                });
                print(&settings, rows.collect())?;
                answer.silent
            }
            DlqVerb::ReplayOutbox { since, kind, queue } => {
                let answer = desk.replay_outbox(&since, &kind, &queue).await;
                let facts = answer.found;
                let line = format!("{facts} facts sent to {queue} again");
                print(&settings, vec![(line, json!({ "queue": queue, "facts": facts }))])?;
                answer.silent
            }
        };
        complete(silent)
    })
    .await
}
