//! Dead letters, as an operator handles them: gRPC calls to the running instance, or to one that runs as long as the
//! command.

use cs_proto::ops::v1 as ops;
use cs_proto::ops::v1::dead_letters_client::DeadLettersClient;
use serde_json::{Value, json};

use super::local::{Services, told};
use super::operate::print;
use crate::config::{DlqVerb, Settings};
use crate::wiring::Role;

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

pub(crate) async fn dead_letters(settings: Settings, verb: DlqVerb) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
    // Every service of an instance answers for all of them.
    let mut client = DeadLettersClient::new(services.channel(Role::Meetings)?);
    match verb {
        DlqVerb::List { kind } => {
            let request = services.request(ops::ListDeadLettersRequest { r#type: kind, first: 500 })?;
            let letters = client.list_dead_letters(request).await.map_err(told)?.into_inner().dead_letters;
            print(&settings, letters.into_iter().map(row).collect())?;
        }
        DlqVerb::Show { id } => {
            let request = services.request(ops::GetDeadLetterRequest { id })?;
            let letter = client.get_dead_letter(request).await.map_err(told)?.into_inner().dead_letter;
            let letter =
                letter.ok_or_else(|| anyhow::anyhow!("`councilsense dlq list` shows what there is"))?;
            println!("{}", serde_json::to_string_pretty(&row(letter).1)?);
        }
        DlqVerb::Replay { ids, kind, all } => {
            let request = services.request(ops::ReplayDeadLettersRequest { ids, r#type: kind, all })?;
            let ids = client.replay_dead_letters(request).await.map_err(told)?.into_inner().ids;
            services.settle().await?;
            print(
                &settings,
                ids.into_iter().map(|id| (format!("{id} sent again"), json!({ "id": id }))).collect(),
            )?;
        }
        DlqVerb::Discard { id, reason } => {
            let request = services.request(ops::DiscardDeadLetterRequest { id, reason })?;
            let id = client.discard_dead_letter(request).await.map_err(told)?.into_inner().id;
            print(&settings, vec![(format!("{id} discarded"), json!({ "id": id }))])?;
        }
        DlqVerb::History => {
            let request = services.request(ops::ListInterventionsRequest { first: 500 })?;
            let done = client.list_interventions(request).await.map_err(told)?.into_inner().interventions;
            let rows = done.into_iter().map(|i| {
                let line =
                    format!("{}  {}  {} {} {} {}  {}", i.at, i.actor, i.action, i.place, i.r#type, i.letter, i.reason);
                let value = json!({ "at": i.at, "actor": i.actor, "action": i.action, "place": i.place, "type": i.r#type,
                    "letter": i.letter, "reason": i.reason });
                (line.trim_end().to_owned(), value)
            });
            print(&settings, rows.collect())?;
        }
        DlqVerb::ReplayOutbox { since, kind, queue } => {
            let request =
                services.request(ops::ReplayOutboxRequest { since, r#type: kind, queue: queue.clone() })?;
            let facts = client.replay_outbox(request).await.map_err(told)?.into_inner().facts;
            let line = format!("{facts} facts sent to {queue} again");
            print(&settings, vec![(line, json!({ "queue": queue, "facts": facts }))])?;
        }
    }
    Ok(())
    }).await
}
