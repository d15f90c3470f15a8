//! A reviewer takes one published claim back.
//!
//! Readers get a version without it, and nobody is shown it in an older one. It counts as proposed and failed, so ECR falls;
//! a later run that proposes the same words does not publish them.

use cs_core::{Caller, ClaimId, MeetingId};
use cs_policy::{Action, allow};
use uuid::Uuid;

use crate::draft::{RETRACTED, RejectedClaim};
use crate::gate::{GateThresholds, Verdict, coverage};
use crate::review::{self, Decision, EVERY_TAG};
use crate::store::review::{self as reviews, Reviewed};
use crate::store::{self, flags};
use crate::summarizer::ClaimKind;
use crate::{Deps, Error, read};

/// For readers of what is left.
const TOLD: &str = "A reviewer took a claim back after it was published.";

/// Takes a claim back; gives the meeting and the version that readers get by it.
pub(crate) async fn retract(
    deps: &Deps,
    caller: &Caller,
    claim: ClaimId,
    reason: &str,
) -> Result<(MeetingId, i64), Error> {
    allow(caller, Action::Review)?;
    let reason = review::reason(reason)?;
    let visible = read::tags(caller);
    let found = {
        let mut tx = deps.db.tenant(caller).await?;
        reviews::claim(&mut tx, claim, &visible).await?
    };
    let (meeting, text): (Uuid, String) = found.ok_or(Error::NotFound("claim"))?;
    let meeting = MeetingId::from(meeting);
    let about = review::meeting(deps, caller, meeting).await?;
    let mut tx = deps.db.tenant(caller).await?;
    let known = store::lock_versions(&mut tx, meeting).await?;
    let current = reviews::current(&mut tx, meeting, &visible).await?.ok_or(Error::NotFound("claim"))?;
    if reviews::retracted(&mut tx, meeting).await?.contains(&text) {
        return Ok((meeting, current.version));
    }
    let claims = store::claims(&mut tx, &[current.summary_id], EVERY_TAG, &[]).await?;
    let (gone, claims): (Vec<_>, Vec<_>) = claims.into_iter().partition(|claim| claim.text == text);
    if gone.is_empty() {
        return Err(Error::Stale("the current summary of this meeting does not say this any more"));
    }
    let (verdict, verdict_reasons) = judged(&current, claims.len(), &deps.thresholds);
    let decision = Decision {
        word: "retract",
        reason,
        claim: Some(claim),
        verdict: verdict.as_str(),
        verdict_reasons,
        claims,
    };
    let (summary, by, version) =
        review::make(&mut tx, deps, caller, (&about, meeting), (&current, known), decision).await?;
    let failed: Vec<RejectedClaim> = gone
        .into_iter()
        .map(|claim| RejectedClaim {
            kind: ClaimKind::of(&claim.kind),
            text: claim.text,
            reasons: vec![RETRACTED.to_owned()],
        })
        .collect();
    let ids: Vec<ClaimId> = failed.iter().map(|_| deps.ids.next()).collect();
    store::put_rejected(&mut tx, summary, &ids, &failed).await?;
    reviews::retract(&mut tx, by, meeting, &text).await?;
    flags::close(&mut tx, meeting, Some(&text), deps.ids.now()).await?;
    tx.commit().await?;
    Ok((meeting, version))
}

/// What the gate would say of what is left; it is published in any case, since what was published is no safer.
fn judged(current: &Reviewed, left: usize, thresholds: &GateThresholds) -> (Verdict, Vec<String>) {
    let proposed = usize::try_from(current.claims_proposed).unwrap_or_default();
    let (covered, low) = coverage(proposed, left, thresholds);
    let mut reasons = current.verdict_reasons.clone();
    let mut add = |reason: String| {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    };
    add(TOLD.to_owned());
    let verdict = Verdict::of(&current.verdict).max(covered).min(Verdict::LimitedConfidence);
    if verdict > Verdict::of(&current.verdict)
        && let Some(low) = low
    {
        add(low.message);
    }
    (verdict, reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(verdict: &str, proposed: i32) -> Reviewed {
        Reviewed {
            summary_id: Uuid::nil(),
            run_id: Uuid::nil(),
            version: 1,
            verdict: verdict.to_owned(),
            verdict_reasons: Vec::new(),
            claims_proposed: proposed,
            visibility: "public".to_owned(),
            is_current: true,
            is_outdated: false,
            approved_as: None,
        }
    }

    #[test]
    fn a_pass_stays_one_while_enough_is_left_and_says_what_happened() {
        let lines = GateThresholds::default();
        assert_eq!(judged(&current("pass", 100), 99, &lines), (Verdict::Pass, vec![TOLD.to_owned()]));
        let (verdict, reasons) = judged(&current("pass", 3), 2, &lines);
        assert_eq!((verdict, reasons.len()), (Verdict::LimitedConfidence, 2));
        let (verdict, _) = judged(&current("limited_confidence", 1), 0, &lines);
        assert_eq!(verdict, Verdict::LimitedConfidence, "never unpublished: the claim would stay");
        let again = Reviewed { verdict_reasons: vec![TOLD.to_owned()], ..current("pass", 100) };
        assert_eq!(judged(&again, 98, &lines).1.len(), 1, "said once");
    }
}
