//! What readers ask for.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::{ArtifactId, Caller, ClaimId, MeetingId, SummaryId};
use cs_db::TenantTx;
use cs_proto::summaries::v1 as pb;
use uuid::Uuid;

use crate::Error;
use crate::store::{self, ClaimRow, EvidenceRow, SummaryRow};
use crate::summarizer::{DecisionDetail, Votes};

pub(crate) fn tags(caller: &Caller) -> Vec<&'static str> {
    cs_policy::visible(caller).iter().map(|v| v.as_str()).collect()
}

pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The current summaries of meetings.
pub(crate) async fn current(
    tx: &mut TenantTx,
    caller: &Caller,
    meetings: &[MeetingId],
    view: &pb::SummaryView,
) -> Result<Vec<pb::Summary>, Error> {
    let ids: Vec<Uuid> = meetings.iter().map(|id| id.uuid()).collect();
    let rows = store::current(tx, &ids, &tags(caller)).await?;
    with_claims(tx, caller, rows, view).await
}

/// Every version of a meeting's summary, newest first, without claims. Reviewers see what the gate held back.
pub(crate) async fn versions(
    tx: &mut TenantTx,
    caller: &Caller,
    meeting: MeetingId,
) -> Result<Vec<pb::Summary>, Error> {
    let rows = store::versions(tx, meeting, sees_held_back(caller), &tags(caller)).await?;
    Ok(rows.into_iter().map(summary).collect())
}

/// One version with its claims; version 0: the current one.
pub(crate) async fn version(
    tx: &mut TenantTx,
    caller: &Caller,
    meeting: MeetingId,
    version: u64,
) -> Result<pb::Summary, Error> {
    let view = pb::SummaryView::default();
    let rows = if version == 0 {
        store::current(tx, &[meeting.uuid()], &tags(caller)).await?
    } else {
        let all = store::versions(tx, meeting, sees_held_back(caller), &tags(caller)).await?;
        all.into_iter().filter(|row| row.version.unsigned_abs() == version).collect()
    };
    with_claims(tx, caller, rows, &view).await?.pop().ok_or(Error::NotFound("summary"))
}

fn sees_held_back(caller: &Caller) -> bool {
    caller.is_service() || cs_policy::allow(caller, cs_policy::Action::Review).is_ok()
}

/// Claims by id.
pub(crate) async fn claims(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &[ClaimId],
) -> Result<Vec<pb::Claim>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = store::claims_by_id(tx, &ids, &tags(caller)).await?;
    let evidence = evidence_of(tx, &rows).await?;
    Ok(attach(rows, evidence))
}

pub(crate) async fn with_claims(
    tx: &mut TenantTx,
    caller: &Caller,
    rows: Vec<SummaryRow>,
    view: &pb::SummaryView,
) -> Result<Vec<pb::Summary>, Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut summaries: Vec<pb::Summary> = rows.into_iter().map(summary).collect();
    if view.without_claims || ids.is_empty() {
        return Ok(summaries);
    }
    let kinds: Vec<&str> = view.kinds().filter_map(kind_word).collect();
    let claims = store::claims(tx, &ids, &tags(caller), &kinds).await?;
    let evidence = if view.without_evidence { HashMap::new() } else { evidence_of(tx, &claims).await? };
    let mut by_summary: HashMap<Uuid, Vec<ClaimRow>> = HashMap::new();
    for claim in claims {
        by_summary.entry(claim.summary_id).or_default().push(claim);
    }
    let mut evidence = evidence;
    for (id, summary) in ids.iter().zip(&mut summaries) {
        let rows = by_summary.remove(id).unwrap_or_default();
        let mut highlighted: Vec<(i32, String)> =
            rows.iter().filter_map(|r| r.highlight.map(|h| (h, ClaimId::from(r.id).to_string()))).collect();
        highlighted.sort_unstable();
        summary.highlighted_claim_ids = highlighted.into_iter().map(|(_, id)| id).collect();
        let own: HashMap<Uuid, Vec<EvidenceRow>> =
            rows.iter().filter_map(|r| evidence.remove_entry(&r.id)).collect();
        summary.claims = attach(rows, own);
    }
    Ok(summaries)
}

pub(crate) async fn evidence_of(
    tx: &mut TenantTx,
    claims: &[ClaimRow],
) -> Result<HashMap<Uuid, Vec<EvidenceRow>>, Error> {
    let ids: Vec<Uuid> = claims.iter().map(|c| c.id).collect();
    let mut by_claim: HashMap<Uuid, Vec<EvidenceRow>> = HashMap::new();
    for row in store::evidence(tx, &ids).await? {
        by_claim.entry(row.claim_id).or_default().push(row);
    }
    Ok(by_claim)
}

pub(crate) fn attach(rows: Vec<ClaimRow>, mut evidence: HashMap<Uuid, Vec<EvidenceRow>>) -> Vec<pb::Claim> {
    rows.into_iter()
        .map(|row| {
            let spans = evidence.remove(&row.id).unwrap_or_default();
            pb::Claim {
                id: ClaimId::from(row.id).to_string(),
                kind: kind_of(&row.kind).into(),
                text: row.text,
                ordinal: row.ordinal.unsigned_abs(),
                decision: row.decision.map(|json| decision(json.0)),
                topics: row.topics,
                evidence: spans.into_iter().map(span).collect(),
                confidence: f64::from(row.confidence),
                meeting_id: MeetingId::from(row.meeting_id).to_string(),
            }
        })
        .collect()
}

fn summary(row: SummaryRow) -> pb::Summary {
    pb::Summary {
        id: SummaryId::from(row.id).to_string(),
        meeting_id: MeetingId::from(row.meeting_id).to_string(),
        version: row.version.unsigned_abs(),
        verdict: row.verdict,
        verdict_reasons: row.verdict_reasons,
        short_summary: row.short_summary,
        ecr: row.ecr,
        claims_proposed: row.claims_proposed.unsigned_abs(),
        claims_verified: row.claims_verified.unsigned_abs(),
        summarizer_version: row.summarizer_version,
        created_at: rfc3339(row.created_at),
        claims: Vec::new(),
        highlighted_claim_ids: Vec::new(),
        review: row.review.unwrap_or_default(),
    }
}

fn span(row: EvidenceRow) -> pb::Evidence {
    pb::Evidence {
        artifact_id: ArtifactId::from(row.artifact_id).to_string(),
        text_sha256: row.text_sha256,
        section: row.section.unsigned_abs(),
        start: row.start_at.unsigned_abs(),
        end: row.end_at.unsigned_abs(),
        excerpt: row.excerpt,
        page: row.page.map(i32::unsigned_abs),
        time_ms: row.time_ms.map(i64::unsigned_abs),
    }
}

fn decision(detail: DecisionDetail) -> pb::Decision {
    pb::Decision {
        outcome: detail.outcome.as_str().to_owned(),
        file_number: detail.file_number.unwrap_or_default(),
        title: detail.title.unwrap_or_default(),
        mover: detail.mover.unwrap_or_default(),
        seconder: detail.seconder.unwrap_or_default(),
        votes: detail.votes.map(votes),
    }
}

pub(crate) fn votes(votes: Votes) -> pb::Votes {
    pb::Votes {
        yea_count: votes.counts.yeas,
        nay_count: votes.counts.nays,
        yeas: votes.yeas,
        nays: votes.nays,
        abstain: votes.abstain,
        absent: votes.absent,
        recused: votes.recused,
    }
}

pub(crate) fn kind_of(word: &str) -> pb::ClaimKind {
    match word {
        "decision" => pb::ClaimKind::Decision,
        "action" => pb::ClaimKind::Action,
        "topic" => pb::ClaimKind::Topic,
        "fact" => pb::ClaimKind::Fact,
        _ => pb::ClaimKind::Unspecified,
    }
}

fn kind_word(kind: pb::ClaimKind) -> Option<&'static str> {
    match kind {
        pb::ClaimKind::Decision => Some("decision"),
        pb::ClaimKind::Action => Some("action"),
        pb::ClaimKind::Topic => Some("topic"),
        pb::ClaimKind::Fact => Some("fact"),
        pb::ClaimKind::Unspecified => None,
    }
}
