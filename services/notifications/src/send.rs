//! Transaction C: claim with a lease, commit; send, renewing the lease; commit attempt and state of each as it ends.
//!
//! One logical send a dedupe key and lane. A worker that dies between the claim and the last commit leaves the message
//! `sending`; when its lease ends another takes it and sends it again with the same key. The attempt is the receipt: who
//! lost the lease writes nothing.

mod lease;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use cs_core::{Caller, TenantId, Trace, UserId};
use cs_db::{Reason, Wakeups};
use cs_events::{RetryPolicy, dies_at};
use cs_rpc::Tasks;
use futures::future::join_all;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::channel::{Address, Channel, ChannelError, Message, Stop};
use crate::people::{self, Person};
use crate::preferences::EMAIL;
use crate::store::deliveries::{Claim, Turn};
use crate::store::messages::{self, Ended, Outcome};
use crate::store::outgoing::{self, Contents, Outgoing};
use crate::{Deps, Error, SCHEMA, gauges, hand_over, keys};
use lease::{Lease, Tried};

/// Loops of one channel: a receiver that keeps one waiting for minutes does not hold up what is due after it.
const LANES: usize = 4;
/// Messages claimed at once by one loop.
const BATCH: i32 = 50;
/// Sent at once by one loop.
const CONCURRENT: usize = 16;
/// Tenants whose messages one loop reads at once.
const READING: usize = 4;
/// A sender that died is waited for this long; one that works renews it.
pub const LEASE: TimeDelta = TimeDelta::seconds(120);
const RENEW: Duration = Duration::from_secs(30);
/// Longest that a batch may take: over a connection whose other end is gone without a word it never ends. A send is never cut
/// short by this: a batch is sent in four rounds, and none takes longer than a letter's quarter of an hour.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
/// Longest sleep: a wake-up call can be lost with its connection.
const POLL: Duration = Duration::from_secs(1);
/// Mail servers ask for minutes of patience, and may be down for an hour: some three hours in all.
pub const POLICY: RetryPolicy =
    RetryPolicy { attempts: 20, base: Duration::from_secs(5), most: Duration::from_secs(30 * 60) };

/// How long is waited after that many tries.
pub(crate) fn wait(tries: u32) -> TimeDelta {
    TimeDelta::from_std(POLICY.wait(tries)).unwrap_or(LEASE)
}

/// Hands over what is due, and sends it by every channel.
#[derive(Clone)]
pub struct Sender {
    deps: Deps,
    channels: Vec<Arc<dyn Channel>>,
    renewal: Duration,
    stop: CancellationToken,
    /// Whose turn it is: of deliveries, and of messages by channel.
    handing: Turn,
    turns: Arc<BTreeMap<&'static str, Turn>>,
}

impl Sender {
    /// A sender by these channels, beside the application.
    pub fn new(deps: &Deps, channels: Vec<Arc<dyn Channel>>) -> Self {
        let names = channels.iter().map(|channel| channel.name());
        let turns = names.map(|name| (name, Turn::default())).collect();
        Self {
            deps: deps.clone(),
            channels,
            renewal: RENEW,
            stop: CancellationToken::new(),
            handing: Turn::default(),
            turns: Arc::new(turns),
        }
    }

    /// The same, saying that often that it is at work on what it claimed.
    #[must_use]
    pub fn renewing_every(self, renewal: Duration) -> Self {
        Self { renewal, ..self }
    }

    /// Works until the tasks drain: then nothing more is begun, and what was claimed and not begun is handed back. Each
    /// channel has loops of its own, so that a slow one holds up no other.
    pub fn run(mut self, tasks: &Tasks, wakeups: &Wakeups) {
        self.stop = tasks.stopping();
        gauges::run(&self.deps, tasks);
        let (deps, turn) = (self.deps.clone(), self.handing.clone());
        looped(tasks, wakeups, "deliveries", move || {
            let (deps, turn) = (deps.clone(), turn.clone());
            async move { hand_over::step(&deps, &turn).await }
        });
        for channel in self.channels.iter().flat_map(|channel| std::iter::repeat_n(channel, LANES)) {
            let (sender, channel) = (self.clone(), channel.clone());
            looped(tasks, wakeups, "messages", move || {
                let (sender, channel) = (sender.clone(), channel.clone());
                async move { sender.send_by(&channel).await }
            });
        }
    }

    /// Hands over one batch and sends one of each channel; gives how many deliveries and messages those were.
    pub async fn step(&self) -> Result<usize, Error> {
        let mut size = hand_over::step(&self.deps, &self.handing).await?;
        for channel in &self.channels {
            size += self.send_by(channel).await?;
        }
        Ok(size)
    }

    /// Sends one batch of what is due by a channel; gives its size.
    async fn send_by(&self, channel: &Arc<dyn Channel>) -> Result<usize, Error> {
        let now = self.deps.ids.now();
        let until = now + LEASE;
        let turn = self.turns.get(channel.name()).cloned().unwrap_or_default();
        let mut tx = self.deps.db.system(Reason::Jobs).await?;
        let claims = messages::claim(&mut tx, &turn, channel.name(), BATCH, now, until).await?;
        tx.commit().await?;
        let size = claims.len();
        if size == 0 {
            return Ok(0);
        }
        dies_at!("send.claimed");
        let lease = Lease::new(&self.deps, &claims, until);
        tokio::select! {
            sent = self.send_all(channel, claims, &lease) => sent.map(|()| size),
            never = lease.renew(self.renewal) => match never {},
        }
    }

    /// Sends what was claimed. What becomes of each is written as it is known, and not at the end of the batch: whatever
    /// happens to this process, no more is sent twice than what is under way.
    async fn send_all(
        &self,
        channel: &Arc<dyn Channel>,
        claims: Vec<Claim>,
        lease: &Lease<'_>,
    ) -> Result<(), Error> {
        let mut by_tenant: BTreeMap<TenantId, Vec<Claim>> = BTreeMap::new();
        for claim in claims {
            by_tenant.entry(claim.tenant_id.into()).or_default().push(claim);
        }
        let (reading, turns) = (Semaphore::new(READING), Semaphore::new(CONCURRENT));
        let (tried, mut ends) = mpsc::unbounded_channel();
        let sending = async {
            let batch = Batch { channel, lease, reading: &reading, turns: &turns, tried };
            let tenants = by_tenant.into_iter().map(|(tenant, claims)| self.send_for(&batch, tenant, claims));
            let failures: Vec<Error> = join_all(tenants).await.into_iter().filter_map(Result::err).collect();
            drop(batch);
            failures.into_iter().next()
        };
        let ending = async {
            let (mut failure, mut ready) = (None, Vec::new());
            while ends.recv_many(&mut ready, CONCURRENT).await > 0 {
                failure = lease.end(std::mem::take(&mut ready)).await.err().or(failure);
            }
            failure
        };
        let (unsent, unwritten) = tokio::join!(sending, ending);
        unsent.or(unwritten).map_or(Ok(()), Err)
    }

    async fn send_for(&self, batch: &Batch<'_>, tenant: TenantId, claims: Vec<Claim>) -> Result<(), Error> {
        let read = match batch.reading.acquire().await {
            Ok(_turn) => self.read(batch.channel, tenant, &claims).await,
            Err(_) => return Ok(()),
        };
        let (outgoing, mut contents, people) = match read {
            Ok(read) => read,
            Err(error) => {
                // One tenant's trouble is no other's; what was claimed is given back.
                tracing::warn!(%error, tenant_id = %tenant, "messages could not be read");
                for Claim { id, attempt, .. } in claims {
                    let outcome = Outcome::Held(self.deps.ids.now() + wait(attempt.unsigned_abs()));
                    let ended = Ended { id, attempt, outcome };
                    // The other end goes with the batch only.
                    let _ = batch.tried.send(Tried { tenant, ended, gone: None });
                }
                return Err(error);
            }
        };
        let sends = outgoing.into_iter().map(|out| {
            let contents = contents.remove(&out.id).unwrap_or_default();
            self.send_in_turn(batch, tenant, out, contents, people.as_ref())
        });
        join_all(sends).await;
        Ok(())
    }

    /// What a tenant's messages say, and to whom.
    async fn read(
        &self,
        channel: &Arc<dyn Channel>,
        tenant: TenantId,
        claims: &[Claim],
    ) -> Result<(Vec<Outgoing>, HashMap<Uuid, Contents>, Option<People>), Error> {
        let caller = Caller::service(SCHEMA, tenant, Trace::start());
        let mut tx = self.deps.db.tenant(&caller).await?;
        let outgoing = outgoing::messages(&mut tx, claims).await?;
        let ids: Vec<Uuid> = outgoing.iter().map(|message| message.id).collect();
        let contents = outgoing::contents(&mut tx, &ids).await?;
        tx.commit().await?;
        dies_at!("send.read");
        let people = if channel.name() == EMAIL {
            let users: Vec<UserId> = outgoing.iter().map(|message| message.user_id.into()).collect();
            Some(people::named(&self.deps, &caller, users).await)
        } else {
            None
        };
        Ok((outgoing, contents, people))
    }

    /// Sends one when it is its turn, or hands it back when the process stops before.
    async fn send_in_turn(
        &self,
        batch: &Batch<'_>,
        tenant: TenantId,
        out: Outgoing,
        contents: Contents,
        people: Option<&People>,
    ) {
        let (id, attempt) = (out.id, out.attempt);
        let turn = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            turn = batch.turns.acquire() => turn.ok(),
        };
        let (ended, gone) = if turn.is_none() {
            (Ended { id, attempt, outcome: Outcome::Held(self.deps.ids.now()) }, None)
        } else if batch.lease.holds(id).await {
            let span = span(batch.channel.name(), tenant, &out.traceparent);
            self.send_one(batch.channel, tenant, out, contents, people).instrument(span).await
        } else {
            return;
        };
        // The other end goes with the batch only.
        let _ = batch.tried.send(Tried { tenant, ended, gone });
    }

    /// Sends one; gives what became of it, and the address that is gone.
    async fn send_one(
        &self,
        channel: &Arc<dyn Channel>,
        tenant: TenantId,
        out: Outgoing,
        contents: Contents,
        people: Option<&People>,
    ) -> (Ended, Option<Uuid>) {
        let (id, attempt, target) = (out.id, out.attempt, out.target_id);
        let tries = (attempt - out.tries_from).unsigned_abs();
        let ended = |outcome| Ended { id, attempt, outcome };
        let message = match self.compose(channel.name(), tenant, out, contents, people) {
            Ok(message) => message,
            Err(outcome) => return (ended(again(tries, outcome)), None),
        };
        // How long is waited is the channel's to know: dropped in between, nobody knows whether it was taken.
        let began = Instant::now();
        dies_at!("send.begun");
        let sent = channel.send(&message).await;
        dies_at!("send.taken");
        let gone = matches!(sent, Err(ChannelError::Gone(_))).then_some(target).flatten();
        let outcome = match sent {
            Ok(()) => Outcome::Sent,
            Err(ChannelError::Transient(error)) => {
                again(tries, Outcome::Again(error, self.deps.ids.now() + wait(tries)))
            }
            // Who says "at once" is given the usual time all the same: else twenty tries are over in a second.
            Err(ChannelError::Later(error, asked)) => {
                let wait = TimeDelta::from_std(asked).unwrap_or(LEASE).max(wait(tries));
                again(tries, Outcome::Again(error, self.deps.ids.now() + wait))
            }
            Err(ChannelError::Gone(error)) => Outcome::Gone(error),
            Err(ChannelError::Permanent(error)) => Outcome::Failed(error),
        };
        let duration_ms = began.elapsed().as_millis();
        tracing::info!(event = "message.ended", dedupe_key = message.dedupe_key, user_id = %message.user, attempt, outcome = outcome.word(),
            duration_ms, "message tried");
        (ended(outcome), gone)
    }

    /// The message, or why it is not sent now.
    fn compose(
        &self,
        channel: &'static str,
        tenant: TenantId,
        out: Outgoing,
        contents: Contents,
        people: Option<&People>,
    ) -> Result<Message, Outcome> {
        let now = self.deps.ids.now();
        let suppressed = |why: &str| Err(Outcome::Suppressed(why.to_owned()));
        let Contents { items, more } = contents;
        if items.is_empty() {
            return suppressed("the meeting was withdrawn");
        }
        // What the person chose since then counts.
        if let Some(why) = out.preferences.silence(now) {
            return Err(Outcome::Suppressed(why));
        }
        if !out.preferences.channels.iter().any(|name| name == channel) {
            return suppressed("the channel is switched off");
        }
        let after = out.preferences.schedule().after_quiet(now);
        if after > now {
            return Err(Outcome::Held(after));
        }
        let user = UserId::from(out.user_id);
        let address = match people {
            Some(Err(error)) => {
                let tries = (out.attempt - out.tries_from).unsigned_abs();
                return Err(Outcome::Again(format!("no address: {error}"), now + wait(tries)));
            }
            Some(Ok(people)) => match people.get(&user) {
                Some(Person { name, email: Some(email) }) => {
                    Address::Mailbox { name: name.clone(), address: email.clone() }
                }
                _ => return suppressed("the account has no e-mail address"),
            },
            None => match (out.endpoint, out.p256dh, out.auth, out.url, out.target_id) {
                (Some(endpoint), Some(p256dh), Some(auth), _, _) => {
                    Address::Browser { endpoint, p256dh, auth }
                }
                (_, _, _, Some(url), Some(id)) => Address::Web { id: id.into(), url },
                _ => return suppressed("the address was removed"),
            },
        };
        let (dedupe_key, digest_at, created_at) = (out.dedupe_key, out.digest_at, out.created_at);
        let stop = keys::Stop { tenant, user, channel: channel.to_owned() };
        let page = |path: &str| self.deps.public_url.join(path).map(String::from).unwrap_or_default();
        let stop = Stop {
            link: page(&format!("/unsubscribe?token={}", self.deps.keys.stop_token(&stop))),
            settings: page("/notifications"),
        };
        Ok(Message { dedupe_key, tenant, user, address, items, more, digest_at, created_at, now, stop })
    }
}

/// What is done for one message belongs to the call that it all began with.
fn span(channel: &'static str, tenant: TenantId, traceparent: &str) -> tracing::Span {
    let trace_id = Trace::parse(traceparent).map(Trace::trace_id).unwrap_or_default();
    tracing::info_span!("work", otel.name = "send", trigger = "notification.send", channel, tenant_id = %tenant, trace_id)
}

/// Another try, as long as there are any left.
fn again(tries: u32, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Again(error, _) if tries >= POLICY.attempts => Outcome::Failed(error),
        outcome => outcome,
    }
}

/// Who is written to, or why nobody knows.
type People = Result<HashMap<UserId, Person>, Error>;

/// What the messages of one claim have in common.
struct Batch<'a> {
    channel: &'a Arc<dyn Channel>,
    lease: &'a Lease<'a>,
    reading: &'a Semaphore,
    turns: &'a Semaphore,
    tried: mpsc::UnboundedSender<Tried>,
}

fn looped<F>(tasks: &Tasks, wakeups: &Wakeups, table: &str, step: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = Result<usize, Error>> + Send,
{
    let (mut wake, stop) = (wakeups.watch(&format!("{SCHEMA}.{table}")), tasks.stopping());
    tasks.spawn(async move {
        while !stop.is_cancelled() {
            // What came until here is seen by the step that follows.
            wake.borrow_and_update();
            let error = match tokio::time::timeout(LONGEST, step()).await {
                Ok(Ok(0)) => {
                    tokio::select! {
                        _ = wake.changed() => {}
                        () = tokio::time::sleep(POLL) => {}
                        () = stop.cancelled() => {}
                    }
                    continue;
                }
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("nothing came of it within {} minutes", LONGEST.as_secs() / 60),
            };
            tracing::warn!(error, "notifications could not be sent; they are tried again");
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}
