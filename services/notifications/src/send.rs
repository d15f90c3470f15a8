//! Transaction C (contracts §6): claim with a lease, commit; send; commit attempt and state.
//!
//! One logical send a dedupe key. A worker that dies between the claim and the last commit leaves the delivery
//! `sending`; when its lease ends another takes it. The attempt is the receipt: who lost the lease writes nothing.
//!
//! What is sent gets its place in the inbox by `sequence`. Sequences are given under a lock of the tenant that is held
//! until the commit: without it, a later number could become visible before an earlier one, and a watcher whose
//! cursor has passed would never see the earlier.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use cs_core::{Caller, TenantId, Trace};
use cs_db::{DbError, Reason, Wakeups};
use cs_events::RetryPolicy;
use cs_rpc::Tasks;
use futures::{StreamExt, stream};

use crate::channel::{Channel, ChannelError, InApp, Message};
use crate::preferences::silence;
use crate::store::deliveries::{self, Claim, Ended, Outcome, Outgoing};
use crate::{Deps, Error, SCHEMA};

/// Deliveries claimed at once.
const BATCH: i64 = 1_000;
/// Sent at once.
const CONCURRENT: usize = 64;
/// Longest a channel may take for one.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A sender that died is waited for this long: more than a whole batch may take, 1,000 ÷ 64 × 5 s = 80 s.
pub const LEASE: TimeDelta = TimeDelta::seconds(120);
/// Longest sleep: a wake-up call can be lost with its connection.
const POLL: Duration = Duration::from_secs(1);

/// Sends what is due.
#[derive(Clone)]
pub struct Sender {
    deps: Deps,
    channel: Arc<dyn Channel>,
    policy: RetryPolicy,
}

/// The sender of this service.
pub fn sender(deps: &Deps) -> Sender {
    Sender::new(deps, Arc::new(InApp))
}

impl Sender {
    /// A sender by one channel.
    pub fn new(deps: &Deps, channel: Arc<dyn Channel>) -> Self {
        Self { deps: deps.clone(), channel, policy: RetryPolicy::STANDARD }
    }

    /// Sends until the tasks drain.
    pub fn run(self, tasks: &Tasks, wakeups: &Wakeups) {
        let (wake, stop) = (wakeups.get(&format!("{SCHEMA}.deliveries")), tasks.stopping());
        tasks.spawn(async move {
            while !stop.is_cancelled() {
                match self.step().await {
                    Ok(0) => tokio::select! {
                        () = wake.notified() => {}
                        () = tokio::time::sleep(POLL) => {}
                        () = stop.cancelled() => {}
                    },
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "notifications could not be sent; they are tried again");
                        tokio::select! {
                            () = tokio::time::sleep(POLL) => {}
                            () = stop.cancelled() => {}
                        }
                    }
                }
            }
        });
    }

    /// Sends one batch of what is due; gives its size.
    pub async fn step(&self) -> Result<usize, Error> {
        let now = self.deps.ids.now();
        let mut tx = self.deps.db.system(Reason::Jobs).await?;
        let claims = deliveries::claim(&mut tx, BATCH, now, now + LEASE).await?;
        tx.commit().await?;
        let size = claims.len();
        let mut by_tenant: BTreeMap<TenantId, Vec<Claim>> = BTreeMap::new();
        for claim in claims {
            by_tenant.entry(claim.tenant_id.into()).or_default().push(claim);
        }
        let mut failure = None;
        for (tenant, claims) in by_tenant {
            // One tenant's trouble is no other's; what was claimed comes again when the lease ends.
            if let Err(error) = self.send_for(tenant, &claims).await {
                tracing::warn!(%error, tenant_id = %tenant, "a batch of notifications could not be ended");
                failure = Some(error);
            }
        }
        failure.map_or(Ok(size), Err)
    }

    async fn send_for(&self, tenant: TenantId, claims: &[Claim]) -> Result<(), Error> {
        let caller = Caller::service(SCHEMA, tenant, Trace::start());
        let mut tx = self.deps.db.tenant(&caller).await?;
        let outgoing = deliveries::outgoing(&mut tx, claims).await?;
        tx.commit().await?;
        let ended: Vec<Ended> = stream::iter(outgoing)
            .map(|delivery| self.send_one(tenant, delivery))
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        Ok(self.end(&caller, ended).await?)
    }

    async fn send_one(&self, tenant: TenantId, delivery: Outgoing) -> Ended {
        let (id, attempt) = (delivery.id, delivery.attempt);
        // A pause that began since the fan-out counts.
        if let Some(why) = silence(delivery.enabled, delivery.pause_until, self.deps.ids.now()) {
            return Ended { id, attempt, outcome: Outcome::Suppressed(why) };
        }
        let trace = Trace::parse(&delivery.traceparent).map(Trace::trace_id).unwrap_or_default();
        let message = Message {
            dedupe_key: delivery.dedupe_key,
            tenant,
            user: delivery.user_id.into(),
            title: delivery.title,
            body: delivery.body,
            reason: delivery.reason,
        };
        let sent = match tokio::time::timeout(TIMEOUT, self.channel.send(&message)).await {
            Ok(sent) => sent,
            Err(_) => Err(ChannelError::Transient(format!("no answer within {} s", TIMEOUT.as_secs()))),
        };
        let tried = attempt.unsigned_abs();
        let outcome = match sent {
            Ok(()) => Outcome::Sent,
            Err(ChannelError::Transient(error)) if tried < self.policy.attempts => {
                let wait = TimeDelta::from_std(self.policy.wait(tried)).unwrap_or(TimeDelta::MAX);
                Outcome::Again(error, self.deps.ids.now() + wait)
            }
            Err(ChannelError::Transient(error) | ChannelError::Permanent(error)) => Outcome::Failed(error),
        };
        tracing::debug!(dedupe_key = message.dedupe_key, user_id = %message.user, tenant_id = %tenant, trace_id = trace,
            attempt, channel = self.channel.name(), outcome = outcome.word(), "notification");
        Ended { id, attempt, outcome }
    }

    async fn end(&self, caller: &Caller, ended: Vec<Ended>) -> Result<(), DbError> {
        let (ids, channel) = (&self.deps.ids, self.channel.name());
        let mut tx = self.deps.db.tenant(caller).await?;
        let kept = deliveries::end(&mut tx, ids, channel, ended).await?;
        tx.commit().await?;
        tracing::info!(tenant_id = %caller.tenant, sent = kept.sent, suppressed = kept.suppressed, again = kept.again,
            failed = kept.failed, lost = kept.lost, channel, "notifications sent");
        Ok(())
    }
}
