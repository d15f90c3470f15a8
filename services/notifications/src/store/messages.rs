//! Messages to channels outside: made with the deliveries they tell of, claimed with a lease, ended.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use cs_core::{EventId, Ids};
use cs_db::{DbError, SystemTx, TenantTx, Tx};
use uuid::Uuid;

use super::deliveries::{Claim, Turn};
use crate::hand_over::LEASE;

/// A message to be made, or the open digest that its deliveries join.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) id: Uuid,
    pub(crate) user: Uuid,
    pub(crate) channel: &'static str,
    pub(crate) target: Option<Uuid>,
    /// With which cities it takes turns: of a digest one of its cities.
    pub(crate) city: Uuid,
    pub(crate) dedupe_key: String,
    pub(crate) digest_at: Option<DateTime<Utc>>,
    pub(crate) due_at: DateTime<Utc>,
    pub(crate) traceparent: String,
    pub(crate) deliveries: Vec<Uuid>,
}

impl NewMessage {
    /// Channel and target.
    fn lane(&self) -> String {
        self.target.map_or_else(|| self.channel.to_owned(), |target| format!("{} {target}", self.channel))
    }
}

/// Makes messages and puts their deliveries in. Gives those whose digest is on its way already.
pub(crate) async fn put(
    tx: &mut TenantTx,
    mut messages: Vec<NewMessage>,
    now: DateTime<Utc>,
) -> Result<Vec<NewMessage>, DbError> {
    if messages.is_empty() {
        return Ok(messages);
    }
    // In one order, so that two who make the same digests wait for each other instead of dying.
    messages.sort_by(|a, b| (&a.dedupe_key, a.lane()).cmp(&(&b.dedupe_key, b.lane())));
    let open: HashMap<(String, String), Uuid> = make(tx, &messages, now).await?;
    let (mut ids, mut deliveries, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
    let mut late = Vec::new();
    for message in messages {
        let lane = message.lane();
        match open.get(&(message.dedupe_key.clone(), lane.clone())) {
            Some(id) => {
                for delivery in &message.deliveries {
                    ids.push(*id);
                    deliveries.push(*delivery);
                    lanes.push(lane.clone());
                }
            }
            None => late.push(message),
        }
    }
    sqlx::query(
        "INSERT INTO message_deliveries (tenant_id, message_id, delivery_id, lane)
         SELECT $1, message_id, delivery_id, lane
         FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS u (message_id, delivery_id, lane)",
    )
    .bind(tx.tenant().uuid())
    .bind(ids)
    .bind(deliveries)
    .bind(lanes)
    .execute(tx.conn())
    .await?;
    Ok(late)
}

/// Makes what is not there; gives the rows that are pending, by key and lane.
async fn make(
    tx: &mut TenantTx,
    messages: &[NewMessage],
    now: DateTime<Utc>,
) -> Result<HashMap<(String, String), Uuid>, DbError> {
    let keys: Vec<&str> = messages.iter().map(|m| m.dedupe_key.as_str()).collect();
    let lanes: Vec<String> = messages.iter().map(NewMessage::lane).collect();
    sqlx::query(
        "INSERT INTO messages (id, tenant_id, user_id, channel, target_id, dedupe_key, lane, digest_at, state, due_at,
                               traceparent, created_at, city_id)
         SELECT id, $1, user_id, channel, target_id, dedupe_key, lane, digest_at, 'pending', due_at, traceparent, $2, city_id
         FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::timestamptz[],
                     $10::timestamptz[], $11::text[], $12::uuid[])
              AS u (id, user_id, channel, target_id, dedupe_key, lane, digest_at, due_at, traceparent, city_id)
         ON CONFLICT ON CONSTRAINT messages_once DO NOTHING",
    )
    .bind(tx.tenant().uuid())
    .bind(now)
    .bind(messages.iter().map(|m| m.id).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.user).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.channel).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.target).collect::<Vec<_>>())
    .bind(&keys)
    .bind(&lanes)
    .bind(messages.iter().map(|m| m.digest_at).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.due_at).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.traceparent.as_str()).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.city).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    let open: Vec<(Uuid, String, String)> = sqlx::query_as(
        "SELECT m.id, m.dedupe_key, m.lane FROM messages m
         JOIN unnest($1::text[], $2::text[]) AS u (dedupe_key, lane) ON u.dedupe_key = m.dedupe_key AND u.lane = m.lane
         WHERE m.state = 'pending' ORDER BY m.dedupe_key, m.lane FOR UPDATE OF m",
    )
    .bind(keys)
    .bind(lanes)
    .fetch_all(tx.conn())
    .await?;
    Ok(open.into_iter().map(|(id, key, lane)| ((key, lane), id)).collect())
}

/// Takes what is due of a channel, of every tenant, cities in turn, each city's oldest first; what another sender holds is
/// passed over, and a digest of which a part is due and not handed over, or in the hands of somebody who hands it over.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    turn: &Turn,
    channel: &str,
    most: i32,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Claim>, DbError> {
    let after = turn.after();
    let claims: Vec<Claim> = sqlx::query_as(
        "SELECT message_id AS id, message_tenant AS tenant_id, message_attempt AS attempt, message_city AS city_id
         FROM claim_messages($1, $2, $3, $4, $5, $6)",
    )
    .bind(channel)
    .bind(most)
    .bind(now)
    .bind(until)
    .bind(now + LEASE)
    .bind(after)
    .fetch_all(tx.conn())
    .await?;
    turn.served(after, &claims);
    Ok(claims)
}

/// Keeps messages in their sender's hands; gives those that still were.
pub(crate) async fn renew(
    tx: &mut SystemTx,
    claims: &[&Claim],
    until: DateTime<Utc>,
) -> Result<HashSet<Uuid>, DbError> {
    let kept: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE messages m SET due_at = $4 FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS u (tenant_id, id, attempt)
         WHERE m.tenant_id = u.tenant_id AND m.id = u.id AND m.attempt = u.attempt AND m.state || '' = 'sending' RETURNING m.id",
    )
    .persistent(false)
    .bind(claims.iter().map(|c| c.tenant_id).collect::<Vec<_>>())
    .bind(claims.iter().map(|c| c.id).collect::<Vec<_>>())
    .bind(claims.iter().map(|c| c.attempt).collect::<Vec<_>>())
    .bind(until)
    .fetch_all(tx.conn())
    .await?;
    Ok(kept.into_iter().collect())
}

/// What became of a try.
#[derive(Debug)]
pub(crate) enum Outcome {
    Sent,
    /// Not tried: nobody wants it any more.
    Suppressed(String),
    Failed(String),
    /// Tried, and nobody takes anything there any more.
    Gone(String),
    /// Failed, and to be tried again from then on.
    Again(String, DateTime<Utc>),
    /// Not tried: it waits until then.
    Held(DateTime<Utc>),
}

impl Outcome {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Suppressed(_) | Self::Gone(_) => "suppressed",
            Self::Failed(_) => "failed",
            Self::Again(..) => "again",
            Self::Held(_) => "held",
        }
    }
}

/// A try that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) id: Uuid,
    pub(crate) attempt: i32,
    pub(crate) outcome: Outcome,
}

/// Writes state and attempt of each try whose lease still holds; gives how many those are.
pub(crate) async fn end(tx: &mut TenantTx, ids: &Ids, mut ended: Vec<&Ended>) -> Result<usize, DbError> {
    ended.sort_unstable_by_key(|e| e.id);
    // What a server says may hold anything; a text of Postgres holds no NUL.
    let text = |said: &str| said.replace('\0', "");
    let now = ids.now();
    let (mut states, mut reasons, mut dues, mut held) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Ended { outcome, .. } in &ended {
        let (state, reason, due) = match outcome {
            Outcome::Sent => ("sent", None, None),
            Outcome::Suppressed(why) => ("suppressed", Some(text(why)), None),
            // No dead letter: there is nothing that anybody could mend, and the address is forgotten with this.
            Outcome::Gone(_) => ("suppressed", Some("the address is gone".to_owned()), None),
            Outcome::Failed(error) => ("failed", Some(text(error)), None),
            Outcome::Again(error, at) => ("sending", Some(text(error)), Some(*at)),
            Outcome::Held(at) => ("sending", None, Some(*at)),
        };
        states.push(state);
        reasons.push(reason);
        dues.push(due);
        held.push(matches!(outcome, Outcome::Held(_)));
    }
    let kept: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE messages m SET state = u.state, state_reason = u.reason, due_at = coalesce(u.due, m.due_at),
                tries_from = m.tries_from + u.held::integer,
                sent_at = CASE WHEN u.state = 'sent' THEN $6::timestamptz END,
                failed_at = CASE WHEN u.state = 'failed' THEN $6::timestamptz END,
                ended_at = CASE WHEN u.state <> 'sending' THEN $6::timestamptz END
         FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::timestamptz[], $7::boolean[])
              AS u (id, attempt, state, reason, due, held)
         WHERE m.id = u.id AND m.attempt = u.attempt AND m.state || '' = 'sending' RETURNING m.id",
    )
    .persistent(false)
    .bind(ended.iter().map(|e| e.id).collect::<Vec<_>>())
    .bind(ended.iter().map(|e| e.attempt).collect::<Vec<_>>())
    .bind(states)
    .bind(reasons)
    .bind(dues)
    .bind(now)
    .bind(held)
    .fetch_all(tx.conn())
    .await?;
    let tried: Vec<(Uuid, i32, &str, Option<String>)> = ended
        .iter()
        .filter(|e| kept.contains(&e.id))
        .filter_map(|e| match &e.outcome {
            Outcome::Sent => Some((e.id, e.attempt, "sent", None)),
            Outcome::Failed(error) | Outcome::Gone(error) | Outcome::Again(error, _) => {
                Some((e.id, e.attempt, "failed", Some(text(error))))
            }
            Outcome::Suppressed(_) | Outcome::Held(_) => None,
        })
        .collect();
    sqlx::query(
        "INSERT INTO message_attempts (id, tenant_id, message_id, attempt, outcome, error, created_at)
         SELECT id, $1, message_id, attempt, outcome, error, $2
         FROM unnest($3::uuid[], $4::uuid[], $5::integer[], $6::text[], $7::text[])
              AS u (id, message_id, attempt, outcome, error)",
    )
    .bind(tx.tenant().uuid())
    .bind(now)
    .bind(tried.iter().map(|_| ids.next::<EventId>().uuid()).collect::<Vec<_>>())
    .bind(tried.iter().map(|t| t.0).collect::<Vec<_>>())
    .bind(tried.iter().map(|t| t.1).collect::<Vec<_>>())
    .bind(tried.iter().map(|t| t.2).collect::<Vec<_>>())
    .bind(tried.into_iter().map(|t| t.3).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(kept.len())
}
