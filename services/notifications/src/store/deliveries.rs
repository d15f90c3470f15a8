//! Deliveries on their way, and the attempts to send them.

use chrono::{DateTime, Utc};
use cs_core::{EventId, Ids};
use cs_db::{DbError, SystemTx, TenantTx, Tx};
use uuid::Uuid;

/// A delivery to be made.
pub(crate) struct NewDelivery {
    pub(crate) id: Uuid,
    pub(crate) user: Uuid,
    pub(crate) dedupe_key: String,
    pub(crate) reason: String,
    /// Why it is not to be sent; `None`: it is.
    pub(crate) silence: Option<String>,
}

/// Makes the deliveries whose keys are new; gives their number.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    notice: Uuid,
    made: Vec<NewDelivery>,
    traceparent: &str,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let (mut ids, mut users, mut keys, mut reasons, mut silences) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for delivery in made {
        ids.push(delivery.id);
        users.push(delivery.user);
        keys.push(delivery.dedupe_key);
        reasons.push(delivery.reason);
        silences.push(delivery.silence);
    }
    let made = sqlx::query(
        "INSERT INTO deliveries (id, tenant_id, user_id, notice_id, dedupe_key, reason, state, state_reason, due_at,
                                 traceparent, created_at)
         SELECT id, $1, user_id, $2, dedupe_key, reason, CASE WHEN silence IS NULL THEN 'pending' ELSE 'suppressed' END,
                silence, $3, $4, $3
         FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[])
              AS u (id, user_id, dedupe_key, reason, silence)
         ON CONFLICT ON CONSTRAINT deliveries_dedupe DO NOTHING",
    )
    .bind(tx.tenant().uuid())
    .bind(notice)
    .bind(now)
    .bind(traceparent)
    .bind(ids)
    .bind(users)
    .bind(keys)
    .bind(reasons)
    .bind(silences)
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
}

/// Takes what is due, of every tenant, oldest first; what another sender holds is passed over.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    most: i64,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Claim>, DbError> {
    // The due ones stand in an index in their order. A planner without fresh statistics sorts them all instead, a
    // million after a fan-out, for each batch.
    sqlx::query("SET LOCAL enable_sort = off").execute(tx.conn()).await?;
    Ok(sqlx::query_as(
        "UPDATE deliveries SET state = 'sending', attempt = attempt + 1, due_at = $2
         WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM deliveries WHERE state IN ('pending', 'sending') AND due_at <= $1
                      ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING id, tenant_id, attempt",
    )
    .bind(now)
    .bind(until)
    .bind(most)
    .fetch_all(tx.conn())
    .await?)
}

/// What is to be sent, and whether the person still wants it.
#[derive(sqlx::FromRow)]
pub(crate) struct Outgoing {
    pub(crate) id: Uuid,
    pub(crate) attempt: i32,
    pub(crate) user_id: Uuid,
    pub(crate) dedupe_key: String,
    pub(crate) reason: String,
    pub(crate) traceparent: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) enabled: bool,
    pub(crate) pause_until: Option<DateTime<Utc>>,
}

/// The text of what was claimed, in the order of the ids; what another sender holds by now is left out.
pub(crate) async fn outgoing(tx: &mut TenantTx, claims: &[Claim]) -> Result<Vec<Outgoing>, DbError> {
    let ids: Vec<Uuid> = claims.iter().map(|c| c.id).collect();
    let attempts: Vec<i32> = claims.iter().map(|c| c.attempt).collect();
    Ok(sqlx::query_as(
        "SELECT d.id, d.attempt, d.user_id, d.dedupe_key, d.reason, d.traceparent, n.title, n.body,
                coalesce(p.enabled, true) AS enabled, p.pause_until
         FROM unnest($1::uuid[], $2::integer[]) AS c (id, attempt)
         JOIN deliveries d ON d.id = c.id AND d.attempt = c.attempt AND d.state = 'sending'
         JOIN notices n ON n.id = d.notice_id LEFT JOIN preferences p ON p.user_id = d.user_id ORDER BY d.id",
    )
    .bind(ids)
    .bind(attempts)
    .fetch_all(tx.conn())
    .await?)
}

/// What became of a try.
pub(crate) enum Outcome {
    Sent,
    Suppressed(String),
    Failed(String),
    /// Failed, and to be tried again from then on.
    Again(String, DateTime<Utc>),
}

impl Outcome {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Suppressed(_) => "suppressed",
            Self::Failed(_) => "failed",
            Self::Again(..) => "again",
        }
    }
}

/// A try that ended.
pub(crate) struct Ended {
    pub(crate) id: Uuid,
    pub(crate) attempt: i32,
    pub(crate) outcome: Outcome,
}

/// How many of a batch ended how.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) sent: usize,
    pub(crate) suppressed: usize,
    pub(crate) failed: usize,
    pub(crate) again: usize,
    /// The lease was lost: another sender's word counts.
    pub(crate) lost: usize,
}

/// Writes state and attempt of each try whose lease still holds.
pub(crate) async fn end(
    tx: &mut TenantTx,
    ids: &Ids,
    channel: &str,
    mut ended: Vec<Ended>,
) -> Result<Kept, DbError> {
    // Held until the commit: see the head of `send`.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('inbox of ' || $1, 0))")
        .bind(tx.tenant().to_string())
        .execute(tx.conn())
        .await?;
    // Rows are locked in one order by everybody, and stand in the inbox in that of their making.
    ended.sort_unstable_by_key(|e| e.id);
    let now = ids.now();
    let (mut rows, mut receipts, mut states, mut reasons, mut dues) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Ended { id, attempt, outcome } in &ended {
        let (state, reason, due) = match outcome {
            Outcome::Sent => ("sent", None, None),
            Outcome::Suppressed(why) => ("suppressed", Some(why.as_str()), None),
            Outcome::Failed(error) => ("failed", Some(error.as_str()), None),
            Outcome::Again(error, at) => ("sending", Some(error.as_str()), Some(*at)),
        };
        rows.push(*id);
        receipts.push(*attempt);
        states.push(state);
        reasons.push(reason);
        dues.push(due);
    }
    let kept: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE deliveries d SET state = u.state, state_reason = u.reason, due_at = coalesce(u.due, d.due_at),
                sequence = CASE WHEN u.state = 'sent' THEN nextval('inbox_sequence') END,
                sent_at = CASE WHEN u.state = 'sent' THEN $6::timestamptz END
         FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::timestamptz[])
              AS u (id, attempt, state, reason, due)
         WHERE d.id = u.id AND d.attempt = u.attempt AND d.state = 'sending' RETURNING d.id",
    )
    .bind(rows)
    .bind(receipts)
    .bind(states)
    .bind(reasons)
    .bind(dues)
    .bind(now)
    .fetch_all(tx.conn())
    .await?;

    let mut count = Kept::default();
    let kept: std::collections::HashSet<Uuid> = kept.into_iter().collect();
    let (mut rows, mut tries, mut outcomes, mut errors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Ended { id, attempt, outcome } in ended {
        if !kept.contains(&id) {
            count.lost += 1;
            continue;
        }
        let (outcome, error) = match outcome {
            Outcome::Sent => {
                count.sent += 1;
                ("sent", None)
            }
            // No channel was tried.
            Outcome::Suppressed(_) => {
                count.suppressed += 1;
                continue;
            }
            Outcome::Failed(error) => {
                count.failed += 1;
                ("failed", Some(error))
            }
            Outcome::Again(error, _) => {
                count.again += 1;
                ("failed", Some(error))
            }
        };
        rows.push(id);
        tries.push(attempt);
        outcomes.push(outcome);
        errors.push(error);
    }
    let attempt_ids: Vec<Uuid> = rows.iter().map(|_| ids.next::<EventId>().uuid()).collect();
    sqlx::query(
        "INSERT INTO delivery_attempts (id, tenant_id, delivery_id, attempt, channel, outcome, error, created_at)
         SELECT id, $1, delivery_id, attempt, $2, outcome, error, $3
         FROM unnest($4::uuid[], $5::uuid[], $6::integer[], $7::text[], $8::text[])
              AS u (id, delivery_id, attempt, outcome, error)",
    )
    .bind(tx.tenant().uuid())
    .bind(channel)
    .bind(now)
    .bind(attempt_ids)
    .bind(rows)
    .bind(tries)
    .bind(outcomes)
    .bind(errors)
    .execute(tx.conn())
    .await?;
    Ok(count)
}
