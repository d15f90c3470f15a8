//! A reviewer publishes what the gate held back.
//!
//! The verdict stays honest: the new version is one of limited confidence, with the gate's reasons and the word that a
//! reviewer published it. A claim whose evidence was not verified stays unpublished, whoever approves.

use cs_core::{Caller, MeetingId};
use cs_policy::{Action, allow};

use crate::gate::Verdict;
use crate::review::{self, Decision, EVERY_TAG};
use crate::store::review::{self as reviews, Reviewed};
use crate::store::{self, flags};
use crate::{Deps, Error, read};

/// Beside the gate's own reasons.
const APPROVED: &str = "The gate held it back; a reviewer looked at it and published it.";

/// What is to be done about a version.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It was approved before.
    Done(i64),
    /// Readers have it: what people said of it is answered.
    Answer,
    Publish,
}

fn step(found: &Reviewed) -> Result<Step, Error> {
    if let Some(version) = found.approved_as {
        return Ok(Step::Done(version));
    }
    if found.is_current {
        return Ok(Step::Answer);
    }
    if found.is_outdated || Verdict::of(&found.verdict) != Verdict::Reject {
        return Err(Error::Stale("a newer summary of this meeting is there: look at that one"));
    }
    Ok(Step::Publish)
}

/// Approves a version; gives the one that readers get by it.
pub(crate) async fn approve(
    deps: &Deps,
    caller: &Caller,
    meeting: MeetingId,
    version: u64,
    reason: &str,
) -> Result<i64, Error> {
    allow(caller, Action::Review)?;
    let reason = review::reason(reason)?;
    let version = i64::try_from(version).map_err(|_| Error::NotFound("summary"))?;
    let visible = read::tags(caller);
    {
        let mut tx = deps.db.tenant(caller).await?;
        let found = reviews::version(&mut tx, meeting, version, &visible).await?;
        if let Step::Done(version) = step(&found.ok_or(Error::NotFound("summary"))?)? {
            return Ok(version);
        }
    }
    let about = review::meeting(deps, caller, meeting).await?;
    let mut tx = deps.db.tenant(caller).await?;
    let known = store::lock_versions(&mut tx, meeting).await?;
    let found = reviews::version(&mut tx, meeting, version, &visible).await?;
    let found = found.ok_or(Error::NotFound("summary"))?;
    let mut decision = Decision {
        word: "approve",
        reason,
        claim: None,
        verdict: Verdict::LimitedConfidence.as_str(),
        verdict_reasons: found.verdict_reasons.clone(),
        claims: Vec::new(),
    };
    let version = match step(&found)? {
        Step::Done(version) => return Ok(version),
        Step::Answer => {
            let now = deps.ids.now();
            // Nobody said anything: there is nothing to decide.
            if flags::close(&mut tx, meeting, None, now).await? > 0 {
                review::note(&mut tx, deps, caller, (&found, meeting), &decision, None, now).await?;
            }
            found.version
        }
        Step::Publish => {
            decision.claims = store::claims(&mut tx, &[found.summary_id], EVERY_TAG, &[]).await?;
            if decision.claims.is_empty() {
                return Err(Error::NothingVerified);
            }
            decision.verdict_reasons.push(APPROVED.to_owned());
            review::make(&mut tx, deps, caller, (&about, meeting), (&found, known), decision).await?.2
        }
    };
    tx.commit().await?;
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(verdict: &str) -> Reviewed {
        Reviewed {
            summary_id: uuid::Uuid::nil(),
            run_id: uuid::Uuid::nil(),
            version: 3,
            verdict: verdict.to_owned(),
            verdict_reasons: Vec::new(),
            claims_proposed: 4,
            visibility: "public".to_owned(),
            is_current: false,
            is_outdated: false,
            approved_as: None,
        }
    }

    #[test]
    fn only_the_newest_that_the_gate_held_back_is_published() {
        assert_eq!(step(&found("reject")).unwrap(), Step::Publish);
        assert_eq!(step(&Reviewed { is_current: true, ..found("pass") }).unwrap(), Step::Answer);
        let again = Reviewed { approved_as: Some(4), is_outdated: true, ..found("reject") };
        assert_eq!(step(&again).unwrap(), Step::Done(4), "the same answer for ever");
        for stale in [found("pass"), Reviewed { is_outdated: true, ..found("reject") }] {
            assert!(matches!(step(&stale), Err(Error::Stale(_))), "{stale:?}");
        }
    }
}
