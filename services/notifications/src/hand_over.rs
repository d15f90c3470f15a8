//! What is due is told: it gets its place in the inbox, and a message for each channel outside that the person chose.
//!
//! A delivery is claimed with a lease; state, inbox and messages are one transaction, so that a worker that dies leaves
//! all of it or nothing, and another takes it when the lease ends. The attempt is the receipt: who lost the lease writes
//! nothing. What a batch fails for is looked for in its halves, so that one delivery that breaks its transaction stops no
//! other; see [`setback`].
//!
//! Sequences of inboxes are given under a lock of the tenant that is held until the commit: without it, a later number
//! could become visible before an earlier one, and a watcher whose cursor has passed would never see the earlier.

mod setback;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use cs_core::{Caller, MeetingId, MessageId, TenantId, Trace, UserId};
use cs_db::{Reason, TenantTx};
use cs_events::dies_at;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::preferences::{EMAIL, IN_APP, PUSH, WEBHOOK};
use crate::store::addresses;
use crate::store::deliveries::{self, Claim, Ended, Outcome, Ready, Turn};
use crate::store::erasure;
use crate::store::messages::{self, NewMessage};
use crate::{Deps, Error, SCHEMA, places};

/// Deliveries claimed at once.
const BATCH: i32 = 1_000;
/// A worker that died is waited for this long.
pub const LEASE: TimeDelta = TimeDelta::seconds(120);
/// A digest stays open for this long at least, and until all that is due with it has been handed over.
pub const SETTLE: TimeDelta = TimeDelta::seconds(20);

/// Taken this often, a delivery is tried alone: whatever it fails for, it has company no longer.
const ALONE: i32 = 6;

/// Hands over one batch of what is due, cities in turn; gives its size.
pub(crate) async fn step(deps: &Deps, turn: &Turn) -> Result<usize, Error> {
    let now = deps.ids.now();
    let mut tx = deps.db.system(Reason::Jobs).await?;
    let claims = deliveries::claim(&mut tx, turn, BATCH, now, now + LEASE).await?;
    tx.commit().await?;
    dies_at!("hand_over.claimed");
    let size = claims.len();
    let mut by_tenant: BTreeMap<TenantId, Vec<Claim>> = BTreeMap::new();
    for claim in claims {
        by_tenant.entry(claim.tenant_id.into()).or_default().push(claim);
    }
    let mut failure = None;
    for (tenant, claims) in by_tenant {
        // One tenant's trouble is no other's.
        failure = hand_over_all(deps, tenant, claims).await.err().or(failure);
    }
    failure.map_or(Ok(size), Err)
}

/// Hands over what was claimed of a tenant, together as long as that goes well. An error: the database was away, or could not
/// take what became of a part, which comes again when the lease ends.
async fn hand_over_all(deps: &Deps, tenant: TenantId, claims: Vec<Claim>) -> Result<(), Error> {
    let (suspects, others): (Vec<Claim>, Vec<Claim>) =
        claims.into_iter().partition(|claim| claim.attempt >= ALONE);
    let mut parts: Vec<Vec<Claim>> = suspects.into_iter().map(|claim| vec![claim]).collect();
    parts.push(others);
    let mut failure = None;
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let Err(error) = hand_over(deps, tenant, &part).await else { continue };
        dies_at!("hand_over.failed");
        let deliveries = part.len();
        tracing::warn!(%error, tenant_id = %tenant, deliveries, "notifications could not be handed over");
        if matches!(&error, Error::Db(db) if db.is_transient()) {
            // What is left would meet the same.
            part.extend(parts.drain(..).flatten());
            failure = setback::give_back(deps, tenant, &part).await.err().or(Some(error));
        } else if let [claim] = part.as_slice() {
            failure = setback::of(deps, tenant, claim, &error).await.err().or(failure);
        } else {
            parts.push(part.split_off(deliveries / 2));
            parts.push(part);
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn hand_over(deps: &Deps, tenant: TenantId, claims: &[Claim]) -> Result<(), Error> {
    let began = Instant::now();
    let caller = Caller::service(SCHEMA, tenant, Trace::start());
    let now = deps.ids.now();
    let mut tx = deps.db.tenant(&caller).await?;
    let meetings = deliveries::meetings(&mut tx, claims).await?;
    tx.commit().await?;
    dies_at!("hand_over.read");
    let gone = gone(deps, &caller, meetings).await;
    dies_at!("hand_over.asked");
    let mut tx = deps.db.tenant(&caller).await?;
    erasure::hold_off(&mut tx).await?;
    let mut ready = deliveries::ready(&mut tx, claims).await?;
    for delivery in &mut ready {
        delivery.withdrawn |= gone.contains(&delivery.meeting_id);
    }
    let targets = targets(&mut tx, &ready).await?;
    let ended = ready
        .iter()
        .map(|delivery| Ended {
            id: delivery.id,
            attempt: delivery.attempt,
            outcome: outcome(deps, delivery, &targets, now),
        })
        .collect::<Vec<_>>();
    let told: Vec<Uuid> =
        ended.iter().filter(|e| matches!(e.outcome, Outcome::Sent { .. })).map(|e| e.id).collect();
    let kept = deliveries::end(&mut tx, &deps.ids, ended).await?;
    let told: Vec<&Ready> = ready.iter().filter(|d| told.contains(&d.id) && kept.contains(&d.id)).collect();
    let made = compose(deps, &told, &targets, now);
    let count = made.len();
    let late = messages::put(&mut tx, made, now).await?;
    // Their digest was sent already: they make one of their own.
    let again = late
        .into_iter()
        .filter(|message| message.digest_at.is_some())
        .map(|message| NewMessage {
            dedupe_key: hex(&format!(
                "{}|{}",
                message.dedupe_key,
                message.deliveries.first().map(ToString::to_string).unwrap_or_default()
            )),
            ..message
        })
        .collect();
    messages::put(&mut tx, again, now).await?;
    dies_at!("hand_over.written");
    tx.commit().await?;
    dies_at!("hand_over.committed");
    tell_traces(tenant, &told);
    let duration_ms = began.elapsed().as_millis();
    tracing::info!(event = "deliveries.handed_over", tenant_id = %tenant, told = told.len(), messages = count, claimed = claims.len(),
        duration_ms, "notifications handed over");
    Ok(())
}

/// A batch is of many calls: each learns in a span of its own what was told because of it.
fn tell_traces(tenant: TenantId, told: &[&Ready]) {
    let mut traces: BTreeMap<String, Vec<&Ready>> = BTreeMap::new();
    for delivery in told {
        let trace = Trace::parse(&delivery.traceparent).map(Trace::trace_id).unwrap_or_default();
        traces.entry(trace).or_default().push(delivery);
    }
    for (trace_id, told) in traces {
        let span = tracing::info_span!("work", otel.name = "hand_over", trigger = "notification.hand_over", tenant_id = %tenant, trace_id);
        let _in = span.enter();
        for delivery in told {
            let (user, meeting) = (UserId::from(delivery.user_id), MeetingId::from(delivery.meeting_id));
            tracing::debug!(event = "delivery.ended", dedupe_key = delivery.dedupe_key, user_id = %user, meeting_id = %meeting,
                attempt = delivery.attempt, outcome = "sent", "a notification was handed over");
        }
    }
}

/// Those of the meetings that are not there any more, though nobody has told it here yet. Where meetings cannot be asked
/// none is: what is told then is what was true when it was announced.
async fn gone(deps: &Deps, caller: &Caller, meetings: Vec<Uuid>) -> HashSet<Uuid> {
    let ids: Vec<MeetingId> = meetings.into_iter().map(MeetingId::from).collect();
    match places::standing(deps, caller, &ids).await {
        Ok(there) => ids.into_iter().filter(|id| !there.contains(id)).map(|id| id.uuid()).collect(),
        Err(error) => {
            tracing::warn!(%error, "whether meetings still stand could not be asked");
            HashSet::new()
        }
    }
}

/// Where the people of a batch are reached outside, beside e-mail: by person, channel and row.
type Targets = HashMap<Uuid, Vec<(&'static str, Uuid)>>;

async fn targets(tx: &mut TenantTx, ready: &[Ready]) -> Result<Targets, Error> {
    let outside = |delivery: &&Ready| delivery.preferences.channels.iter().any(|c| c == PUSH || c == WEBHOOK);
    let mut users: Vec<Uuid> = ready.iter().filter(outside).map(|delivery| delivery.user_id).collect();
    users.dedup();
    let mut targets = Targets::new();
    if users.is_empty() {
        return Ok(targets);
    }
    for (user, channel, id) in addresses::targets(tx, &users).await? {
        let channel = if channel == PUSH { PUSH } else { WEBHOOK };
        targets.entry(user).or_default().push((channel, id));
    }
    Ok(targets)
}

/// Where a delivery goes beside the inbox: by what the person chose and this instance sends by. A message for a channel
/// that nobody here works on would lie for ever.
fn lanes(deps: &Deps, delivery: &Ready, targets: &Targets) -> Vec<(&'static str, Option<Uuid>)> {
    let wants = |channel: &str| {
        delivery.preferences.channels.iter().any(|name| name == channel) && deps.available.contains(&channel)
    };
    let mail = wants(EMAIL).then_some((EMAIL, None));
    let others = targets.get(&delivery.user_id).into_iter().flatten();
    mail.into_iter()
        .chain(others.filter(|(channel, _)| wants(channel)).map(|(channel, id)| (*channel, Some(*id))))
        .collect()
}

fn outcome(deps: &Deps, delivery: &Ready, targets: &Targets, now: DateTime<Utc>) -> Outcome {
    if delivery.withdrawn {
        return Outcome::Suppressed("the meeting was withdrawn".to_owned());
    }
    // A pause or quiet hours that began since the fan-out count.
    if let Some(why) = delivery.preferences.silence(now) {
        return Outcome::Suppressed(why);
    }
    let after = delivery.preferences.schedule().after_quiet(now);
    if after > now {
        return Outcome::Held(after);
    }
    let in_app = delivery.preferences.channels.iter().any(|name| name == IN_APP);
    if !in_app && lanes(deps, delivery, targets).is_empty() {
        let sent_by = |name: &String| deps.available.contains(&name.as_str());
        let why = match delivery.preferences.channels.as_slice() {
            [_, ..] if !delivery.preferences.channels.iter().any(sent_by) => {
                "this instance does not send by the channels that are switched on"
            }
            _ => "no channel is switched on",
        };
        return Outcome::Suppressed(why.to_owned());
    }
    Outcome::Sent { in_app }
}

/// The messages of a batch: one a delivery and lane, or one a digest and lane.
fn compose(deps: &Deps, told: &[&Ready], targets: &Targets, now: DateTime<Utc>) -> Vec<NewMessage> {
    let mut made = Vec::new();
    let mut digests: BTreeMap<(String, Option<Uuid>, &str), NewMessage> = BTreeMap::new();
    for delivery in told {
        for (channel, target) in lanes(deps, delivery, targets) {
            let message = NewMessage {
                id: deps.ids.next::<MessageId>().uuid(),
                user: delivery.user_id,
                channel,
                target,
                city: delivery.city_id,
                dedupe_key: delivery.dedupe_key.clone(),
                digest_at: delivery.digest_at,
                due_at: now,
                traceparent: delivery.traceparent.clone(),
                deliveries: vec![delivery.id],
            };
            let Some(at) = delivery.digest_at else {
                made.push(message);
                continue;
            };
            let time = at.to_rfc3339_opts(SecondsFormat::Millis, true);
            let key = hex(&format!("{}|digest|{time}", UserId::from(delivery.user_id)));
            digests
                .entry((key.clone(), target, channel))
                .and_modify(|digest| digest.deliveries.push(delivery.id))
                .or_insert(NewMessage { dedupe_key: key, due_at: now + SETTLE, ..message });
        }
    }
    made.extend(digests.into_values());
    made
}

pub(crate) fn hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
