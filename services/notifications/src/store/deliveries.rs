//! Deliveries on their way into inboxes and to channels.
//!
//! The statistics of a queue are those of another moment, and a plan that is kept from when it was empty reads all of it for
//! each batch. What was claimed is therefore found by its key: such a statement is planned anew each time
//! (`persistent(false)`), and its condition on the state is written so that an index of what waits cannot serve it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use cs_core::{EventId, Ids};
use cs_db::{DbError, SystemTx, TenantTx, Tx};
use uuid::Uuid;

use crate::schedule::Due;
use crate::store::notices::Notice;
use crate::store::preferences::{Preferences, columns};

/// Which city was served last, so that cities take turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn(Arc<Mutex<Uuid>>);

impl Turn {
    pub(super) fn after(&self) -> Uuid {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cities served are those after the last one, and then those from the first on.
    pub(super) fn served(&self, after: Uuid, claims: &[Claim]) {
        let wrapped = claims.iter().map(|claim| claim.city_id).filter(|city| *city <= after).max();
        if let Some(last) = wrapped.or_else(|| claims.iter().map(|claim| claim.city_id).max()) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
        }
    }
}

/// A delivery to be made.
pub(crate) struct NewDelivery {
    pub(crate) id: Uuid,
    pub(crate) user: Uuid,
    pub(crate) dedupe_key: String,
    pub(crate) reason: String,
    /// Why it is not to be sent; `None`: it is.
    pub(crate) silence: Option<String>,
    /// From when on.
    pub(crate) due: Due,
}

/// Makes the deliveries whose keys are new; gives their number.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    notice: &Notice,
    made: Vec<NewDelivery>,
    traceparent: &str,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let (mut ids, mut users, mut keys, mut reasons, mut silences) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut dues, mut digests) = (Vec::new(), Vec::new());
    for delivery in made {
        ids.push(delivery.id);
        users.push(delivery.user);
        keys.push(delivery.dedupe_key);
        reasons.push(delivery.reason);
        silences.push(delivery.silence);
        dues.push(delivery.due.at);
        digests.push(delivery.due.digest_at);
    }
    let made = sqlx::query(
        "INSERT INTO deliveries (id, tenant_id, user_id, notice_id, dedupe_key, reason, state, state_reason, due_at,
                                 digest_at, traceparent, created_at, city_id)
         SELECT id, $1, user_id, $2, dedupe_key, reason, CASE WHEN silence IS NULL THEN 'pending' ELSE 'suppressed' END,
                silence, due_at, digest_at, $4, $3, $12
         FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[])
              AS u (id, user_id, dedupe_key, reason, silence, due_at, digest_at)
         ON CONFLICT ON CONSTRAINT deliveries_dedupe DO NOTHING",
    )
    .bind(tx.tenant().uuid())
    .bind(notice.id)
    .bind(now)
    .bind(traceparent)
    .bind(ids)
    .bind(users)
    .bind(keys)
    .bind(reasons)
    .bind(silences)
    .bind(dues)
    .bind(digests)
    .bind(notice.city_id)
    .execute(tx.conn())
    .await?;
    Ok(made.rows_affected())
}

/// A delivery in a sender's hands.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Claim {
    pub(crate) id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) attempt: i32,
    pub(crate) city_id: Uuid,
}

/// Takes what is due, of every tenant, cities in turn, each city's oldest first; what another sender holds is passed over.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    turn: &Turn,
    most: i32,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Claim>, DbError> {
    let after = turn.after();
    let claims: Vec<Claim> = sqlx::query_as(
        "SELECT delivery_id AS id, delivery_tenant AS tenant_id, delivery_attempt AS attempt, delivery_city AS city_id
         FROM claim_deliveries($1, $2, $3, $4)",
    )
    .bind(most)
    .bind(now)
    .bind(until)
    .bind(after)
    .fetch_all(tx.conn())
    .await?;
    turn.served(after, &claims);
    Ok(claims)
}

/// Puts off what is still in these hands; it is tried again from its time on.
pub(crate) async fn put_off(tx: &mut TenantTx, claims: &[(&Claim, DateTime<Utc>)]) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE deliveries d SET due_at = u.due_at FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[]) AS u (id, attempt, due_at)
         WHERE d.id = u.id AND d.attempt = u.attempt AND d.state || '' = 'sending'",
    )
    .persistent(false)
    .bind(claims.iter().map(|(claim, _)| claim.id).collect::<Vec<_>>())
    .bind(claims.iter().map(|(claim, _)| claim.attempt).collect::<Vec<_>>())
    .bind(claims.iter().map(|(_, at)| *at).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Counts a try that a delivery was the cause of; gives how many that makes. `None`: somebody else has it now.
pub(crate) async fn count_failure(tx: &mut TenantTx, claim: &Claim) -> Result<Option<u32>, DbError> {
    let failures: Option<i32> = sqlx::query_scalar(
        "UPDATE deliveries SET failures = failures + 1 WHERE id = $1 AND attempt = $2 AND state = 'sending' RETURNING failures",
    )
    .bind(claim.id)
    .bind(claim.attempt)
    .fetch_optional(tx.conn())
    .await?;
    Ok(failures.map(i32::unsigned_abs))
}

/// Writes that a try failed, and why: to be tried again from `again` on, or given up.
pub(crate) async fn fail(
    tx: &mut TenantTx,
    ids: &Ids,
    claim: &Claim,
    why: &str,
    again: Option<DateTime<Utc>>,
) -> Result<(), DbError> {
    let now = ids.now();
    sqlx::query(
        "UPDATE deliveries SET state = CASE WHEN $4::timestamptz IS NULL THEN 'failed' ELSE state END, state_reason = $3,
                due_at = coalesce($4, due_at), failed_at = CASE WHEN $4::timestamptz IS NULL THEN $5::timestamptz END
         WHERE id = $1 AND attempt = $2",
    )
    .bind(claim.id)
    .bind(claim.attempt)
    .bind(why)
    .bind(again)
    .bind(now)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "INSERT INTO delivery_attempts (id, tenant_id, delivery_id, attempt, channel, outcome, error, created_at)
         VALUES ($1, $2, $3, $4, 'hand_over', 'failed', $5, $6)",
    )
    .bind(ids.next::<EventId>().uuid())
    .bind(tx.tenant().uuid())
    .bind(claim.id)
    .bind(claim.attempt)
    .bind(why)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What is due, and how the person wants it now.
#[derive(sqlx::FromRow)]
pub(crate) struct Ready {
    pub(crate) id: Uuid,
    pub(crate) attempt: i32,
    pub(crate) user_id: Uuid,
    pub(crate) dedupe_key: String,
    pub(crate) traceparent: String,
    pub(crate) digest_at: Option<DateTime<Utc>>,
    pub(crate) meeting_id: Uuid,
    pub(crate) city_id: Uuid,
    pub(crate) withdrawn: bool,
    #[sqlx(flatten)]
    pub(crate) preferences: Preferences,
}

/// The meetings that claims tell of.
pub(crate) async fn meetings(tx: &mut TenantTx, claims: &[Claim]) -> Result<Vec<Uuid>, DbError> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT n.meeting_id FROM deliveries d JOIN notices n ON n.id = d.notice_id WHERE d.id = ANY ($1)",
    )
    .persistent(false)
    .bind(claims.iter().map(|c| c.id).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?)
}

/// What was claimed, in the order of the ids; what another sender holds by now is left out.
pub(crate) async fn ready(tx: &mut TenantTx, claims: &[Claim]) -> Result<Vec<Ready>, DbError> {
    let ids: Vec<Uuid> = claims.iter().map(|c| c.id).collect();
    let attempts: Vec<i32> = claims.iter().map(|c| c.attempt).collect();
    Ok(sqlx::query_as(concat!(
        "SELECT d.id, d.attempt, d.user_id, d.dedupe_key, d.traceparent, d.digest_at, n.meeting_id, n.city_id,
                w.meeting_id IS NOT NULL AS withdrawn, ",
        columns!(),
        " FROM unnest($1::uuid[], $2::integer[]) AS c (id, attempt)
         JOIN deliveries d ON d.id = c.id AND d.attempt = c.attempt AND d.state || '' = 'sending'
         JOIN notices n ON n.id = d.notice_id
         LEFT JOIN withdrawals w ON w.meeting_id = n.meeting_id AND n.summary_version <= w.version
         LEFT JOIN preferences p ON p.user_id = d.user_id ORDER BY d.id"
    ))
    .persistent(false)
    .bind(ids)
    .bind(attempts)
    .fetch_all(tx.conn())
    .await?)
}

/// What becomes of a delivery that was due.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is told: in the inbox, or by channels outside alone.
    Sent {
        /// Whether it stands in the inbox.
        in_app: bool,
    },
    Suppressed(String),
    /// It waits until then.
    Held(DateTime<Utc>),
}

/// A delivery whose turn has come and gone.
pub(crate) struct Ended {
    pub(crate) id: Uuid,
    pub(crate) attempt: i32,
    pub(crate) outcome: Outcome,
}

/// Writes the state of each whose lease still holds; gives their ids.
pub(crate) async fn end(
    tx: &mut TenantTx,
    ids: &Ids,
    mut ended: Vec<Ended>,
) -> Result<HashSet<Uuid>, DbError> {
    // Held until the commit: see the head of `hand_over`.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('inbox of ' || $1, 0))")
        .bind(tx.tenant().to_string())
        .execute(tx.conn())
        .await?;
    // Rows are locked in one order by everybody, and stand in the inbox in that of their making.
    ended.sort_unstable_by_key(|e| e.id);
    let now = ids.now();
    let (mut rows, mut receipts, mut states, mut reasons, mut dues, mut in_apps) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Ended { id, attempt, outcome } in ended {
        let (state, reason, due, in_app) = match outcome {
            Outcome::Sent { in_app } => ("sent", None, None, in_app),
            Outcome::Suppressed(why) => ("suppressed", Some(why), None, true),
            // It was claimed, so it stays in a sender's hands, whose lease ends then.
            Outcome::Held(at) => ("sending", None, Some(at), true),
        };
        rows.push(id);
        receipts.push(attempt);
        states.push(state);
        reasons.push(reason);
        dues.push(due);
        in_apps.push(in_app);
    }
    let kept: Vec<(Uuid, i32, String, bool)> = sqlx::query_as(
        "UPDATE deliveries d SET state = u.state, state_reason = u.reason, due_at = coalesce(u.due, d.due_at), in_app = u.in_app,
                sequence = CASE WHEN u.state = 'sent' THEN nextval('inbox_sequence') END,
                sent_at = CASE WHEN u.state = 'sent' THEN $6::timestamptz END
         FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::timestamptz[], $7::boolean[])
              AS u (id, attempt, state, reason, due, in_app)
         WHERE d.id = u.id AND d.attempt = u.attempt AND d.state || '' = 'sending'
         RETURNING d.id, d.attempt, d.state, d.in_app",
    )
    .persistent(false)
    .bind(rows)
    .bind(receipts)
    .bind(states)
    .bind(reasons)
    .bind(dues)
    .bind(now)
    .bind(in_apps)
    .fetch_all(tx.conn())
    .await?;
    let (told, tries): (Vec<Uuid>, Vec<i32>) = kept
        .iter()
        .filter(|(_, _, state, in_app)| state == "sent" && *in_app)
        .map(|(id, attempt, _, _)| (*id, *attempt))
        .unzip();
    let attempt_ids: Vec<Uuid> = told.iter().map(|_| ids.next::<EventId>().uuid()).collect();
    sqlx::query(
        "INSERT INTO delivery_attempts (id, tenant_id, delivery_id, attempt, channel, outcome, created_at)
         SELECT id, $1, delivery_id, attempt, 'in_app', 'sent', $2
         FROM unnest($3::uuid[], $4::uuid[], $5::integer[]) AS u (id, delivery_id, attempt)",
    )
    .bind(tx.tenant().uuid())
    .bind(now)
    .bind(attempt_ids)
    .bind(told)
    .bind(tries)
    .execute(tx.conn())
    .await?;
    Ok(kept.into_iter().map(|(id, _, _, _)| id).collect())
}
