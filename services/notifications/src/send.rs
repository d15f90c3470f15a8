//! Transaction C: claim with a lease, commit; send; commit attempt and state.
//!
//! One logical send a dedupe key and lane. A worker that dies between the claim and the last commit leaves the message
//! `sending`; when its lease ends another takes it and sends it again with the same key. The attempt is the receipt: who
//! lost the lease writes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use cs_core::{Caller, TenantId, Trace, UserId};
use cs_db::{Reason, Wakeups};
use cs_events::RetryPolicy;
use cs_rpc::Tasks;
use futures::{StreamExt, stream};
use uuid::Uuid;

use crate::channel::{Address, Channel, ChannelError, Item, Message, Stop};
use crate::people::{self, Person};
use crate::preferences::EMAIL;
use crate::store::addresses;
use crate::store::deliveries::Claim;
use crate::store::erasure;
use crate::store::messages::{self, Ended, Outcome};
use crate::store::outgoing::{self, Outgoing};
use crate::{Deps, Error, SCHEMA, hand_over, keys};

/// Messages claimed at once.
const BATCH: i64 = 200;
/// Sent at once.
const CONCURRENT: usize = 64;
/// Longest a channel may take for one.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A sender that died is waited for this long: more than a whole batch may take, 200 ÷ 64 × 20 s = 80 s.
pub const LEASE: TimeDelta = TimeDelta::seconds(120);
/// Longest sleep: a wake-up call can be lost with its connection.
const POLL: Duration = Duration::from_secs(1);
/// Mail servers ask for minutes of patience, and may be down for an hour: some three hours in all.
pub const POLICY: RetryPolicy =
    RetryPolicy { attempts: 20, base: Duration::from_secs(5), most: Duration::from_secs(30 * 60) };

/// Hands over what is due, and sends it by every channel.
#[derive(Clone)]
pub struct Sender {
    deps: Deps,
    channels: Vec<Arc<dyn Channel>>,
}

impl Sender {
    /// A sender by these channels, beside the application.
    pub fn new(deps: &Deps, channels: Vec<Arc<dyn Channel>>) -> Self {
        Self { deps: deps.clone(), channels }
    }

    /// Works until the tasks drain. Each channel has a loop of its own, so that a slow one holds up no other.
    pub fn run(self, tasks: &Tasks, wakeups: &Wakeups) {
        let deps = self.deps.clone();
        looped(tasks, wakeups, "deliveries", move || {
            let deps = deps.clone();
            async move { hand_over::step(&deps).await }
        });
        for channel in self.channels.clone() {
            let sender = self.clone();
            looped(tasks, wakeups, "messages", move || {
                let (sender, channel) = (sender.clone(), channel.clone());
                async move { sender.send_by(&channel).await }
            });
        }
    }

    /// Hands over one batch and sends one of each channel; gives how many deliveries and messages those were.
    pub async fn step(&self) -> Result<usize, Error> {
        let mut size = hand_over::step(&self.deps).await?;
        for channel in &self.channels {
            size += self.send_by(channel).await?;
        }
        Ok(size)
    }

    /// Sends one batch of what is due by a channel; gives its size.
    async fn send_by(&self, channel: &Arc<dyn Channel>) -> Result<usize, Error> {
        let now = self.deps.ids.now();
        let mut tx = self.deps.db.system(Reason::Jobs).await?;
        let claims = messages::claim(&mut tx, channel.name(), BATCH, now, now + LEASE).await?;
        tx.commit().await?;
        let size = claims.len();
        let mut by_tenant: BTreeMap<TenantId, Vec<Claim>> = BTreeMap::new();
        for claim in claims {
            by_tenant.entry(claim.tenant_id.into()).or_default().push(claim);
        }
        let mut failure = None;
        for (tenant, claims) in by_tenant {
            // One tenant's trouble is no other's; what was claimed comes again when the lease ends.
            if let Err(error) = self.send_for(channel, tenant, &claims).await {
                tracing::warn!(%error, tenant_id = %tenant, "a batch of messages could not be ended");
                failure = Some(error);
            }
        }
        failure.map_or(Ok(size), Err)
    }

    async fn send_for(
        &self,
        channel: &Arc<dyn Channel>,
        tenant: TenantId,
        claims: &[Claim],
    ) -> Result<(), Error> {
        let caller = Caller::service(SCHEMA, tenant, Trace::start());
        let mut tx = self.deps.db.tenant(&caller).await?;
        let outgoing = outgoing::messages(&mut tx, claims).await?;
        let ids: Vec<Uuid> = outgoing.iter().map(|message| message.id).collect();
        let mut items = outgoing::items(&mut tx, &ids).await?;
        tx.commit().await?;
        let people = if channel.name() == EMAIL {
            let users: Vec<UserId> = outgoing.iter().map(|message| message.user_id.into()).collect();
            Some(people::named(&self.deps, &caller, users).await)
        } else {
            None
        };
        let tried: Vec<(Ended, Option<Uuid>)> = stream::iter(outgoing)
            .map(|message| {
                let items = items.remove(&message.id).unwrap_or_default();
                self.send_one(channel, tenant, message, items, people.as_ref())
            })
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        let (ended, gone): (Vec<Ended>, Vec<Option<Uuid>>) = tried.into_iter().unzip();
        let gone: Vec<Uuid> = gone.into_iter().flatten().collect();
        let tries = ended.len();
        let mut tx = self.deps.db.tenant(&caller).await?;
        erasure::hold_off(&mut tx).await?;
        let kept = messages::end(&mut tx, &self.deps.ids, ended).await?;
        if !gone.is_empty() {
            addresses::forget(&mut tx, &gone).await?;
        }
        tx.commit().await?;
        tracing::info!(tenant_id = %tenant, tries, kept, gone = gone.len(), channel = channel.name(), "messages sent");
        Ok(())
    }

    /// Sends one; gives what became of it, and the address that is gone.
    async fn send_one(
        &self,
        channel: &Arc<dyn Channel>,
        tenant: TenantId,
        out: Outgoing,
        items: Vec<Item>,
        people: Option<&Result<HashMap<UserId, Person>, Error>>,
    ) -> (Ended, Option<Uuid>) {
        let (id, attempt, target) = (out.id, out.attempt, out.target_id);
        let ended = |outcome| Ended { id, attempt, outcome };
        let trace = Trace::parse(&out.traceparent).map(Trace::trace_id).unwrap_or_default();
        let message = match self.compose(channel.name(), tenant, out, items, people) {
            Ok(message) => message,
            Err(outcome) => return (ended(self.again(attempt, outcome)), None),
        };
        let sent = match tokio::time::timeout(TIMEOUT, channel.send(&message)).await {
            Ok(sent) => sent,
            Err(_) => Err(ChannelError::Transient(format!("no answer within {} s", TIMEOUT.as_secs()))),
        };
        let gone = matches!(sent, Err(ChannelError::Gone(_))).then_some(target).flatten();
        let outcome = match sent {
            Ok(()) => Outcome::Sent,
            Err(ChannelError::Transient(error)) => {
                let wait = TimeDelta::from_std(POLICY.wait(attempt.unsigned_abs())).unwrap_or(TimeDelta::MAX);
                self.again(attempt, Outcome::Again(error, self.deps.ids.now() + wait))
            }
            Err(ChannelError::Later(error, wait)) => {
                let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
                self.again(attempt, Outcome::Again(error, self.deps.ids.now() + wait))
            }
            Err(ChannelError::Permanent(error) | ChannelError::Gone(error)) => Outcome::Failed(error),
        };
        tracing::debug!(dedupe_key = message.dedupe_key, user_id = %message.user, tenant_id = %tenant, trace_id = trace,
            attempt, channel = channel.name(), outcome = outcome.word(), "notification");
        (ended(outcome), gone)
    }

    /// Another try, as long as there are any left.
    fn again(&self, attempt: i32, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Again(error, _) if attempt.unsigned_abs() >= POLICY.attempts => Outcome::Failed(error),
            outcome => outcome,
        }
    }

    /// The message, or why it is not sent now.
    fn compose(
        &self,
        channel: &'static str,
        tenant: TenantId,
        out: Outgoing,
        items: Vec<Item>,
        people: Option<&Result<HashMap<UserId, Person>, Error>>,
    ) -> Result<Message, Outcome> {
        let now = self.deps.ids.now();
        let suppressed = |why: &str| Err(Outcome::Suppressed(why.to_owned()));
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
                let wait =
                    TimeDelta::from_std(POLICY.wait(out.attempt.unsigned_abs())).unwrap_or(TimeDelta::MAX);
                return Err(Outcome::Again(format!("no address: {error}"), now + wait));
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
        Ok(Message { dedupe_key, tenant, user, address, items, digest_at, created_at, now, stop })
    }
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
            let rest = match step().await {
                Ok(0) => true,
                Ok(_) => false,
                Err(error) => {
                    tracing::warn!(%error, "notifications could not be sent; they are tried again");
                    tokio::select! {
                        () = tokio::time::sleep(POLL) => {}
                        () = stop.cancelled() => {}
                    }
                    false
                }
            };
            if rest {
                tokio::select! {
                    _ = wake.changed() => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    });
}
