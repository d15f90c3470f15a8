//! What a process takes from a queue ahead of its turn, so that cities take turns.
//!
//! SQS gives out what it likes, in the main the oldest, so that whoever comes behind one city's backlog waits for the end of
//! it. A consumer therefore looks ahead: while few cities are in hand, it takes more, keeps them in
//! hand, and hands them out by cities in turn. How far it looks is bounded, and what is beyond is the server's to order:
//! every message names its city as its group, by which Amazon's own queues are fair.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, Message};
use tokio::time::Instant;

use super::{ENTRIES, SnsBus, failed, internal, seconds, wire};
use crate::bus::{BusError, within};

/// Messages of one queue that a process has in hand ahead of their turn, at most.
const MESSAGES: usize = 1_000;
/// And their bytes.
const BYTES: usize = 16 << 20;
/// Lanes to have in hand, where there are so many: as many as a consumer's lane serves at once.
const LANES: usize = 8;
/// Calls in one look.
const CALLS: usize = 10;

/// Longest that a process that stops waits until it is noted what it gives back: it has 20 seconds for all.
const NOTED_WITHIN: Duration = Duration::from_secs(5);

/// A message in hand.
pub(super) struct Held {
    pub(super) message: Message,
    /// Until then nobody else gets it.
    until: Instant,
}

impl Held {
    fn handle(&self) -> Option<String> {
        self.message.receipt_handle.clone()
    }
}

/// What is in hand of one queue.
#[derive(Default)]
pub(super) struct Ahead {
    /// One asks the server at a time: while it waits for messages, the others wait for what it finds.
    pub(super) asking: tokio::sync::Mutex<()>,
    held: Mutex<Lanes>,
}

#[derive(Default)]
struct Lanes {
    lanes: BTreeMap<String, VecDeque<Held>>,
    /// The lane that was served last.
    last: String,
    messages: usize,
    bytes: usize,
}

fn size(message: &Message) -> usize {
    message.body().map_or(0, str::len)
}

impl Ahead {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets those whose time is up: their receipts may still be taken by the server, though others have them.
    pub(super) fn drop_lapsed(&self) {
        let now = Instant::now();
        self.keep(|held| held.until > now);
    }

    fn keep(&self, mut stays: impl FnMut(&mut Held) -> bool) {
        let mut held = self.lanes();
        let (mut messages, mut bytes) = (0, 0);
        held.lanes.retain(|_, lane| {
            lane.retain_mut(&mut stays);
            messages += lane.len();
            bytes += lane.iter().map(|one| size(&one.message)).sum::<usize>();
            !lane.is_empty()
        });
        (held.messages, held.bytes) = (messages, bytes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes().messages == 0
    }

    /// Whether to look further: fewer than `most` lanes are in hand, and there is room.
    fn is_short(&self, most: usize) -> bool {
        let held = self.lanes();
        held.lanes.len() < most && held.messages + ENTRIES <= MESSAGES && held.bytes < BYTES
    }

    fn put(&self, messages: Vec<Message>, until: Instant) {
        let mut held = self.lanes();
        for message in messages {
            held.messages += 1;
            held.bytes += size(&message);
            let lane = wire::lane(&message);
            held.lanes.entry(lane).or_default().push_back(Held { message, until });
        }
    }

    /// Up to `most`, one of each lane in turn.
    pub(super) fn take(&self, most: usize) -> Vec<Held> {
        let mut held = self.lanes();
        let mut taken = Vec::new();
        while taken.len() < most {
            let after = (Bound::Excluded(held.last.as_str()), Bound::Unbounded);
            let next = held.lanes.range::<str, _>(after).next().or_else(|| held.lanes.iter().next());
            let Some(lane) = next.map(|(lane, _)| lane.clone()) else { break };
            let queue = held.lanes.entry(lane.clone()).or_default();
            let one = queue.pop_front();
            if queue.is_empty() {
                held.lanes.remove(&lane);
            }
            held.last = lane;
            if let Some(one) = one {
                held.messages -= 1;
                held.bytes -= size(&one.message);
                taken.push(one);
            }
        }
        taken
    }
}

impl SnsBus {
    /// Has something in hand, where there is anything.
    pub(super) async fn ask_ahead(
        &self,
        queue: &str,
        ahead: &Ahead,
        most: usize,
        lease: Duration,
    ) -> Result<(), BusError> {
        if ahead.is_empty() {
            let _asking = ahead.asking.lock().await;
            if ahead.is_empty() {
                self.first(queue, ahead, most, lease).await?;
            }
        } else if let Ok(_asking) = ahead.asking.try_lock() {
            self.look(queue, ahead, lease).await;
        }
        Ok(())
    }

    /// Takes what there is now, waiting for the first of it.
    async fn first(&self, queue: &str, ahead: &Ahead, most: usize, lease: Duration) -> Result<(), BusError> {
        let asked = most.min(ENTRIES);
        let found = self.ask(queue, ahead, asked, self.options.wait, lease).await?;
        if found == asked {
            self.look(queue, ahead, lease).await;
        }
        Ok(())
    }

    /// Looks further, until nothing more comes or enough is in hand. What was found before is served whatever happens.
    async fn look(&self, queue: &str, ahead: &Ahead, lease: Duration) {
        for _ in 0..CALLS {
            if !ahead.is_short(LANES) {
                return;
            }
            match self.ask(queue, ahead, ENTRIES, Duration::ZERO, lease).await {
                Ok(ENTRIES) => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::debug!(%error, queue, "what comes behind could not be looked at");
                    return;
                }
            }
        }
    }

    async fn ask(
        &self,
        queue: &str,
        ahead: &Ahead,
        most: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<usize, BusError> {
        let until = Instant::now() + lease;
        let messages = self.take_messages(queue, most, wait, lease).await?;
        let found = messages.len();
        // A long poll's lease begins when it ends, so this is early and never late.
        ahead.put(messages, until);
        Ok(found)
    }

    /// Those that are in hand for half a lease at least, renewed where need be. The others come again by themselves.
    pub(super) async fn still_held(&self, queue: &str, taken: Vec<Held>, lease: Duration) -> Vec<Message> {
        let half = Instant::now() + lease / 2;
        let old: Vec<&Held> = taken.iter().filter(|held| held.until < half).collect();
        if old.is_empty() {
            return taken.into_iter().map(|held| held.message).collect();
        }
        let renewed = self.renew(queue, old.into_iter().filter_map(Held::handle).collect(), lease).await;
        let kept =
            |held: &Held| held.until >= half || held.handle().is_some_and(|h| renewed.kept.contains(&h));
        taken.into_iter().filter(kept).map(|held| held.message).collect()
    }

    /// Keeps all of a queue that is in hand ahead of its turn for another lease.
    pub(super) async fn hold_ahead(&self, queue: &str, lease: Duration) {
        let ahead = self.ahead(queue);
        ahead.drop_lapsed();
        let until = Instant::now() + lease;
        let handles = ahead.lanes().lanes.values().flatten().filter_map(Held::handle).collect();
        let renewed = self.renew(queue, handles, lease).await;
        ahead.keep(|held| {
            let handle = held.handle().unwrap_or_default();
            if renewed.kept.contains(&handle) {
                held.until = until;
            }
            !renewed.lost.contains(&handle)
        });
    }

    /// Gives back all of a queue that is in hand ahead of its turn.
    pub(super) async fn give_back_ahead(&self, queue: &str) {
        let taken = self.ahead(queue).take(usize::MAX);
        // One that came twice stands here twice, and is noted once.
        let names: BTreeSet<&str> = taken.iter().filter_map(|held| held.message.message_id()).collect();
        let names = Vec::from_iter(names);
        // Noted first, as when a handler's is handed back. Without the note each counts as a death, once.
        if let Err(error) = within(NOTED_WITHIN, self.go_back(queue, &names)).await {
            tracing::warn!(%error, queue, "what was in hand ahead of its turn could not be noted as handed back");
        }
        self.renew(queue, taken.iter().filter_map(Held::handle).collect(), Duration::ZERO).await;
    }

    pub(super) async fn renew(&self, queue: &str, handles: Vec<String>, lease: Duration) -> Renewed {
        let mut renewed = Renewed::default();
        for chunk in handles.chunks(ENTRIES) {
            match self.change_all(queue, chunk, lease).await {
                Ok(lost) => {
                    for (number, handle) in chunk.iter().enumerate() {
                        let those =
                            if lost.contains(&number) { &mut renewed.lost } else { &mut renewed.kept };
                        those.insert(handle.clone());
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, queue, "what is in hand ahead of its turn could not be renewed")
                }
            }
        }
        renewed
    }

    /// Gives the numbers of those that are in somebody else's hands, or gone.
    async fn change_all(
        &self,
        queue: &str,
        handles: &[String],
        lease: Duration,
    ) -> Result<Vec<usize>, BusError> {
        const ACTION: &str = "sqs:ChangeMessageVisibilityBatch";
        let mut call = self.sqs.change_message_visibility_batch().queue_url(self.queue_url(queue).await?);
        for (number, handle) in handles.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(number.to_string())
                .receipt_handle(handle)
                .visibility_timeout(seconds(lease))
                .build()
                .map_err(|e| internal(ACTION, &e))?;
            call = call.entries(entry);
        }
        let changed = call.send().await.map_err(|e| failed(ACTION, queue, e))?;
        Ok(changed.failed().iter().filter_map(|failure| failure.id().parse().ok()).collect())
    }
}

/// What became of receipts; of those in neither nobody knows.
#[derive(Default)]
pub(super) struct Renewed {
    kept: HashSet<String>,
    lost: HashSet<String>,
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::MessageAttributeValue;

    use super::*;

    fn message(lane: &str, number: usize) -> Message {
        let value = MessageAttributeValue::builder().data_type("String").string_value(lane).build().unwrap();
        Message::builder().message_attributes("lane", value).body(format!("{lane}{number}")).build()
    }

    fn bodies(taken: Vec<Held>) -> Vec<String> {
        taken.into_iter().filter_map(|held| held.message.body).collect()
    }

    #[test]
    fn lanes_take_turns_and_each_keeps_its_order() {
        let ahead = Ahead::default();
        let flood =
            (0..100).map(|n| message("b", n)).chain([message("a", 0), message("c", 0), message("c", 1)]);
        ahead.put(flood.collect(), Instant::now());
        assert!(ahead.is_short(4) && !ahead.is_short(3));
        assert_eq!(bodies(ahead.take(5)), ["a0", "b0", "c0", "b1", "c1"]);
        assert_eq!(bodies(ahead.take(2)), ["b2", "b3"]);
        assert_eq!(ahead.take(usize::MAX).len(), 96);
        assert!(ahead.is_empty() && ahead.lanes().bytes == 0);
    }

    #[test]
    fn there_is_a_bound() {
        let ahead = Ahead::default();
        ahead.put((0..MESSAGES - ENTRIES + 1).map(|n| message("a", n)).collect(), Instant::now());
        assert!(!ahead.is_short(8), "no room for another call");
        let ahead = Ahead::default();
        let large = Message::builder().body("x".repeat(BYTES)).build();
        ahead.put(vec![large], Instant::now());
        assert!(!ahead.is_short(8), "too many bytes");
    }
}
