//! Transaction B: a version, its claims and their evidence, the flip of the current version and the outbox, at once.
//!
//! The cited sections are fetched from meetings before the transaction. The database compares every excerpt with them
//! and demands evidence for every claim; whatever a summarizer says, a claim without evidence cannot be published.

use std::collections::BTreeSet;

use cs_core::{Caller, ClaimId, MeetingId, RunId, SummaryId};
use cs_db::TenantTx;
use cs_events::jobs::{self, Job};
use cs_events::{Envelope, Fact, HandlerError, outbox};
use cs_proto::events::v1::{MeetingPublishRequested, MeetingPublished, SummaryGated};
use cs_proto::meetings::v1 as pb;

use crate::draft::ReadyDraft;
use crate::summarize::parse;
use crate::{Deps, Error, SCHEMA, store};

/// Sections asked for at once.
const SECTIONS: usize = 500;

/// Does the job `meeting.publish.requested`.
pub(crate) async fn publish(
    deps: &Deps,
    caller: &Caller,
    job: &Job,
    request: &MeetingPublishRequested,
) -> Result<(), HandlerError> {
    let run: RunId = parse(&request.run_id)?;
    let draft = {
        let mut tx = deps.db.tenant(caller).await?;
        store::draft(&mut tx, run).await?
    };
    let Some(mut draft) = draft else {
        return Err(HandlerError::Permanent("the draft is gone".to_owned()));
    };
    let sections = cited_sections(deps, caller, &draft).await?;
    let mut tx = deps.db.tenant(caller).await?;
    let meeting: MeetingId = parse(&request.meeting_id)?;
    let written = write(&mut tx, deps, run, meeting, &mut draft, &sections).await?;
    let version = written.version;
    tell(&mut tx, deps, caller, &draft, &written).await?;
    jobs::finish(&mut tx, job, deps.ids.now()).await?;
    tx.commit().await?;
    tracing::info!(event = "summary.gated", meeting_id = %meeting, processing_run_id = %run, verdict = draft.verdict, version, "run ended at the gate");
    Ok(())
}

async fn cited_sections(
    deps: &Deps,
    caller: &Caller,
    draft: &ReadyDraft,
) -> Result<Vec<pb::SectionText>, HandlerError> {
    let wanted: BTreeSet<(String, u32)> = draft
        .claims
        .iter()
        .flat_map(|c| &c.claim.evidence)
        .map(|span| (span.text_sha256.clone(), span.section))
        .collect();
    let refs: Vec<pb::SectionRef> =
        wanted.into_iter().map(|(text_sha256, ordinal)| pb::SectionRef { text_sha256, ordinal }).collect();
    let mut sections = Vec::new();
    for refs in refs.chunks(SECTIONS) {
        let message =
            pb::BatchGetSectionsRequest { meeting_id: draft.meeting.meeting_id.clone(), refs: refs.to_vec() };
        let call = deps.outbound.request(caller, message, deps.deadline)?;
        sections.extend(deps.meetings.clone().batch_get_sections(call).await?.into_inner().sections);
    }
    Ok(sections)
}

/// What transaction B wrote.
struct Written {
    version: i64,
    /// The version it took the place of; 0: none.
    previous: i64,
    /// Readers get it.
    current: bool,
}

/// Writes the version. It becomes current unless the gate rejected it or readers already have one of a newer run: runs
/// may end in another order than they began (a retry, a dead letter replayed), and the newest documents win.
async fn write(
    tx: &mut TenantTx,
    deps: &Deps,
    run: RunId,
    meeting: MeetingId,
    draft: &mut ReadyDraft,
    sections: &[pb::SectionText],
) -> Result<Written, Error> {
    let now = deps.ids.now();
    let known = store::lock_versions(tx, meeting).await?;
    draft.without(&store::review::retracted(tx, meeting).await?, &deps.thresholds);
    let (summary, version): (SummaryId, i64) = (deps.ids.next(), known.last + 1);
    store::put_sections(tx, sections).await?;
    store::put_summary(tx, summary, run, meeting, version, draft, now).await?;
    let ids: Vec<ClaimId> = draft.claims.iter().map(|_| deps.ids.next()).collect();
    store::put_claims(tx, summary, &ids, &draft.claims).await?;
    store::put_evidence(tx, &ids, &draft.claims).await?;
    let rejected: Vec<ClaimId> = draft.rejected.iter().map(|_| deps.ids.next()).collect();
    store::put_rejected(tx, summary, &rejected, &draft.rejected).await?;
    let current = draft.verdict != "reject" && known.run.is_none_or(|newer| newer < run.uuid());
    if current {
        store::make_current(tx, meeting, summary, now).await?;
    }
    store::drop_draft(tx, run).await?;
    Ok(Written { version, previous: known.current, current })
}

async fn tell(
    tx: &mut TenantTx,
    deps: &Deps,
    caller: &Caller,
    draft: &ReadyDraft,
    written: &Written,
) -> Result<(), Error> {
    let (version, previous) = (written.version, written.previous);
    let request = &draft.meeting;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let gated = SummaryGated {
        meeting_id: request.meeting_id.clone(),
        run_id: request.run_id.clone(),
        verdict: draft.verdict.clone(),
        reasons: draft.reasons.clone(),
        ecr: draft.ecr,
        claims_proposed: count(draft.proposed),
        claims_verified: count(draft.claims.len()),
        version: version.unsigned_abs(),
        city_id: request.city_id.clone(),
        body_id: request.body_id.clone(),
        failure: String::new(),
    };
    put(tx, deps, caller, "summary.gated", request.run_id.clone(), &request.meeting_id, &gated).await?;
    if !written.current {
        return Ok(());
    }
    let topics: BTreeSet<String> = draft.claims.iter().flat_map(|c| c.claim.topics.iter().cloned()).collect();
    let published = MeetingPublished {
        meeting_id: request.meeting_id.clone(),
        city_id: request.city_id.clone(),
        body_id: request.body_id.clone(),
        starts_at: request.starts_at.clone(),
        date: request.date.clone(),
        version: version.unsigned_abs(),
        previous_version: previous.unsigned_abs(),
        verdict: draft.verdict.clone(),
        topics: topics.into_iter().collect(),
        visibility: request.visibility.clone(),
        text_sha256: request.text_sha256.clone(),
        title: request.title.clone(),
        body_name: request.body_name.clone(),
        short_summary: draft.short_summary.clone(),
        run_id: request.run_id.clone(),
        retracts: false,
    };
    announce(tx, deps, caller, &published).await
}

/// Tells that a version is what readers get.
pub(crate) async fn announce(
    tx: &mut TenantTx,
    deps: &Deps,
    caller: &Caller,
    published: &MeetingPublished,
) -> Result<(), Error> {
    let key = format!("{}|{}", published.meeting_id, published.version);
    put(tx, deps, caller, "meeting.published", key, &published.meeting_id, published).await
}

async fn put<P: serde::Serialize>(
    tx: &mut TenantTx,
    deps: &Deps,
    caller: &Caller,
    kind: &str,
    key: String,
    meeting: &str,
    payload: &P,
) -> Result<(), Error> {
    let fact = Fact { kind, resource: ("meeting", meeting.to_owned()), key, payload };
    outbox::put(tx, &Envelope::new(SCHEMA, caller, &deps.ids, fact)?).await?;
    Ok(())
}

/// A run that will never reach the gate: meetings is told, so that the meeting ends in a named state.
pub(crate) async fn failed(
    deps: &Deps,
    caller: &Caller,
    meeting_id: &str,
    run_id: &str,
    error: &str,
) -> Result<(), HandlerError> {
    let gated = SummaryGated {
        meeting_id: meeting_id.to_owned(),
        run_id: run_id.to_owned(),
        failure: format!("the summary could not be made: {error}"),
        ..SummaryGated::default()
    };
    let mut tx = deps.db.tenant(caller).await?;
    put(&mut tx, deps, caller, "summary.gated", format!("{run_id}|failed"), meeting_id, &gated).await?;
    Ok(tx.commit().await?)
}
