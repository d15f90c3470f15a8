//! The event `meeting.summarize.requested`: texts in, a verified draft out.
//!
//! The texts come from meetings by gRPC before any transaction is open. The draft and the step that publishes it are
//! written together, with the inbox, so that an event that comes twice has one effect.

use cs_core::document::{ArtifactKind, ExtractedText, Mark, Section};
use cs_core::{ArtifactId, Caller, MeetingId, RunId};
use cs_events::{Envelope, Fact, HandlerError, inbox, jobs};
use cs_proto::events::v1::{MeetingPublishRequested, MeetingSummarizeRequested};
use cs_proto::meetings::v1 as pb;

use crate::draft::{ReadyDraft, prepare};
use crate::summarizer::{MeetingInput, SourceText};
use crate::{Deps, SCHEMA, store};

const HANDLER: &str = "summaries.summarize";

/// Handles the event.
pub(crate) async fn summarize(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let request: MeetingSummarizeRequested = envelope.payload()?;
    let input = fetch(deps, caller, &request).await?;
    let without_text = minutes_without_text(deps, caller, &request).await?;
    let draft = draft(deps, request, input, without_text).await?;
    keep(deps, caller, envelope, draft).await
}

async fn draft(
    deps: &Deps,
    request: MeetingSummarizeRequested,
    input: MeetingInput,
    without_text: usize,
) -> Result<ReadyDraft, HandlerError> {
    let (summarizer, thresholds) = (deps.summarizer.clone(), deps.thresholds.clone());
    tokio::task::spawn_blocking(move || {
        prepare(request, &input, summarizer.as_ref(), &thresholds, without_text)
    })
    .await
    .map_err(|e| HandlerError::Permanent(format!("the summarizer failed: {e}")))
}

async fn keep(
    deps: &Deps,
    caller: &Caller,
    envelope: &Envelope,
    draft: ReadyDraft,
) -> Result<(), HandlerError> {
    let run: RunId = parse(&draft.meeting.run_id)?;
    let meeting: MeetingId = parse(&draft.meeting.meeting_id)?;
    let payload = MeetingPublishRequested {
        meeting_id: draft.meeting.meeting_id.clone(),
        run_id: draft.meeting.run_id.clone(),
        city_id: draft.meeting.city_id.clone(),
    };
    let fact = Fact {
        kind: "meeting.publish.requested",
        resource: ("meeting", payload.meeting_id.clone()),
        key: payload.run_id.clone(),
        payload: &payload,
    };
    let mut tx = deps.db.tenant(caller).await?;
    if !inbox::first_time(&mut tx, HANDLER, envelope, deps.ids.now()).await? {
        return Ok(());
    }
    store::put_draft(&mut tx, run, meeting, &draft, deps.ids.now()).await?;
    jobs::put(&mut tx, &Envelope::new(SCHEMA, caller, &deps.ids, fact)?).await?;
    tx.commit().await?;
    tracing::info!(event = "meeting.summarized", meeting_id = %meeting, processing_run_id = %run, verdict = draft.verdict,
        ecr = draft.ecr, claims = draft.claims.len(), "summary drafted");
    Ok(())
}

async fn fetch(
    deps: &Deps,
    caller: &Caller,
    request: &MeetingSummarizeRequested,
) -> Result<MeetingInput, HandlerError> {
    let wanted = pb::ListTextVersionsRequest { meeting_id: request.meeting_id.clone() };
    let call = deps.outbound.request(caller, wanted, deps.deadline)?;
    let mut stream = deps.meetings.clone().list_text_versions(call).await?.into_inner();
    let mut texts = Vec::new();
    while let Some(version) = stream.message().await? {
        // A later run may have brought other texts: this run is about those it names.
        if request.text_sha256.contains(&version.sha256) {
            texts.push(source_text(version)?);
        }
    }
    Ok(MeetingInput {
        title: request.title.clone(),
        body: request.body_name.clone(),
        date: request.date.clone(),
        texts,
    })
}

fn source_text(version: pb::TextVersion) -> Result<SourceText, HandlerError> {
    let kind: ArtifactKind = version
        .artifact_kind
        .parse()
        .map_err(|e: cs_core::document::UnknownArtifactKind| HandlerError::Permanent(e.to_string()))?;
    let section = |s: pb::Section| Section {
        ordinal: s.ordinal,
        heading: (!s.heading.is_empty()).then_some(s.heading),
        start: s.start,
        end: s.end,
        page: s.page,
        time_ms: s.time_ms,
    };
    let mark = |m: pb::Mark| Mark { at: m.at, page: m.page, time_ms: m.time_ms };
    Ok(SourceText {
        artifact_id: parse::<ArtifactId>(&version.artifact_id)?.uuid(),
        kind,
        text_sha256: version.sha256,
        text: ExtractedText {
            text: version.text,
            sections: version.sections.into_iter().map(section).collect(),
            marks: version.marks.into_iter().map(mark).collect(),
        },
    })
}

async fn minutes_without_text(
    deps: &Deps,
    caller: &Caller,
    request: &MeetingSummarizeRequested,
) -> Result<usize, HandlerError> {
    let wanted = pb::BatchListArtifactsRequest { meeting_ids: vec![request.meeting_id.clone()] };
    let call = deps.outbound.request(caller, wanted, deps.deadline)?;
    let artifacts = deps.meetings.clone().batch_list_artifacts(call).await?.into_inner().artifacts;
    Ok(artifacts.iter().filter(|a| a.kind == "minutes" && a.text_sha256.is_empty()).count())
}

pub(crate) fn parse<T: std::str::FromStr<Err = cs_core::InvalidId>>(text: &str) -> Result<T, HandlerError> {
    text.parse().map_err(|e: cs_core::InvalidId| HandlerError::Permanent(e.to_string()))
}
