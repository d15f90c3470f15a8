//! A decision makes a version of another one: the claims that stay, with their evidence, under the run that proposed them.
//!
//! Versions are append-only, so a decision changes none. The new version is published as transaction B publishes a run's:
//! the database compares its excerpts anew, and demands evidence for each of its claims.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use cs_core::{Caller, ClaimId, MeetingId, ReviewId, RunId, SummaryId};
use cs_db::TenantTx;
use cs_policy::{Action, allow};
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::events::v1::MeetingPublished;
use cs_proto::meetings::v1::Meeting;
use cs_proto::summaries::v1 as pb;

use crate::draft::short_summary;
use crate::gate::ecr;
use crate::store::review::{self, Decided, KeptAs, Made, ReviewRow, Reviewed};
use crate::store::{self, ClaimRow, Versions};
use crate::summarizer::{ClaimKind, ProposedClaim, short};
use crate::{Deps, Error, SCHEMA, publish};

/// Longest reason of a decision, in characters.
const LONGEST_REASON: usize = 1_000;
/// For what a decision keeps: whoever decides, nothing is left out for them.
pub(crate) const EVERY_TAG: &[&str] = &["public", "member", "reviewer"];

/// Why somebody decides.
pub(crate) fn reason(given: &str) -> Result<&str, Error> {
    let given = given.trim();
    if given.is_empty() || given.chars().count() > LONGEST_REASON {
        return Err(Error::invalid("reason", format!("say why in 1 to {LONGEST_REASON} characters")));
    }
    Ok(given)
}

/// The meeting, as its publication tells of it. Asked before a transaction is open.
pub(crate) async fn meeting(deps: &Deps, caller: &Caller, id: MeetingId) -> Result<Meeting, Error> {
    let service = Caller::service(SCHEMA, caller.tenant, caller.trace);
    let message = BatchGetRequest { ids: vec![id.to_string()] };
    let call = deps.outbound.request(&service, message, deps.deadline).map_err(Error::Meetings)?;
    let found = deps.meetings.clone().batch_get_meetings(call).await.map_err(Error::Meetings)?;
    // One that was withdrawn is not there for anybody any more.
    found.into_inner().meetings.pop().ok_or(Error::NotFound("meeting"))
}

/// What a decision comes to.
pub(crate) struct Decision<'a> {
    /// approve, retract
    pub(crate) word: &'static str,
    pub(crate) reason: &'a str,
    /// Of a retraction.
    pub(crate) claim: Option<ClaimId>,
    /// The new version's.
    pub(crate) verdict: &'a str,
    pub(crate) verdict_reasons: Vec<String>,
    /// The claims that stay, in order.
    pub(crate) claims: Vec<ClaimRow>,
}

/// Makes the version, publishes it and writes down who decided it. The caller holds the meeting's lock.
pub(crate) async fn make(
    tx: &mut TenantTx,
    deps: &Deps,
    caller: &Caller,
    (about, meeting): (&Meeting, MeetingId),
    (of, known): (&Reviewed, Versions),
    decision: Decision<'_>,
) -> Result<(SummaryId, ReviewId, i64), Error> {
    let now = deps.ids.now();
    let (summary, version): (SummaryId, i64) = (deps.ids.next(), known.last + 1);
    let places = places(&decision.claims);
    let lines = short_summary(
        places
            .iter()
            .map(|place| place.map(i32::unsigned_abs))
            .zip(decision.claims.iter().map(|c| c.text.as_str())),
    );
    let made = Made {
        id: summary,
        version,
        review: decision.word,
        verdict: decision.verdict,
        reasons: &decision.verdict_reasons,
        short_summary: &lines,
        verified: decision.claims.len(),
        ecr: ecr(usize::try_from(of.claims_proposed).unwrap_or_default(), decision.claims.len()),
    };
    review::put_made(tx, of, &made, now).await?;
    let kept: Vec<KeptAs> = decision
        .claims
        .iter()
        .zip(places)
        .map(|(claim, place)| (claim.id, deps.ids.next::<ClaimId>().uuid(), place))
        .collect();
    review::copy_claims(tx, summary, &kept).await?;
    review::copy_failed(tx, of.summary_id, summary, || deps.ids.next::<ClaimId>().uuid()).await?;
    store::make_current(tx, meeting, summary, now).await?;
    let by = note(tx, deps, caller, (of, meeting), &decision, Some(summary), now).await?;
    let texts: BTreeSet<String> = cited(tx, &decision.claims).await?;
    let topics: BTreeSet<&String> = decision.claims.iter().flat_map(|claim| &claim.topics).collect();
    let published = MeetingPublished {
        meeting_id: about.id.clone(),
        city_id: about.city_id.clone(),
        body_id: about.body_id.clone(),
        starts_at: about.starts_at.clone(),
        date: about.date.clone(),
        version: version.unsigned_abs(),
        previous_version: known.current.unsigned_abs(),
        verdict: decision.verdict.to_owned(),
        topics: topics.into_iter().cloned().collect(),
        visibility: of.visibility.clone(),
        text_sha256: texts.into_iter().collect(),
        title: about.title.clone(),
        body_name: about.body_name.clone(),
        short_summary: lines,
        run_id: RunId::from(of.run_id).to_string(),
        retracts: decision.claim.is_some(),
    };
    publish::announce(tx, deps, caller, &published).await?;
    Ok((summary, by, version))
}

/// Writes down who decided what, and why.
pub(crate) async fn note(
    tx: &mut TenantTx,
    deps: &Deps,
    caller: &Caller,
    (of, meeting): (&Reviewed, MeetingId),
    decision: &Decision<'_>,
    made: Option<SummaryId>,
    now: DateTime<Utc>,
) -> Result<ReviewId, Error> {
    let (by, actor): (ReviewId, String) = (deps.ids.next(), caller.subject.to_string());
    let decided = Decided {
        id: by,
        meeting,
        summary: of.summary_id,
        claim: decision.claim,
        decision: decision.word,
        actor: &actor,
        reason: decision.reason,
        made,
    };
    review::put(tx, &decided, now).await?;
    tracing::info!(event = "review.decided", meeting_id = %meeting, version = of.version, decision = decision.word, actor,
        "a reviewer decided");
    Ok(by)
}

async fn cited(tx: &mut TenantTx, claims: &[ClaimRow]) -> Result<BTreeSet<String>, Error> {
    let ids: Vec<_> = claims.iter().map(|claim| claim.id).collect();
    Ok(store::evidence(tx, &ids).await?.into_iter().map(|evidence| evidence.text_sha256).collect())
}

/// Each claim's place in the short summary: as it was, and chosen anew where none that had one is left.
fn places(claims: &[ClaimRow]) -> Vec<Option<i32>> {
    if claims.iter().any(|claim| claim.highlight.is_some()) {
        return claims.iter().map(|claim| claim.highlight).collect();
    }
    let proposed: Vec<ProposedClaim> = claims
        .iter()
        .map(|claim| ProposedClaim {
            kind: ClaimKind::of(&claim.kind),
            text: claim.text.clone(),
            decision: claim.decision.as_ref().map(|detail| detail.0.clone()),
            topics: claim.topics.clone(),
            evidence: Vec::new(),
            confidence: claim.confidence,
        })
        .collect();
    let chosen = short::choose(&proposed);
    let place = |index| chosen.iter().position(|at| *at == index).and_then(|at| i32::try_from(at).ok());
    (0..claims.len()).map(place).collect()
}

/// Most decisions told at once.
const MOST: u32 = 100;

/// The newest decisions of the caller's tenant.
pub(crate) async fn list(tx: &mut TenantTx, caller: &Caller, first: u32) -> Result<Vec<pb::Review>, Error> {
    allow(caller, Action::Review)?;
    if first > MOST {
        return Err(Error::invalid("first", format!("at most {MOST} at once")));
    }
    let first = if first == 0 { cs_core::page::DEFAULT_PAGE } else { first };
    let rows = review::newest(tx, i64::from(first)).await?;
    Ok(rows.into_iter().map(told).collect())
}

fn told(row: ReviewRow) -> pb::Review {
    pb::Review {
        id: ReviewId::from(row.id).to_string(),
        meeting_id: MeetingId::from(row.meeting_id).to_string(),
        version: row.version.unsigned_abs(),
        claim_id: row.claim_id.map(|id| ClaimId::from(id).to_string()).unwrap_or_default(),
        claim_text: row.claim_text.unwrap_or_default(),
        decision: row.decision,
        actor: row.actor,
        reason: row.reason,
        made_version: row.made_version.unwrap_or_default().unsigned_abs(),
        at: crate::read::rfc3339(row.decided_at),
    }
}
