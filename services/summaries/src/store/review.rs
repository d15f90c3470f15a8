//! Decisions of reviewers, and the versions that they make.

use chrono::{DateTime, Utc};
use cs_core::page::{Direction, Page};
use cs_core::{ClaimId, MeetingId, ReviewId, SummaryId};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

use super::{SHOWN, SUMMARY, SummaryRow};

/// What a decision is about, and what it has come to.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Reviewed {
    pub(crate) summary_id: Uuid,
    pub(crate) run_id: Uuid,
    pub(crate) version: i64,
    pub(crate) verdict: String,
    pub(crate) verdict_reasons: Vec<String>,
    pub(crate) claims_proposed: i32,
    pub(crate) visibility: String,
    /// Readers get it.
    pub(crate) is_current: bool,
    /// The version of a later run is there.
    pub(crate) is_outdated: bool,
    /// The version that was made of it by an approval.
    pub(crate) approved_as: Option<i64>,
}

/// A later run has made a version of the meeting of `s`.
const OUTDATED: &str = "EXISTS (SELECT FROM summaries n WHERE n.meeting_id = s.meeting_id AND n.reviewed_from IS NULL AND n.run_id > s.run_id)";

/// Selects what is [`Reviewed`], of summaries `s`.
fn reviewed() -> String {
    format!(
        "SELECT s.id AS summary_id, s.run_id, s.version, s.verdict, s.verdict_reasons, s.claims_proposed, s.visibility,
         EXISTS (SELECT FROM publications p WHERE p.summary_id = s.id AND p.is_current) AS is_current,
         {OUTDATED} AS is_outdated,
         (SELECT m.version FROM reviews r JOIN summaries m ON m.id = r.made_summary_id
          WHERE r.summary_id = s.id AND r.decision = 'approve' ORDER BY r.id LIMIT 1) AS approved_as
         FROM summaries s"
    )
}

/// A version, as far as the caller may see it.
pub(crate) async fn version(
    tx: &mut TenantTx,
    meeting: MeetingId,
    version: i64,
    visible: &[&str],
) -> Result<Option<Reviewed>, DbError> {
    let sql = format!("{} WHERE s.meeting_id = $1 AND s.version = $3 AND {SHOWN}", reviewed());
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(meeting.uuid())
        .bind(visible)
        .bind(version)
        .fetch_optional(tx.conn())
        .await?)
}

/// The version that readers get.
pub(crate) async fn current(
    tx: &mut TenantTx,
    meeting: MeetingId,
    visible: &[&str],
) -> Result<Option<Reviewed>, DbError> {
    let sql = format!(
        "{} WHERE s.meeting_id = $1 AND {SHOWN}
         AND EXISTS (SELECT FROM publications p WHERE p.summary_id = s.id AND p.is_current)",
        reviewed()
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(meeting.uuid())
        .bind(visible)
        .fetch_optional(tx.conn())
        .await?)
}

/// The words and the meeting of a claim that was published, as far as the caller may see the meeting.
pub(crate) async fn claim(
    tx: &mut TenantTx,
    claim: ClaimId,
    visible: &[&str],
) -> Result<Option<(Uuid, String)>, DbError> {
    let sql = format!(
        "SELECT s.meeting_id, c.text FROM claims c JOIN summaries s ON s.id = c.summary_id
         JOIN publications p ON p.summary_id = s.id WHERE c.id = $1 AND {SHOWN}"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(claim.uuid())
        .bind(visible)
        .fetch_optional(tx.conn())
        .await?)
}

/// A version that a decision makes of another: what differs from that one.
pub(crate) struct Made<'a> {
    pub(crate) id: SummaryId,
    pub(crate) version: i64,
    pub(crate) review: &'a str,
    pub(crate) verdict: &'a str,
    pub(crate) reasons: &'a [String],
    pub(crate) short_summary: &'a str,
    pub(crate) verified: usize,
    pub(crate) ecr: f64,
}

/// Writes the version, without its claims.
pub(crate) async fn put_made(
    tx: &mut TenantTx,
    of: &Reviewed,
    made: &Made<'_>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let verified = i32::try_from(made.verified).unwrap_or(i32::MAX);
    sqlx::query(
        "INSERT INTO summaries (id, tenant_id, meeting_id, run_id, version, verdict, verdict_reasons, short_summary, ecr,
                                claims_proposed, claims_verified, summarizer_version, visibility, created_at, review, reviewed_from)
         SELECT $2, tenant_id, meeting_id, run_id, $3, $4, $5, $6, $7, claims_proposed, $8, summarizer_version, visibility, $9, $10, id
         FROM summaries WHERE id = $1",
    )
    .bind(of.summary_id)
    .bind(made.id.uuid())
    .bind(made.version)
    .bind(made.verdict)
    .bind(made.reasons)
    .bind(made.short_summary)
    .bind(made.ecr)
    .bind(verified)
    .bind(now)
    .bind(made.review)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A claim of another version that a new one keeps: its id there, its id here, and its place in the short summary.
pub(crate) type KeptAs = (Uuid, Uuid, Option<i32>);

/// Copies claims with their evidence into a version, in order. The database compares every excerpt anew.
pub(crate) async fn copy_claims(
    tx: &mut TenantTx,
    summary: SummaryId,
    kept: &[KeptAs],
) -> Result<(), DbError> {
    let (from, to): (Vec<Uuid>, Vec<Uuid>) = kept.iter().map(|(from, to, _)| (*from, *to)).unzip();
    let highlights: Vec<Option<i32>> = kept.iter().map(|(.., highlight)| *highlight).collect();
    sqlx::query(
        "INSERT INTO claims (id, tenant_id, summary_id, ordinal, kind, text, decision, topics, confidence, highlight)
         SELECT n.id, c.tenant_id, $4, n.ordinal - 1, c.kind, c.text, c.decision, c.topics, c.confidence, n.highlight
         FROM unnest($1::uuid[], $2::uuid[], $3::int[]) WITH ORDINALITY AS n (old, id, highlight, ordinal)
         JOIN claims c ON c.id = n.old",
    )
    .bind(&from)
    .bind(&to)
    .bind(&highlights)
    .bind(summary.uuid())
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "INSERT INTO evidence (claim_id, ordinal, tenant_id, artifact_id, text_sha256, section, start_at, end_at, excerpt, page, time_ms)
         SELECT n.id, e.ordinal, e.tenant_id, e.artifact_id, e.text_sha256, e.section, e.start_at, e.end_at, e.excerpt, e.page, e.time_ms
         FROM unnest($1::uuid[], $2::uuid[]) AS n (old, id) JOIN evidence e ON e.claim_id = n.old",
    )
    .bind(&from)
    .bind(&to)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What failed verification in one version failed in the one made of it.
pub(crate) async fn copy_failed(
    tx: &mut TenantTx,
    from: Uuid,
    to: SummaryId,
    new_id: impl Fn() -> Uuid,
) -> Result<(), DbError> {
    let old: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM rejected_claims WHERE summary_id = $1")
        .bind(from)
        .fetch_all(tx.conn())
        .await?;
    let new: Vec<Uuid> = old.iter().map(|_| new_id()).collect();
    sqlx::query(
        "INSERT INTO rejected_claims (id, tenant_id, summary_id, kind, text, reasons)
         SELECT n.id, c.tenant_id, $3, c.kind, c.text, c.reasons
         FROM unnest($1::uuid[], $2::uuid[]) AS n (old, id) JOIN rejected_claims c ON c.id = n.old",
    )
    .bind(&old)
    .bind(&new)
    .bind(to.uuid())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A decision.
pub(crate) struct Decided<'a> {
    pub(crate) id: ReviewId,
    pub(crate) meeting: MeetingId,
    pub(crate) summary: Uuid,
    pub(crate) claim: Option<ClaimId>,
    pub(crate) decision: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) made: Option<SummaryId>,
}

/// Writes a decision down: who, what and why.
pub(crate) async fn put(tx: &mut TenantTx, decided: &Decided<'_>, now: DateTime<Utc>) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "INSERT INTO reviews (id, tenant_id, meeting_id, summary_id, claim_id, decision, actor, reason, made_summary_id, decided_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(decided.id.uuid())
    .bind(tenant)
    .bind(decided.meeting.uuid())
    .bind(decided.summary)
    .bind(decided.claim.map(ClaimId::uuid))
    .bind(decided.decision)
    .bind(decided.actor)
    .bind(decided.reason)
    .bind(decided.made.map(SummaryId::uuid))
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes every claim of these words back, in whichever version of the meeting it stands.
pub(crate) async fn retract(
    tx: &mut TenantTx,
    review: ReviewId,
    meeting: MeetingId,
    text: &str,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO retracted_claims (claim_id, tenant_id, meeting_id, text, review_id)
         SELECT c.id, c.tenant_id, s.meeting_id, c.text, $3 FROM claims c JOIN summaries s ON s.id = c.summary_id
         WHERE s.meeting_id = $1 AND c.text = $2 ON CONFLICT DO NOTHING",
    )
    .bind(meeting.uuid())
    .bind(text)
    .bind(review.uuid())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The words that were taken back from a meeting.
pub(crate) async fn retracted(tx: &mut TenantTx, meeting: MeetingId) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar("SELECT DISTINCT text FROM retracted_claims WHERE meeting_id = $1")
        .bind(meeting.uuid())
        .fetch_all(tx.conn())
        .await?)
}

/// Something that waits for a reviewer.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Waiting {
    /// Its place in the queue: ids are made in order.
    pub(crate) key: Uuid,
    pub(crate) summary_id: Uuid,
    /// Of what was flagged.
    pub(crate) claim_id: Option<Uuid>,
    pub(crate) since: DateTime<Utc>,
}

/// One more than a page of the queue, the longest waiting first, in the page's direction. A flag is about words: a later
/// version that says the same waits on in its place.
pub(crate) async fn queue(
    tx: &mut TenantTx,
    page: &Page<Uuid>,
    visible: &[&str],
) -> Result<Vec<Waiting>, DbError> {
    let (compare, direction) = match page.direction {
        Direction::Forward => (">", "ASC"),
        Direction::Backward => ("<", "DESC"),
    };
    let sql = format!(
        "SELECT q.key, q.summary_id, q.claim_id, q.since FROM (
             SELECT s.id AS key, s.id AS summary_id, NULL::uuid AS claim_id, s.created_at AS since FROM summaries s
             WHERE s.verdict = 'reject' AND {SHOWN}
               AND NOT {OUTDATED}
               AND NOT EXISTS (SELECT FROM reviews r WHERE r.summary_id = s.id AND r.decision = 'approve')
             UNION ALL
             SELECT (array_agg(f.id ORDER BY f.id))[1], s.id, (array_agg(c.id ORDER BY c.ordinal))[1], min(f.created_at)
             FROM claim_flags f JOIN claims w ON w.id = f.claim_id JOIN summaries ws ON ws.id = w.summary_id
             JOIN publications p ON p.meeting_id = ws.meeting_id AND p.is_current
             JOIN summaries s ON s.id = p.summary_id JOIN claims c ON c.summary_id = s.id AND c.text = w.text
             WHERE f.closed_at IS NULL AND {SHOWN} GROUP BY s.id, c.text) q
         WHERE ($1::uuid IS NULL OR q.key {compare} $1) ORDER BY q.key {direction} LIMIT $3"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(page.cursor)
        .bind(visible)
        .bind(i64::from(page.size) + 1)
        .fetch_all(tx.conn())
        .await?)
}

/// Summaries by id.
pub(crate) async fn summaries(
    tx: &mut TenantTx,
    ids: &[Uuid],
    visible: &[&str],
) -> Result<Vec<SummaryRow>, DbError> {
    let sql = format!("{SUMMARY} WHERE s.id = ANY ($1) AND {SHOWN}");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(ids).bind(visible).fetch_all(tx.conn()).await?)
}

/// What failed verification: summary, kind, text, reasons. At most `most` a summary.
pub(crate) async fn failed(
    tx: &mut TenantTx,
    summaries: &[Uuid],
    most: i64,
) -> Result<Vec<(Uuid, String, String, Vec<String>)>, DbError> {
    Ok(sqlx::query_as(
        "SELECT summary_id, kind, text, reasons FROM (
             SELECT *, row_number() OVER (PARTITION BY summary_id ORDER BY id) AS n FROM rejected_claims WHERE summary_id = ANY ($1)) c
         WHERE n <= $2 ORDER BY summary_id, id",
    )
    .bind(summaries)
    .bind(most)
    .fetch_all(tx.conn())
    .await?)
}

/// A decision, as it is told.
#[derive(sqlx::FromRow)]
pub(crate) struct ReviewRow {
    pub(crate) id: Uuid,
    pub(crate) meeting_id: Uuid,
    pub(crate) version: i64,
    pub(crate) claim_id: Option<Uuid>,
    pub(crate) claim_text: Option<String>,
    pub(crate) decision: String,
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) made_version: Option<i64>,
    pub(crate) decided_at: DateTime<Utc>,
}

/// The newest decisions.
pub(crate) async fn newest(tx: &mut TenantTx, most: i64) -> Result<Vec<ReviewRow>, DbError> {
    Ok(sqlx::query_as(
        "SELECT r.id, r.meeting_id, s.version, r.claim_id, c.text AS claim_text, r.decision, r.actor, r.reason,
                m.version AS made_version, r.decided_at
         FROM reviews r JOIN summaries s ON s.id = r.summary_id LEFT JOIN claims c ON c.id = r.claim_id
         LEFT JOIN summaries m ON m.id = r.made_summary_id ORDER BY r.id DESC LIMIT $1",
    )
    .bind(most)
    .fetch_all(tx.conn())
    .await?)
}
