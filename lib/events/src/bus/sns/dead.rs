//! Dead-letter queues as lists. SQS has no peeking: what is listed is taken for a moment and given back, so of two
//! operators who list at once each may see a part.

use std::collections::HashMap;

use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, MessageSystemAttributeName};
use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::EventId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::wire::{self, Wire};
use super::{BYTES, ENTRIES, SnsBus, failed, internal};
use crate::bus::{Bus, BusError, DeadFilter, DeadMessage, Delivery, Receipt};

/// How long listed messages are out of the others' sight.
const LOOKED_AT: i32 = 30;
/// Most that is looked through.
const MOST: usize = 10_000;
/// What this library adds to a message that it puts to the dead letters.
const ADDED: [&str; 4] = ["dead_error", "dead_attempts", "dead_at", "dead_parked"];
/// Longest error that goes along.
const ERROR: usize = 1_000;

/// A message of a dead-letter queue, in hand.
struct Found {
    handle: String,
    wire: Wire,
    dead: DeadMessage,
}

impl SnsBus {
    /// A copy among the dead letters, then the end of the message. A crash in between leaves both, with one id.
    pub(super) async fn to_dead_letters(
        &self,
        delivery: &Delivery,
        error: &str,
        parked: bool,
    ) -> Result<(), BusError> {
        let Receipt::Handle { body, attributes, .. } = &delivery.receipt else { return Ok(()) };
        let mut wire = Wire { body: body.clone(), attributes: attributes.clone() };
        // Somebody else's message may fill all the room there is: then it goes without its story, but it goes.
        if wire.body.len() + ERROR + 1_024 < BYTES {
            let now = self.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
            let added = [text(error), delivery.attempt.to_string(), now, parked.to_string()];
            wire.attributes.extend(ADDED.map(str::to_owned).into_iter().zip(added));
        }
        let url = self.url(&self.names.dead(&delivery.queue)).await?;
        self.send_wires(&url, &[wire]).await?;
        self.done(std::slice::from_ref(delivery)).await.map(|_| ())
    }

    pub(super) async fn dead_letters(
        &self,
        queue: &str,
        which: DeadFilter<'_>,
        most: u32,
    ) -> Result<Vec<DeadMessage>, BusError> {
        let all = self.look_through(queue).await?;
        let handles: Vec<&str> = all.iter().map(|found| found.handle.as_str()).collect();
        self.put_back(queue, &handles).await?;
        let mut seen = std::collections::HashSet::new();
        let mut dead: Vec<DeadMessage> = all
            .into_iter()
            .map(|found| found.dead)
            .filter(|dead| DeadFilter::owner(dead.envelope["tenant_id"].as_str()) == which.tenant)
            .filter(|dead| which.kind.is_empty() || which.kind == dead.kind)
            .filter(|dead| which.event.is_none_or(|event| event == dead.event))
            .filter(|dead| which.before.is_none_or(|before| dead.died_at < before))
            .filter(|dead| seen.insert(dead.event))
            .collect();
        dead.sort_by_key(|dead| dead.died_at);
        if which.before.is_none() {
            dead.reverse();
        }
        dead.truncate(most as usize);
        Ok(dead)
    }

    /// Sends dead letters to their queue again; gives which.
    pub(super) async fn send_again(
        &self,
        queue: &str,
        wanted: impl Fn(&DeadMessage) -> bool,
    ) -> Result<Vec<EventId>, BusError> {
        let (again, others): (Vec<Found>, Vec<Found>) =
            self.look_through(queue).await?.into_iter().partition(|found| wanted(&found.dead));
        let others: Vec<&str> = others.iter().map(|found| found.handle.as_str()).collect();
        self.put_back(queue, &others).await?;
        let wires: Vec<Wire> = again
            .iter()
            .map(|found| {
                let mut wire = found.wire.clone();
                wire.attributes.retain(|name, _| !ADDED.contains(&name.as_str()));
                wire
            })
            .collect();
        // First sent, then forgotten: a crash in between leaves both, and the second delivery has no effect.
        self.send_wires(&self.queue_url(queue).await?, &wires).await?;
        self.delete(queue, &again).await?;
        let mut events: Vec<EventId> = again.into_iter().map(|found| found.dead.event).collect();
        events.sort_unstable();
        events.dedup();
        Ok(events)
    }

    pub(super) async fn forget_dead(&self, queue: &str, event: EventId) -> Result<bool, BusError> {
        let (gone, others): (Vec<Found>, Vec<Found>) =
            self.look_through(queue).await?.into_iter().partition(|found| found.dead.event == event);
        let others: Vec<&str> = others.iter().map(|found| found.handle.as_str()).collect();
        self.put_back(queue, &others).await?;
        self.delete(queue, &gone).await?;
        Ok(!gone.is_empty())
    }

    /// Takes every dead letter of a queue in hand.
    async fn look_through(&self, queue: &str) -> Result<Vec<Found>, BusError> {
        let name = self.names.dead(queue);
        let url = self.url(&name).await?;
        let mut all = Vec::new();
        while all.len() < MOST {
            let received = self
                .sqs
                .receive_message()
                .queue_url(&url)
                .max_number_of_messages(ENTRIES as i32)
                .visibility_timeout(LOOKED_AT)
                // Without a wait SQS asks only some of its machines.
                .wait_time_seconds(1)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
                .send()
                .await
                .map_err(|e| failed("sqs:ReceiveMessage", &name, e))?;
            let messages = received.messages.unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            for message in messages {
                let sent = message
                    .attributes()
                    .and_then(|a| a.get(&MessageSystemAttributeName::SentTimestamp))
                    .and_then(|at| at.parse().ok())
                    .and_then(DateTime::from_timestamp_millis);
                let count = wire::receive_count(&message);
                let Some(handle) = message.receipt_handle.clone() else { continue };
                let (body, attributes) = wire::parts(message);
                let dead = self.describe(&body, &attributes, sent, count).await?;
                all.push(Found { handle, wire: Wire { body, attributes }, dead });
            }
        }
        Ok(all)
    }

    async fn describe(
        &self,
        body: &str,
        attributes: &HashMap<String, String>,
        sent: Option<DateTime<Utc>>,
        count: u32,
    ) -> Result<DeadMessage, BusError> {
        let told = |name: &str| attributes.get(name).cloned();
        let envelope = match self.read(body).await? {
            Ok(envelope) => serde_json::to_value(envelope).map_err(|e| internal("decoding", &e))?,
            Err(rubbish) => serde_json::Value::String(rubbish.bytes),
        };
        let event = envelope["id"].as_str().and_then(|id| id.parse().ok());
        let kind = envelope["type"].as_str().map(str::to_owned).or_else(|| told("type")).unwrap_or_default();
        let died_at = told("dead_at").and_then(|at| DateTime::parse_from_rfc3339(&at).ok()).map(Into::into);
        Ok(DeadMessage {
            event: event.unwrap_or_else(|| name_of(body)),
            kind,
            envelope,
            attempts: told("dead_attempts").and_then(|n| n.parse().ok()).unwrap_or(count),
            error: told("dead_error")
                .unwrap_or_else(|| "SQS gave it up: it was taken again and again and never ended".to_owned()),
            died_at: died_at.or(sent).unwrap_or_default(),
            parked: told("dead_parked").is_some_and(|parked| parked == "true"),
        })
    }

    async fn put_back(&self, queue: &str, handles: &[&str]) -> Result<(), BusError> {
        let name = self.names.dead(queue);
        for chunk in handles.chunks(ENTRIES) {
            let mut call = self.sqs.change_message_visibility_batch().queue_url(self.url(&name).await?);
            for (number, handle) in chunk.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(number.to_string())
                    .receipt_handle(*handle)
                    .visibility_timeout(0);
                let entry = entry.build().map_err(|e| internal("sqs:ChangeMessageVisibilityBatch", &e))?;
                call = call.entries(entry);
            }
            call.send().await.map_err(|e| failed("sqs:ChangeMessageVisibilityBatch", &name, e))?;
        }
        Ok(())
    }

    async fn delete(&self, queue: &str, found: &[Found]) -> Result<(), BusError> {
        let name = self.names.dead(queue);
        for one in found {
            let call =
                self.sqs.delete_message().queue_url(self.url(&name).await?).receipt_handle(&one.handle);
            call.send().await.map_err(|e| failed("sqs:DeleteMessage", &name, e))?;
        }
        Ok(())
    }
}

/// A name for what has none: the same bytes have the same.
fn name_of(body: &str) -> EventId {
    let digest: [u8; 32] = Sha256::digest(body).into();
    EventId::from(Uuid::from_slice(&digest[..16]).unwrap_or_default())
}

/// An error as an attribute may carry it: not empty, not long, no control characters.
fn text(error: &str) -> String {
    let mut text: String = error.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= ERROR - 4).last().unwrap_or(0);
    if text.len() > ERROR {
        text.truncate(end);
    }
    if text.is_empty() { "no reason was given".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_fits_into_an_attribute() {
        assert_eq!(text(""), "no reason was given");
        assert_eq!(text("a\u{0}b"), "ab");
        assert!(text(&"é".repeat(2_000)).len() <= ERROR);
        assert_eq!(name_of("x"), name_of("x"));
        assert_ne!(name_of("x"), name_of("y"));
    }
}
