//! What one lane of a consumer has in hand. As slots become free it takes more, whoever still works on the others.

use std::time::Duration;

use futures::future::{BoxFuture, Fuse, FusedFuture, pending};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lanes::AFTER_FAILURE;
use crate::{BusError, Consumer, Delivery};

/// Messages that a lane has in hand at most, and handles at once.
pub(crate) const SLOTS: u32 = 8;
/// Free slots that are worth a call. Under load what was taken together ends nearly together, and a call brings as much
/// again; asking whenever one ends would be a call for each message.
const WORTH_A_CALL: u32 = SLOTS / 2;
/// Fewer are filled when nothing has ended for so long: what is in hand then is slow, and calls are few.
const SETTLED: Duration = Duration::from_millis(5);

/// A piece of the work on what is in hand.
#[expect(clippy::large_enum_variant, reason = "it is moved once, from the future that made it")]
enum Did {
    /// A message was handled; it is given where it is to be ended.
    Handled(Result<Option<Delivery>, BusError>),
    /// So many were ended, in one call.
    Ended(u32, Result<(), BusError>),
}

/// Messages in hand, from their taking until their end is written.
pub(crate) struct Hand<'a> {
    consumer: &'a Consumer,
    under_way: FuturesUnordered<BoxFuture<'a, Did>>,
    /// To be ended when the call is back that ends others: so that one call ends many.
    handled: Vec<Delivery>,
    /// What that call ends.
    ending: u32,
    size: u32,
}

impl<'a> Hand<'a> {
    pub(crate) fn new(consumer: &'a Consumer) -> Self {
        Self { consumer, under_way: FuturesUnordered::new(), handled: Vec::new(), ending: 0, size: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.size == 0
    }

    fn room(&self) -> u32 {
        SLOTS.saturating_sub(self.size)
    }

    pub(crate) fn take(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.size += 1;
            let consumer = self.consumer;
            self.under_way.push(async move { Did::Handled(consumer.deliver(delivery).await) }.boxed());
        }
    }

    /// Waits until something has come to its end, for ever where nothing is in hand. Dropped while it waits it loses
    /// nothing.
    pub(crate) async fn progress(&mut self) -> Result<(), BusError> {
        let Some(first) = self.under_way.next().await else { return pending().await };
        let mut outcome = self.note(first);
        while let Some(Some(did)) = self.under_way.next().now_or_never() {
            outcome = outcome.and(self.note(did));
        }
        if self.ending == 0 && !self.handled.is_empty() {
            let (consumer, done) = (self.consumer, std::mem::take(&mut self.handled));
            let count = u32::try_from(done.len()).unwrap_or(u32::MAX);
            self.ending = count;
            self.under_way.push(async move { Did::Ended(count, consumer.end(&done).await) }.boxed());
        }
        outcome
    }

    fn note(&mut self, did: Did) -> Result<(), BusError> {
        match did {
            Did::Handled(Ok(Some(delivery))) => {
                self.handled.push(delivery);
                Ok(())
            }
            Did::Handled(outcome) => {
                self.size -= 1;
                outcome.map(|_| ())
            }
            Did::Ended(count, outcome) => {
                self.ending = 0;
                self.size -= count;
                outcome
            }
        }
    }
}

impl Consumer {
    /// One lane: takes what there is room for until the tasks drain, and ends when nothing is in hand any more. Where
    /// there was nothing it looks again when woken, when something has ended, or after `idle`.
    pub(crate) async fn lane(&self, wake: &Notify, idle: Duration) {
        let mut hand = Hand::new(self);
        // One call at a time; it may be a long poll, beside which work goes on and ends.
        let mut taking: Fuse<BoxFuture<'_, Result<Vec<Delivery>, BusError>>> = Fuse::terminated();
        let mut asked = 0;
        let started = Instant::now();
        let (mut look_at, mut settled_at, mut not_before) = (started, started, started);
        loop {
            let stopping = self.stop.is_cancelled();
            if stopping && taking.is_terminated() && hand.is_empty() {
                return;
            }
            let now = Instant::now();
            let room = hand.room();
            let free = !stopping && room > 0 && taking.is_terminated();
            let settled = if room < WORTH_A_CALL { settled_at } else { look_at };
            let due = look_at.max(not_before).max(settled);
            let due_now = free && due <= now;
            if due_now {
                asked = room;
                taking = self.receive(room).boxed().fuse();
            }
            let waiting = free && !due_now;
            tokio::select! {
                () = self.stop.cancelled(), if !stopping => {}
                outcome = hand.progress() => {
                    look_at = Instant::now();
                    settled_at = look_at + SETTLED;
                    if let Err(error) = outcome {
                        not_before = self.back_off(&error);
                    }
                }
                taken = &mut taking => match taken {
                    Ok(deliveries) if deliveries.is_empty() => look_at = Instant::now() + idle,
                    Ok(deliveries) => {
                        // There may be more than one lane's worth.
                        wake.notify_one();
                        if !self.bus.waits() && deliveries.len() < asked as usize {
                            look_at = Instant::now() + idle;
                        }
                        hand.take(deliveries);
                    }
                    Err(error) => not_before = self.back_off(&error),
                },
                () = tokio::time::sleep_until(due), if waiting => {}
                () = wake.notified(), if waiting && now < look_at && now >= not_before => look_at = now,
            }
        }
    }

    /// Says what went wrong; gives until when nothing more is taken, so that a bus that is away is not hammered.
    fn back_off(&self, error: &BusError) -> Instant {
        tracing::warn!(%error, queue = self.wants().0, "this consumer could not go on; it tries again");
        Instant::now() + AFTER_FAILURE
    }
}
