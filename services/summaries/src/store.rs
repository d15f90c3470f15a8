//! All SQL of this service: functions over a tenant's transaction.

pub(crate) mod flags;
pub(crate) mod review;
pub(crate) mod taken_back;

use chrono::{DateTime, Utc};
use cs_core::{ClaimId, MeetingId, RunId, SummaryId};
use cs_db::{DbError, TenantTx, Tx};
use cs_proto::meetings::v1::SectionText;
use sqlx::types::Json;
use uuid::Uuid;

use crate::draft::{KeptClaim, ReadyDraft, RejectedClaim};
use crate::summarizer::DecisionDetail;

/// A row of `summaries`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct SummaryRow {
    pub(crate) id: Uuid,
    pub(crate) meeting_id: Uuid,
    pub(crate) version: i64,
    pub(crate) verdict: String,
    pub(crate) verdict_reasons: Vec<String>,
    pub(crate) short_summary: String,
    pub(crate) ecr: f64,
    pub(crate) claims_proposed: i32,
    pub(crate) claims_verified: i32,
    pub(crate) summarizer_version: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) review: Option<String>,
}

/// A row of `claims`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct ClaimRow {
    pub(crate) id: Uuid,
    pub(crate) summary_id: Uuid,
    pub(crate) meeting_id: Uuid,
    pub(crate) ordinal: i32,
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) decision: Option<Json<DecisionDetail>>,
    pub(crate) topics: Vec<String>,
    pub(crate) confidence: f32,
    pub(crate) highlight: Option<i32>,
}

/// A row of `evidence`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct EvidenceRow {
    pub(crate) claim_id: Uuid,
    pub(crate) artifact_id: Uuid,
    pub(crate) text_sha256: String,
    pub(crate) section: i32,
    pub(crate) start_at: i32,
    pub(crate) end_at: i32,
    pub(crate) excerpt: String,
    pub(crate) page: Option<i32>,
    pub(crate) time_ms: Option<i64>,
}

/// A short summary is made of claims: where one of them is not for the caller, or was taken back, it is not either. `$2`:
/// what the caller may see.
const SUMMARY: &str = "SELECT s.id, s.meeting_id, s.version, s.verdict, s.verdict_reasons,
    CASE WHEN EXISTS (SELECT FROM claims c JOIN evidence e ON e.claim_id = c.id
                      JOIN artifact_visibility v ON v.artifact_id = e.artifact_id
                      WHERE c.summary_id = s.id AND c.highlight IS NOT NULL AND v.visibility <> ALL ($2))
           OR EXISTS (SELECT FROM claims c JOIN retracted_claims r ON r.claim_id = c.id
                      WHERE c.summary_id = s.id AND c.highlight IS NOT NULL)
         THEN '' ELSE s.short_summary END AS short_summary,
    s.ecr, s.claims_proposed, s.claims_verified, s.summarizer_version, s.created_at, s.review FROM summaries s";
/// Of a meeting that was not withdrawn, for those who may see it.
const SHOWN: &str = "s.visibility = ANY ($2) AND NOT EXISTS (SELECT FROM withdrawn_meetings w WHERE w.meeting_id = s.meeting_id)";
/// A claim that stands, and whose every document is for those who may see it.
const QUOTABLE: &str =
    "NOT EXISTS (SELECT FROM evidence e JOIN artifact_visibility v ON v.artifact_id = e.artifact_id
                       WHERE e.claim_id = c.id AND v.visibility <> ALL ($2))
     AND NOT EXISTS (SELECT FROM retracted_claims r WHERE r.claim_id = c.id)";

pub(crate) async fn put_draft(
    tx: &mut TenantTx,
    run: RunId,
    meeting: MeetingId,
    draft: &ReadyDraft,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query("INSERT INTO drafts (run_id, tenant_id, meeting_id, draft, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
        .bind(run.uuid())
        .bind(tenant)
        .bind(meeting.uuid())
        .bind(Json(draft))
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(crate) async fn draft(tx: &mut TenantTx, run: RunId) -> Result<Option<ReadyDraft>, DbError> {
    let found: Option<Json<ReadyDraft>> = sqlx::query_scalar("SELECT draft FROM drafts WHERE run_id = $1")
        .bind(run.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(found.map(|json| json.0))
}

pub(crate) async fn drop_draft(tx: &mut TenantTx, run: RunId) -> Result<(), DbError> {
    sqlx::query("DELETE FROM drafts WHERE run_id = $1").bind(run.uuid()).execute(tx.conn()).await?;
    Ok(())
}

/// Which versions a meeting has: 0 where there is none.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(crate) struct Versions {
    /// The newest.
    pub(crate) last: i64,
    /// The one readers get.
    pub(crate) current: i64,
    /// The run that made it.
    pub(crate) run: Option<Uuid>,
}

/// Makes publications of one meeting follow each other; gives its last version and its current one (0: none).
pub(crate) async fn lock_versions(tx: &mut TenantTx, meeting: MeetingId) -> Result<Versions, DbError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(meeting.to_string())
        .execute(tx.conn())
        .await?;
    Ok(sqlx::query_as(
        "SELECT coalesce(max(s.version), 0) AS last, coalesce(max(s.version) FILTER (WHERE p.is_current), 0) AS current,
                (array_agg(s.run_id) FILTER (WHERE p.is_current))[1] AS run
         FROM summaries s LEFT JOIN publications p ON p.summary_id = s.id WHERE s.meeting_id = $1",
    )
    .bind(meeting.uuid())
    .fetch_one(tx.conn())
    .await?)
}

pub(crate) async fn put_sections(tx: &mut TenantTx, sections: &[SectionText]) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    for text in sections {
        let Some(section) = &text.section else { continue };
        sqlx::query(
            "INSERT INTO cited_sections (tenant_id, text_sha256, ordinal, heading, start_at, end_at, text)
             VALUES ($1, $2, $3, nullif($4, ''), $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(&text.text_sha256)
        .bind(signed(section.ordinal))
        .bind(&section.heading)
        .bind(signed(section.start))
        .bind(signed(section.end))
        .bind(&section.text)
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

pub(crate) async fn put_summary(
    tx: &mut TenantTx,
    id: SummaryId,
    run: RunId,
    meeting: MeetingId,
    version: i64,
    draft: &ReadyDraft,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "INSERT INTO summaries (id, tenant_id, meeting_id, run_id, version, verdict, verdict_reasons, short_summary, ecr,
                                claims_proposed, claims_verified, summarizer_version, visibility, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(id.uuid())
    .bind(tenant)
    .bind(meeting.uuid())
    .bind(run.uuid())
    .bind(version)
    .bind(&draft.verdict)
    .bind(&draft.reasons)
    .bind(&draft.short_summary)
    .bind(draft.ecr)
    .bind(i32::try_from(draft.proposed).unwrap_or(i32::MAX))
    .bind(i32::try_from(draft.claims.len()).unwrap_or(i32::MAX))
    .bind(&draft.summarizer_version)
    .bind(&draft.meeting.visibility)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn put_claims(
    tx: &mut TenantTx,
    summary: SummaryId,
    ids: &[ClaimId],
    claims: &[KeptClaim],
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    for ((ordinal, id), kept) in (0i32..).zip(ids).zip(claims) {
        sqlx::query(
            "INSERT INTO claims (id, tenant_id, summary_id, ordinal, kind, text, decision, topics, confidence, highlight)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(id.uuid())
        .bind(tenant)
        .bind(summary.uuid())
        .bind(ordinal)
        .bind(kept.claim.kind.as_str())
        .bind(&kept.claim.text)
        .bind(kept.claim.decision.as_ref().map(Json))
        .bind(&kept.claim.topics)
        .bind(kept.claim.confidence)
        .bind(kept.highlight.map(signed))
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

pub(crate) async fn put_evidence(
    tx: &mut TenantTx,
    ids: &[ClaimId],
    claims: &[KeptClaim],
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    for (id, kept) in ids.iter().zip(claims) {
        for ((ordinal, span), (page, time_ms)) in (0i32..).zip(&kept.claim.evidence).zip(&kept.places) {
            sqlx::query(
                "INSERT INTO evidence (claim_id, ordinal, tenant_id, artifact_id, text_sha256, section, start_at, end_at, excerpt, page, time_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            )
            .bind(id.uuid())
            .bind(ordinal)
            .bind(tenant)
            .bind(span.artifact_id)
            .bind(&span.text_sha256)
            .bind(signed(span.section))
            .bind(signed(span.start))
            .bind(signed(span.end))
            .bind(&span.excerpt)
            .bind(page.map(signed))
            .bind(time_ms.and_then(|t| i64::try_from(t).ok()))
            .execute(tx.conn())
            .await?;
        }
    }
    Ok(())
}

pub(crate) async fn put_rejected(
    tx: &mut TenantTx,
    summary: SummaryId,
    ids: &[ClaimId],
    rejected: &[RejectedClaim],
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    for (id, claim) in ids.iter().zip(rejected) {
        sqlx::query("INSERT INTO rejected_claims (id, tenant_id, summary_id, kind, text, reasons) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(id.uuid())
            .bind(tenant)
            .bind(summary.uuid())
            .bind(claim.kind.as_str())
            .bind(&claim.text)
            .bind(&claim.reasons)
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Makes a version the one readers get.
pub(crate) async fn make_current(
    tx: &mut TenantTx,
    meeting: MeetingId,
    summary: SummaryId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query("UPDATE publications SET is_current = false WHERE meeting_id = $1 AND is_current")
        .bind(meeting.uuid())
        .execute(tx.conn())
        .await?;
    sqlx::query("INSERT INTO publications (summary_id, tenant_id, meeting_id, is_current, published_at) VALUES ($1, $2, $3, true, $4)")
        .bind(summary.uuid())
        .bind(tenant)
        .bind(meeting.uuid())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The current summaries of meetings, as far as the caller may see them.
pub(crate) async fn current(
    tx: &mut TenantTx,
    meetings: &[Uuid],
    visible: &[&str],
) -> Result<Vec<SummaryRow>, DbError> {
    let sql = format!(
        "{SUMMARY} JOIN publications p ON p.summary_id = s.id AND p.is_current WHERE p.meeting_id = ANY ($1) AND {SHOWN}"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(meetings).bind(visible).fetch_all(tx.conn()).await?)
}

/// Versions of a meeting's summary that were published, newest first; with `held_back`, those the gate rejected too.
pub(crate) async fn versions(
    tx: &mut TenantTx,
    meeting: MeetingId,
    held_back: bool,
    visible: &[&str],
) -> Result<Vec<SummaryRow>, DbError> {
    let sql = format!(
        "{SUMMARY} LEFT JOIN publications p ON p.summary_id = s.id
         WHERE s.meeting_id = $1 AND {SHOWN} AND ($3 OR p.summary_id IS NOT NULL) ORDER BY s.version DESC"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(meeting.uuid())
        .bind(visible)
        .bind(held_back)
        .fetch_all(tx.conn())
        .await?)
}

/// Claims of summaries that the caller may see, in order; `kinds` empty: all.
pub(crate) async fn claims(
    tx: &mut TenantTx,
    summaries: &[Uuid],
    visible: &[&str],
    kinds: &[&str],
) -> Result<Vec<ClaimRow>, DbError> {
    let sql = format!(
        "SELECT c.id, c.summary_id, s.meeting_id, c.ordinal, c.kind, c.text, c.decision, c.topics, c.confidence, c.highlight
         FROM claims c JOIN summaries s ON s.id = c.summary_id
         WHERE c.summary_id = ANY ($1) AND (cardinality($3::text[]) = 0 OR c.kind = ANY ($3) OR c.highlight IS NOT NULL)
           AND {QUOTABLE}
         ORDER BY c.summary_id, c.ordinal"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(summaries)
        .bind(visible)
        .bind(kinds)
        .fetch_all(tx.conn())
        .await?)
}

/// Claims of current summaries by id.
pub(crate) async fn claims_by_id(
    tx: &mut TenantTx,
    ids: &[Uuid],
    visible: &[&str],
) -> Result<Vec<ClaimRow>, DbError> {
    let sql = format!(
        "SELECT c.id, c.summary_id, s.meeting_id, c.ordinal, c.kind, c.text, c.decision, c.topics, c.confidence, c.highlight
         FROM claims c JOIN summaries s ON s.id = c.summary_id JOIN publications p ON p.summary_id = s.id
         WHERE c.id = ANY ($1) AND {SHOWN} AND {QUOTABLE}"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(ids).bind(visible).fetch_all(tx.conn()).await?)
}

/// The evidence of claims, in order.
pub(crate) async fn evidence(tx: &mut TenantTx, claims: &[Uuid]) -> Result<Vec<EvidenceRow>, DbError> {
    Ok(sqlx::query_as(
        "SELECT claim_id, artifact_id, text_sha256, section, start_at, end_at, excerpt, page, time_ms FROM evidence
         WHERE claim_id = ANY ($1) ORDER BY claim_id, ordinal",
    )
    .bind(claims)
    .fetch_all(tx.conn())
    .await?)
}

fn signed(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
