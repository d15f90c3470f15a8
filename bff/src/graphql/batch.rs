//! Batching without waiting: keys that are asked for in one turn of an execution go out in one call.
//!
//! async-graphql's own loader hands a batch to a spawned task after a delay. Here batches are queued instead, and the
//! future that drives the execution runs the queue whenever the execution itself can go no further. So batches are
//! complete by construction, at no delay; and a client that leaves drops the calls below with everything else.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, Stream, StreamExt};
use futures::task::AtomicWaker;

use super::error::Fault;

/// Calls waiting for the execution's next pause.
#[derive(Clone, Default)]
pub(crate) struct Queue(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// Drives `execution`, and between its turns the calls that it queued.
    pub(crate) fn drive<F: Unpin>(&self, execution: F) -> Driven<F> {
        Driven { execution, queue: self.clone(), running: FuturesUnordered::new(), turn: Arc::default() }
    }
}

/// Whether an execution asked for another turn while it had one: futures of many parts do, and are not done then.
#[derive(Default)]
struct Turn {
    again: AtomicBool,
    waker: AtomicWaker,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.again.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// Turns in a row that an execution gets before its calls are made in any case.
const TURNS: usize = 1_000;

/// An execution with its calls.
pub(crate) struct Driven<F> {
    execution: F,
    queue: Queue,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
    turn: Arc<Turn>,
}

impl<F: Unpin> Driven<F> {
    /// Polls until there is an output, or neither the execution nor its calls can go on.
    fn turns<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl Fn(Pin<&mut F>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.turn.waker.register(cx.waker());
        let waker = Waker::from(self.turn.clone());
        loop {
            for _ in 0..TURNS {
                self.turn.again.store(false, Ordering::Release);
                let polled = poll(Pin::new(&mut self.execution), &mut Context::from_waker(&waker));
                if polled.is_ready() {
                    return polled;
                }
                if !self.turn.again.load(Ordering::Acquire) {
                    break;
                }
            }
            if !self.run(cx) {
                return Poll::Pending;
            }
        }
    }

    /// Runs what is queued. `true`: a call has come back, so the execution may go on.
    fn run(&mut self, cx: &mut Context<'_>) -> bool {
        self.running.extend(std::mem::take(&mut *lock(&self.queue.0)));
        let mut progress = false;
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {
            progress = true;
        }
        progress
    }
}

impl<F: Future + Unpin> Future for Driven<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.turns(cx, F::poll)
    }
}

/// A subscription's answers, driven the same way.
impl<F: Stream + Unpin> Stream for Driven<F> {
    type Item = F::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Item>> {
        self.turns(cx, F::poll_next)
    }
}

/// What came of a batch.
pub(crate) type Loaded<K, V> = Result<HashMap<K, V>, Fault>;
type Load<K, V> = Arc<dyn Fn(Vec<K>) -> BoxFuture<'static, Loaded<K, V>> + Send + Sync>;
type Waiting<K, V> = Vec<(K, oneshot::Sender<Result<Option<V>, Fault>>)>;

/// Gathers keys into calls. Made for one request, so that no two people's data meet.
pub(crate) struct Batcher<K, V> {
    load: Load<K, V>,
    waiting: Arc<Mutex<Waiting<K, V>>>,
    queue: Queue,
}

impl<K, V> Batcher<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    pub(crate) fn new<F, A>(queue: &Queue, load: F) -> Self
    where
        F: Fn(Vec<K>) -> A + Send + Sync + 'static,
        A: Future<Output = Loaded<K, V>> + Send + 'static,
    {
        Self {
            load: Arc::new(move |keys| Box::pin(load(keys))),
            waiting: Arc::default(),
            queue: queue.clone(),
        }
    }

    /// The value of a key; `None` where there is none, or none that the caller may see.
    pub(crate) async fn load(&self, key: K) -> Result<Option<V>, Fault> {
        let (sender, answer) = oneshot::channel();
        let first = {
            let mut waiting = lock(&self.waiting);
            waiting.push((key, sender));
            waiting.len() == 1
        };
        if first {
            let (load, waiting) = (self.load.clone(), self.waiting.clone());
            lock(&self.queue.0).push(Box::pin(async move {
                let waiting = std::mem::take(&mut *lock(&waiting));
                let mut keys: Vec<K> = Vec::new();
                let mut seen = std::collections::HashSet::new();
                for (key, _) in &waiting {
                    if seen.insert(key.clone()) {
                        keys.push(key.clone());
                    }
                }
                let loaded = load(keys).await;
                for (key, sender) in waiting {
                    // Nobody waits any more: its part of the answer failed meanwhile.
                    let _ = sender.send(match &loaded {
                        Ok(values) => Ok(values.get(&key).cloned()),
                        Err(fault) => Err(fault.clone()),
                    });
                }
            }));
        }
        answer.await.unwrap_or_else(|_| Err(Fault::internal()))
    }
}

#[cfg(test)]
mod tests {
    use futures::future::{join, join_all};
    use futures::stream::FuturesUnordered;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn one_turn_is_one_call_at_any_width() {
        for _ in 0..200 {
            let (queue, calls) = (Queue::default(), Arc::new(Mutex::new(Vec::new())));
            let seen = calls.clone();
            let batcher = Batcher::new(&queue, move |keys: Vec<u32>| {
                lock(&seen).push(keys.len());
                async move {
                    tokio::task::yield_now().await;
                    Ok(keys.into_iter().filter(|key| *key != 7).map(|key| (key, key * 2)).collect())
                }
            });
            let wide = join_all((0..500).map(|key| batcher.load(key % 25)));
            // A level below the first: its keys go out together as well.
            let batcher = &batcher;
            let nested = join_all((0..20).map(|key| async move {
                let first = batcher.load(100).await.unwrap().unwrap();
                batcher.load(first + key).await.unwrap()
            }));
            // Lists within lists, as an execution has them: each asks for another turn.
            let lists: FuturesUnordered<_> = (0..40)
                .map(|list| async move {
                    let items: FuturesUnordered<_> =
                        (0..5).map(|key| batcher.load(200 + list * 5 + key)).collect();
                    items.collect::<Vec<_>>().await
                })
                .collect();
            let ((wide, nested), lists) =
                queue.drive(Box::pin(join(join(wide, nested), lists.collect::<Vec<_>>()))).await;
            assert_eq!(lists.len(), 40);
            assert_eq!(*lock(&calls), [226, 20]);
            assert_eq!(wide[30].as_ref().unwrap(), &Some(10));
            assert_eq!(wide[7].as_ref().unwrap(), &None);
            assert_eq!(nested[3], Some(406));
        }
    }

    #[tokio::test]
    async fn a_failure_reaches_everyone_who_waits() {
        let queue = Queue::default();
        let batcher: Batcher<u32, u32> =
            Batcher::new(&queue, |_| async { Err(Fault::from(tonic::Status::unavailable("secret"))) });
        let both = join(batcher.load(1), batcher.load(2));
        let (one, two) = queue.drive(Box::pin(both)).await;
        assert!(one.is_err() && two.is_err());
    }

    #[tokio::test]
    async fn dropping_the_execution_drops_its_calls() {
        let (queue, alive) = (Queue::default(), Arc::new(()));
        let held = alive.clone();
        let batcher: Batcher<u32, u32> = Batcher::new(&queue, move |_| {
            let held = held.clone();
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok(HashMap::new())
            }
        });
        let mut driven = Box::pin(queue.drive(Box::pin(batcher.load(1))));
        assert!(futures::poll!(&mut driven).is_pending());
        assert_eq!(Arc::strong_count(&alive), 3);
        drop(driven);
        assert_eq!(Arc::strong_count(&alive), 2);
    }
}
