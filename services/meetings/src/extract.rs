//! From bytes to a text version; and, when every artifact of a meeting has been read, on to its summary.
//!
//! Hidden contract: a run leaves `ingested` only here, under the meeting's row lock, so that of two artifacts that
//! are read at the same moment exactly one finds that it was the last.

use cs_core::{ArtifactId, Caller, Ids, MeetingId, RunId};
use cs_db::TenantTx;
use cs_documents::{ExtractError, Extracted};
use cs_events::jobs::{self, Job};
use cs_events::{Envelope, Fact, HandlerError, RetryPolicy, outbox};
use cs_proto::events::v1::{MeetingExtractRequested, MeetingSummarizeRequested};

use crate::objects::name_of;
use crate::store::{artifacts, meetings, runs, texts};
use crate::{Deps, Error, SCHEMA, messages, rerun};

/// Does the job `meeting.extract.requested`.
pub async fn extract(
    deps: &Deps,
    caller: &Caller,
    job: &Job,
    request: &MeetingExtractRequested,
) -> Result<(), HandlerError> {
    let bytes = deps.objects.get(&request.sha256).await.map_err(Error::Objects)?;
    let mut tx = deps.db.tenant(caller).await?;
    let id: ArtifactId =
        request.artifact_id.parse().map_err(|_| HandlerError::Permanent("no artifact id".into()))?;
    let artifact = artifacts::by_ids(&mut tx, &[id.uuid()], messages::ALL_TAGS, true).await?.pop();
    let Some(artifact) = artifact else {
        return Err(HandlerError::Permanent("the artifact is gone".into()));
    };
    let again = artifact.was_given_up();
    if artifact.status != "fetched" && !again {
        // Read already, for another run, or withdrawn meanwhile.
        meetings::lock(&mut tx, artifact.meeting_id.into()).await?;
        advance(&mut tx, caller, &deps.ids, artifact.meeting_id.into()).await?;
        jobs::finish(&mut tx, job, deps.ids.now()).await?;
        return Ok(tx.commit().await?);
    }
    // No transaction stays open while a document is read.
    drop(tx);
    let read = deps.extractor.extract(&artifact.file_name, bytes).await;
    if let Err(error) = &read
        && error.is_transient()
    {
        // Of a document that the reader dies of each time, its meeting does not wait as long as for a store that is away.
        let mut tx = deps.db.tenant(caller).await?;
        let most = RetryPolicy::STANDARD.attempts;
        let reads = artifacts::count_failed_read(&mut tx, artifact.id, job.attempt == 1, most).await?;
        tx.commit().await?;
        let of = if reads < most { HandlerError::Transient } else { HandlerError::Permanent };
        return Err(of(error.to_string()));
    }
    let now = deps.ids.now();
    let mut tx = deps.db.tenant(caller).await?;
    meetings::lock(&mut tx, artifact.meeting_id.into()).await?;
    match read {
        Ok(extracted) => {
            keep(&mut tx, &artifact, &extracted, now).await?;
            if again {
                // The run that waited for this text has ended without it.
                rerun::begin(&mut tx, &deps.ids, artifact.meeting_id.into(), "replay", "").await?;
            }
        }
        Err(error) => {
            let status = if error == ExtractError::NeedsOcr { "needs_ocr" } else { "unreadable" };
            artifacts::unread(&mut tx, artifact.id, status, &format!("{}: {error}", error.code())).await?;
            tracing::info!(
                event = "artifact.unreadable",
                file = artifact.file_name,
                reason = error.code(),
                "a document could not be read"
            );
        }
    }
    advance(&mut tx, caller, &deps.ids, artifact.meeting_id.into()).await?;
    jobs::finish(&mut tx, job, now).await?;
    Ok(tx.commit().await?)
}

async fn keep(
    tx: &mut TenantTx,
    artifact: &artifacts::Artifact,
    extracted: &Extracted,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), Error> {
    let signed = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let sha256 = name_of(extracted.text.text.as_bytes());
    texts::put(tx, &sha256, cs_documents::EXTRACTOR_VERSION, &extracted.text, now).await?;
    let pages = extracted.pages.map(|p| signed(p as usize));
    let characters = signed(extracted.text.text.chars().count());
    artifacts::extracted(tx, artifact.id, extracted.media_type, pages, characters, &sha256).await?;
    Ok(())
}

/// An artifact that could never be read: marked, and the meeting goes on with the others.
pub async fn given_up(
    deps: &Deps,
    caller: &Caller,
    request: &MeetingExtractRequested,
    error: &str,
) -> Result<(), HandlerError> {
    let id: ArtifactId =
        request.artifact_id.parse().map_err(|_| HandlerError::Permanent("no artifact id".into()))?;
    let meeting: MeetingId =
        request.meeting_id.parse().map_err(|_| HandlerError::Permanent("no meeting id".into()))?;
    let mut tx = deps.db.tenant(caller).await?;
    meetings::lock(&mut tx, meeting).await?;
    artifacts::unread(&mut tx, id.uuid(), "unreadable", &format!("{}{error}", artifacts::GIVEN_UP)).await?;
    advance(&mut tx, caller, &deps.ids, meeting).await?;
    Ok(tx.commit().await?)
}

/// Moves the runs of a meeting on when no artifact waits to be read any more. The caller holds the meeting's lock.
pub(crate) async fn advance(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    meeting_id: MeetingId,
) -> Result<(), Error> {
    let artifacts = artifacts::of_meetings(tx, &[meeting_id.uuid()], messages::ALL_TAGS).await?;
    if artifacts.iter().any(|a| a.status == "fetched") {
        return Ok(());
    }
    let Some(meeting) = meetings::lock(tx, meeting_id).await? else { return Ok(()) };
    let texts: Vec<String> =
        artifacts.iter().filter(|a| a.status == "extracted").filter_map(|a| a.text_sha256.clone()).collect();
    let now = ids.now();
    for run in runs::waiting_for_texts(tx, meeting_id.uuid()).await? {
        if texts.is_empty() {
            let reason = why_no_text(&artifacts);
            runs::advance(tx, run.id, "failed", Some(&reason), now).await?;
            meetings::set_run(tx, meeting.id, run.id, "failed", Some(&reason), now).await?;
            continue;
        }
        runs::advance(tx, run.id, "extracted", None, now).await?;
        meetings::set_run(tx, meeting.id, run.id, "extracted", None, now).await?;
        request_summary(tx, caller, ids, &meeting, run.id.into(), &texts).await?;
    }
    Ok(())
}

fn why_no_text(artifacts: &[artifacts::Artifact]) -> String {
    if artifacts.is_empty() {
        return "no documents are published yet".to_owned();
    }
    let told: Vec<String> = artifacts
        .iter()
        .map(|a| format!("{}: {}", a.file_name, a.reason.as_deref().unwrap_or("withdrawn")))
        .collect();
    format!("none of its documents could be read ({})", told.join("; "))
}

async fn request_summary(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    meeting: &meetings::Meeting,
    run: RunId,
    texts: &[String],
) -> Result<(), Error> {
    let id = MeetingId::from(meeting.id).to_string();
    let payload = MeetingSummarizeRequested {
        meeting_id: id.clone(),
        run_id: run.to_string(),
        text_sha256: texts.to_vec(),
        city_id: cs_core::CityId::from(meeting.city_id).to_string(),
        body_id: cs_core::BodyId::from(meeting.body_id).to_string(),
        title: meeting.title.clone(),
        body_name: meeting.body_name.clone(),
        date: meeting.date.to_string(),
        starts_at: meeting.starts_at.map(messages::rfc3339).unwrap_or_default(),
        visibility: meeting.visibility.clone(),
    };
    let fact = Fact {
        kind: "meeting.summarize.requested",
        resource: ("meeting", id),
        key: run.to_string(),
        payload: &payload,
    };
    outbox::put(tx, &Envelope::new(SCHEMA, caller, ids, fact)?).await?;
    Ok(())
}
