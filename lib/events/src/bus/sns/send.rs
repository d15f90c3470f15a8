//! Sends to queues and to the topic, in batches that one call takes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::Ordering;

use aws_sdk_sns::types::PublishBatchRequestEntry;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

use super::wire::{self, Wire};
use super::{SnsBus, failed, internal, remote};
use crate::bus::{BusError, Unpublished};
use crate::envelope::{Envelope, Resource};
use crate::fault;

impl SnsBus {
    fn group(&self, wire: &Wire) -> Option<String> {
        self.groups.load(Ordering::Relaxed).then(|| wire.attributes.get(wire::LANE).cloned()).flatten()
    }

    /// Whether a refusal is of the group: then none is sent from here on, and the call may be made again.
    fn refused_groups(&self, message: Option<&str>) -> bool {
        let refused = names_group(message) && self.groups.swap(false, Ordering::Relaxed);
        if refused {
            tracing::warn!(
                "this server takes no groups on standard queues: it orders what is beyond the look ahead as it likes"
            );
        }
        refused
    }

    /// Sends wires to a queue, in as few calls as their sizes allow.
    pub(super) async fn send_wires(&self, url: &str, wires: &[Wire]) -> Result<(), BusError> {
        for chunk in wire::batches(wires) {
            match self.send_batch(url, chunk).await {
                Err(BusError::Remote { message, .. }) if self.refused_groups(Some(&message)) => {
                    self.send_batch(url, chunk).await?;
                }
                sent => sent?,
            }
        }
        Ok(())
    }

    async fn send_batch(&self, url: &str, wires: &[Wire]) -> Result<(), BusError> {
        let mut call = self.sqs.send_message_batch().queue_url(url);
        for (number, wire) in wires.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(number.to_string())
                .message_body(&wire.body)
                .set_message_attributes(Some(wire.for_sqs()?))
                .set_message_group_id(self.group(wire))
                .build()
                .map_err(|e| internal("sqs:SendMessageBatch", &e))?;
            call = call.entries(entry);
        }
        let sent = call.send().await.map_err(|e| failed("sqs:SendMessageBatch", url, e))?;
        match sent.failed().first() {
            Some(refused) => Err(remote("sqs:SendMessageBatch", refused.message().unwrap_or(refused.code()))),
            None => Ok(()),
        }
    }

    /// Publishes in as few calls as sizes and order allow; gives what was not sent. Of a resource whose fact was not taken
    /// now, and is to come again, nothing later is sent. An error: nothing was.
    pub(super) async fn publish_in_order(
        &self,
        topic: &str,
        wires: &[Wire],
        envelopes: &[Envelope],
    ) -> Result<Vec<Unpublished>, BusError> {
        let mut left = Left::default();
        let mut sent = false;
        for (wires, events) in in_order(wires, envelopes) {
            let (wires, events) = left.hold_back(wires, events);
            if events.is_empty() {
                continue;
            }
            if sent {
                fault!("sns.part_published");
            }
            match self.publish_batch(topic, &wires, &events).await {
                Ok(unpublished) => left.add(&events, unpublished),
                // Its message is refused by the call itself, and the others with it: each is sent alone.
                Err((_, true)) if events.len() > 1 => {
                    for (wire, event) in wires.iter().zip(events.iter()) {
                        let (wire, event) = (std::slice::from_ref(wire), std::slice::from_ref(event));
                        match self.publish_batch(topic, wire, event).await {
                            Ok(unpublished) => left.add(event, unpublished),
                            Err((error, refused)) => left.add(event, unpublished(event, &error, refused)),
                        }
                    }
                }
                Err((error, false)) if !sent => return Err(error),
                Err((error, refused)) => left.add(&events, unpublished(&events, &error, refused)),
            }
            sent = true;
        }
        Ok(left.unpublished)
    }

    /// Publishes what one call takes. An error says whether the call was refused for what is in it.
    pub(super) async fn publish_batch(
        &self,
        topic: &str,
        wires: &[Wire],
        envelopes: &[Envelope],
    ) -> Result<Vec<Unpublished>, (BusError, bool)> {
        match self.publish_once(topic, wires, envelopes).await {
            Err((BusError::Remote { message, .. }, _)) if self.refused_groups(Some(&message)) => {
                self.publish_once(topic, wires, envelopes).await
            }
            published => published,
        }
    }

    async fn publish_once(
        &self,
        topic: &str,
        wires: &[Wire],
        envelopes: &[Envelope],
    ) -> Result<Vec<Unpublished>, (BusError, bool)> {
        let mut call = self.sns.publish_batch().topic_arn(topic);
        for (number, wire) in wires.iter().enumerate() {
            let entry = PublishBatchRequestEntry::builder()
                .id(number.to_string())
                .message(&wire.body)
                .set_message_attributes(Some(wire.for_sns().map_err(|e| (e, false))?))
                .set_message_group_id(self.group(wire))
                .build()
                .map_err(|e| (internal("sns:PublishBatch", &e), false))?;
            call = call.publish_batch_request_entries(entry);
        }
        let sent = call.send().await.map_err(|e| {
            let refused = e.code().is_some_and(is_of_content);
            (failed("sns:PublishBatch", topic, e), refused)
        })?;
        for entry in sent.failed() {
            self.refused_groups(entry.message());
        }
        // What was taken is not published again.
        Ok(sent
            .failed()
            .iter()
            .filter_map(|entry| {
                let envelope = entry.id().parse::<usize>().ok().and_then(|number| envelopes.get(number))?;
                Some(Unpublished {
                    event: envelope.id,
                    error: entry.message().unwrap_or(entry.code()).to_owned(),
                    // Without its group it is taken the next time.
                    refused: entry.sender_fault()
                        && is_of_content(entry.code())
                        && !names_group(entry.message()),
                })
            })
            .collect())
    }
}

/// What was not sent so far.
#[derive(Default)]
struct Left {
    unpublished: Vec<Unpublished>,
    /// What those are about that come again; a fact that is refused for good holds up nothing.
    resources: HashSet<Resource>,
}

impl Left {
    fn add(&mut self, events: &[Envelope], unpublished: Vec<Unpublished>) {
        for one in unpublished {
            if !one.refused {
                let about = events.iter().find(|envelope| envelope.id == one.event);
                self.resources.extend(about.map(|envelope| envelope.resource.clone()));
            }
            self.unpublished.push(one);
        }
    }

    /// Those that may be sent; the others are left with what was not.
    fn hold_back<'a>(
        &mut self,
        wires: &'a [Wire],
        events: &'a [Envelope],
    ) -> (Cow<'a, [Wire]>, Cow<'a, [Envelope]>) {
        let waits = |envelope: &Envelope| self.resources.contains(&envelope.resource);
        if !events.iter().any(waits) {
            return (wires.into(), events.into());
        }
        let (later, now): (Vec<_>, Vec<_>) =
            wires.iter().zip(events).partition(|(_, envelope)| waits(envelope));
        self.unpublished.extend(later.into_iter().map(|(_, envelope)| Unpublished {
            event: envelope.id,
            error: "it waits for an earlier fact of its resource".to_owned(),
            refused: false,
        }));
        let (wires, events): (Vec<Wire>, Vec<Envelope>) =
            now.into_iter().map(|(w, e)| (w.clone(), e.clone())).unzip();
        (wires.into(), events.into())
    }
}

/// In batches that one call takes, none with two facts of a resource: a call may take the second and refuse the first.
fn in_order<'a>(wires: &'a [Wire], envelopes: &'a [Envelope]) -> Vec<(&'a [Wire], &'a [Envelope])> {
    let (mut calls, mut from) = (Vec::new(), 0);
    for chunk in wire::batches(wires) {
        let end = from + chunk.len();
        let (mut begin, mut named) = (from, HashSet::new());
        for at in from..end {
            if !named.insert(&envelopes[at].resource) {
                calls.push((&wires[begin..at], &envelopes[begin..at]));
                begin = at;
                named = HashSet::from([&envelopes[at].resource]);
            }
        }
        calls.push((&wires[begin..end], &envelopes[begin..end]));
        from = end;
    }
    calls
}

fn unpublished(envelopes: &[Envelope], error: &BusError, refused: bool) -> Vec<Unpublished> {
    envelopes.iter().map(|e| Unpublished { event: e.id, error: error.to_string(), refused }).collect()
}

/// Whether a refusal is for what a message is, and not for who sends it, how often or where to.
fn is_of_content(code: &str) -> bool {
    [
        "InvalidParameter",
        "ParameterValueInvalid",
        "InvalidMessageContents",
        "ValidationE",
        "BatchRequestTooLong",
    ]
    .iter()
    .any(|prefix| code.rsplit('.').next().unwrap_or(code).starts_with(prefix))
}

fn names_group(message: Option<&str>) -> bool {
    message.is_some_and(|message| message.contains("MessageGroupId"))
}
