//! The indexer: events in, passages and claims in the index.
//!
//! The index has no transaction to share with an inbox, so each part of a meeting carries an external version: an
//! event that comes twice replaces a part by itself, and one that comes late is refused. Documents are indexed when a
//! run ends, whatever the verdict on their summary; claims when a summary becomes current.

mod docs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use cs_core::{ArtifactId, Caller, MeetingId};
use cs_events::{Bus, Consumer, Envelope, EventHandler, HandlerError, RetryPolicy, dies_at};
use cs_proto::common::v1::{BatchGetRequest, PageRequest};
use cs_proto::events::v1::{ArtifactVisibilityChanged, MeetingPublished, MeetingWithdrawn, SummaryGated};
use cs_proto::meetings::v1 as meetings;
use cs_proto::summaries::v1 as summaries;
use tonic::{Code, Status};

use self::docs::Base;
pub(crate) use self::docs::{CLAIMS, tag};
use crate::index::{Applied, Part, PassageDoc, Visibility};
use crate::{Deps, Error, NAME};

/// This service's queue.
pub const QUEUE: &str = "search";
/// What that queue gets.
pub const EVENTS: &[&str] =
    &["artifact.visibility_changed", "meeting.published", "meeting.withdrawn", "summary.gated"];
/// Texts embedded at once: enough to keep a core busy, few enough that a meeting's vectors fit in little memory.
const EMBED_BATCH: usize = 64;

/// Meetings listed at once by a rebuild.
const PAGE: u32 = 50;

struct Indexer(Deps);

/// The consumer of this service's queue.
pub fn consumer(deps: &Deps, bus: Arc<dyn Bus>) -> Consumer {
    Consumer::new(bus, QUEUE, Arc::new(Indexer(deps.clone())), RetryPolicy::PATIENT)
}

#[async_trait]
impl EventHandler for Indexer {
    fn types(&self) -> &'static [&'static str] {
        EVENTS
    }

    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        let caller = envelope.caller(NAME);
        let done = match envelope.kind.as_str() {
            "artifact.visibility_changed" => visibility(&self.0, &caller, envelope).await,
            "meeting.withdrawn" => withdrawn(&self.0, &caller, envelope).await,
            "summary.gated" => documents(&self.0, &caller, envelope).await,
            _ => claims(&self.0, &caller, envelope).await,
        };
        Ok(done?)
    }
}

async fn documents(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), Error> {
    let event: SummaryGated = envelope.payload()?;
    let Some(meeting) = meeting(deps, caller, &event.meeting_id).await? else { return Ok(()) };
    index_documents(deps, caller, &meeting, envelope.occurred_at, Unembedded::Kept).await
}

/// Everything drawn from an artifact gets its new tag. Events of one artifact are ordered by their time.
async fn visibility(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), Error> {
    let event: ArtifactVisibilityChanged = envelope.payload()?;
    let artifact = event
        .artifact_id
        .parse::<ArtifactId>()
        .map_err(|e| Error::invalid("artifact_id", e.to_string()))?
        .uuid();
    // What cannot be told is shown to the fewest.
    let tag = event.visibility.parse().unwrap_or(Visibility::Reviewer);
    let version = envelope.occurred_at.timestamp_millis();
    let applied = deps.index.set_visibility(caller.tenant.uuid(), artifact, version, tag).await?;
    dies_at!("indexer.tagged");
    // A claim bears the tag of the most hidden of its documents. Now one is shown, and the others' tags decide.
    if event.previous_visibility.parse().is_ok_and(|before: Visibility| tag < before)
        && let Some(meeting) = meeting(deps, caller, &event.meeting_id).await?
        && let Some(summary) = current_summary(deps, caller, &meeting).await?
    {
        index_claims(deps, caller, &meeting, summary, Unembedded::Kept).await?;
    }
    tracing::info!(
        event = "artifact.reindexed",
        artifact_id = event.artifact_id,
        visibility = tag.as_str(),
        ?applied,
        "everything drawn from an artifact has its new visibility"
    );
    Ok(())
}

/// A withdrawn meeting is found no more; what is published of it later is.
async fn withdrawn(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), Error> {
    let event: MeetingWithdrawn = envelope.payload()?;
    let meeting = event
        .meeting_id
        .parse::<MeetingId>()
        .map_err(|e| Error::invalid("meeting_id", e.to_string()))?
        .uuid();
    let (tenant, at) = (caller.tenant.uuid(), envelope.occurred_at.timestamp_millis());
    deps.index.remove_part(tenant, meeting, Part::Documents, at).await?;
    dies_at!("indexer.removed");
    let version = i64::try_from(event.version).unwrap_or(i64::MAX);
    deps.index.remove_part(tenant, meeting, Part::Claims, version).await?;
    tracing::info!(
        event = "meeting.unindexed",
        meeting_id = event.meeting_id,
        "a withdrawn meeting left the index"
    );
    Ok(())
}

async fn index_documents(
    deps: &Deps,
    caller: &Caller,
    meeting: &meetings::Meeting,
    at: chrono::DateTime<chrono::Utc>,
    unembedded: Unembedded,
) -> Result<(), Error> {
    let docs = passages_of(deps, caller, meeting).await?;
    let base = Base::new(caller, meeting)?;
    let count = docs.len();
    let applied = put(deps, caller, &base, Part::Documents, at.timestamp_millis(), docs, unembedded).await?;
    dies_at!("indexer.documents");
    tracing::info!(
        event = "meeting.indexed",
        meeting_id = meeting.id,
        passages = count,
        ?applied,
        "documents indexed"
    );
    Ok(())
}

async fn claims(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), Error> {
    let event: MeetingPublished = envelope.payload()?;
    let Some(meeting) = meeting(deps, caller, &event.meeting_id).await? else { return Ok(()) };
    let request =
        summaries::GetSummaryRequest { meeting_id: event.meeting_id.clone(), version: event.version };
    let call = deps.outbound.request(caller, request, deps.deadline)?;
    let summary = match deps.summaries.clone().get_summary(call).await {
        Ok(found) => found.into_inner().summary.unwrap_or_default(),
        // Withdrawn since the look above.
        Err(status) if status.code() == Code::NotFound => return Ok(()),
        Err(status) => return Err(status.into()),
    };
    let version = i64::try_from(summary.version).unwrap_or(i64::MAX);
    let indexed = index_claims(deps, caller, &meeting, summary, Unembedded::Kept).await;
    // Embedding takes its time: whatever withdrew the meeting meanwhile found no claims to remove.
    if self::meeting(deps, caller, &event.meeting_id).await?.is_none() {
        let base = Base::new(caller, &meeting)?;
        deps.index.remove_part(base.tenant, base.meeting, Part::Claims, version).await?;
    }
    indexed
}

async fn index_claims(
    deps: &Deps,
    caller: &Caller,
    meeting: &meetings::Meeting,
    summary: summaries::Summary,
    unembedded: Unembedded,
) -> Result<(), Error> {
    let base = Base::new(caller, meeting)?;
    let version = i64::try_from(summary.version).unwrap_or(i64::MAX);
    let docs = claim_docs(deps, caller, meeting, summary).await?;
    let count = docs.len();
    let applied = put(deps, caller, &base, Part::Claims, version, docs, unembedded).await?;
    dies_at!("indexer.claims");
    tracing::info!(
        event = "summary.indexed",
        meeting_id = meeting.id,
        claims = count,
        ?applied,
        "claims indexed"
    );
    Ok(())
}

async fn claim_docs(
    deps: &Deps,
    caller: &Caller,
    meeting: &meetings::Meeting,
    summary: summaries::Summary,
) -> Result<Vec<PassageDoc>, Error> {
    let base = Base::new(caller, meeting)?;
    let visibility = tag(meeting.visibility());
    let cited = cited(deps, caller, &summary).await?;
    Ok(summary.claims.into_iter().filter_map(|claim| base.claim(claim, visibility, &cited)).collect())
}

/// Indexes one meeting whole: its documents under the version `at`, and its current summary's claims.
pub(crate) async fn index_meeting(
    deps: &Deps,
    caller: &Caller,
    meeting: &meetings::Meeting,
    at: chrono::DateTime<chrono::Utc>,
) -> Result<(), Error> {
    // Asked before the summary is: claims that come in after it was found missing are not taken for left over.
    let base = Base::new(caller, meeting)?;
    let there = deps.index.version(base.tenant, base.meeting, Part::Claims).await?;
    match (current_summary(deps, caller, meeting).await?, there) {
        (Some(summary), _) => index_claims(deps, caller, meeting, summary, Unembedded::Refused).await?,
        (None, Some(version)) => {
            deps.index.remove_part(base.tenant, base.meeting, Part::Claims, version).await?;
        }
        (None, None) => {}
    }
    // Last: the version of the documents says that the meeting is there whole.
    index_documents(deps, caller, meeting, at, Unembedded::Refused).await
}

/// A meeting's current summary.
pub(crate) async fn current_summary(
    deps: &Deps,
    caller: &Caller,
    meeting: &meetings::Meeting,
) -> Result<Option<summaries::Summary>, Error> {
    let request = summaries::BatchGetCurrentSummariesRequest {
        meeting_ids: vec![meeting.id.clone()],
        view: Some(summaries::SummaryView::default()),
    };
    let call = deps.outbound.request(caller, request, deps.deadline)?;
    Ok(deps.summaries.clone().batch_get_current_summaries(call).await?.into_inner().summaries.pop())
}

/// The claims of a meeting's current summary, without vectors.
pub(crate) async fn claims_of(
    deps: &Deps,
    caller: &Caller,
    meeting: &meetings::Meeting,
) -> Result<Vec<PassageDoc>, Error> {
    match current_summary(deps, caller, meeting).await? {
        Some(summary) => claim_docs(deps, caller, meeting, summary).await,
        None => Ok(Vec::new()),
    }
}

/// The passages of a meeting's documents as they are now, without vectors.
pub(crate) async fn passages_of(
    deps: &Deps,
    caller: &Caller,
    meeting: &meetings::Meeting,
) -> Result<Vec<PassageDoc>, Error> {
    let base = Base::new(caller, meeting)?;
    let request = meetings::ListTextVersionsRequest { meeting_id: meeting.id.clone() };
    let call = deps.outbound.request(caller, request, deps.deadline)?;
    let mut texts = deps.meetings.clone().list_text_versions(call).await?.into_inner();
    let mut docs = Vec::new();
    while let Some(text) = texts.message().await? {
        docs.extend(base.passages(text)?);
    }
    Ok(docs)
}

/// One page of the caller's meetings, and the cursor behind it; `None` behind the last.
pub(crate) async fn list(
    deps: &Deps,
    caller: &Caller,
    after: String,
) -> Result<(Vec<meetings::Meeting>, Option<String>), Error> {
    let page = PageRequest { first: PAGE, after, ..PageRequest::default() };
    let request = meetings::ListMeetingsRequest {
        page: Some(page),
        // Meetings that come in meanwhile are newer than most: from the oldest on, no page shifts.
        order: meetings::MeetingOrder::DateAsc.into(),
        ..Default::default()
    };
    let call = deps.outbound.request(caller, request, deps.deadline)?;
    let listed = deps.meetings.clone().list_meetings(call).await?.into_inner();
    let info = listed.page_info.unwrap_or_default();
    Ok((listed.meetings, info.has_next_page.then_some(info.end_cursor)))
}

/// Who may read what of these meetings' documents now: artifacts and their tags.
pub(crate) async fn tags(
    deps: &Deps,
    caller: &Caller,
    meetings: &[meetings::Meeting],
) -> Result<Vec<(meetings::Artifact, Visibility)>, Error> {
    let meeting_ids = meetings.iter().map(|meeting| meeting.id.clone()).collect();
    let request = meetings::BatchListArtifactsRequest { meeting_ids };
    let call = deps.outbound.request(caller, request, deps.deadline)?;
    let listed = deps.meetings.clone().batch_list_artifacts(call).await?.into_inner().artifacts;
    Ok(listed
        .into_iter()
        .map(|artifact| {
            let tag = tag(artifact.visibility());
            (artifact, tag)
        })
        .collect())
}

/// One meeting; `None` where the services do not have it, or not any more.
pub(crate) async fn meeting(
    deps: &Deps,
    caller: &Caller,
    id: &str,
) -> Result<Option<meetings::Meeting>, Status> {
    let call = deps.outbound.request(caller, BatchGetRequest { ids: vec![id.to_owned()] }, deps.deadline)?;
    Ok(deps.meetings.clone().batch_get_meetings(call).await?.into_inner().meetings.pop())
}

/// What the evidence of a summary stands in.
async fn cited(
    deps: &Deps,
    caller: &Caller,
    summary: &summaries::Summary,
) -> Result<BTreeMap<String, meetings::Artifact>, Error> {
    let ids: BTreeSet<&String> =
        summary.claims.iter().flat_map(|claim| &claim.evidence).map(|e| &e.artifact_id).collect();
    let ids: Vec<String> = ids.into_iter().cloned().collect();
    let mut artifacts = BTreeMap::new();
    for ids in ids.chunks(cs_core::page::MAX_PAGE as usize) {
        let call = deps.outbound.request(caller, BatchGetRequest { ids: ids.to_vec() }, deps.deadline)?;
        let found = deps.meetings.clone().batch_get_artifacts(call).await?.into_inner().artifacts;
        artifacts.extend(found.into_iter().map(|artifact| (artifact.id.clone(), artifact)));
    }
    Ok(artifacts)
}

/// What becomes of documents whose embedder does not answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unembedded {
    /// They are found by words until the event that brought them, tried again, finds the embedder there.
    Kept,
    /// Nothing tries again: what stood there stays.
    Refused,
}

/// Replaces a part of a meeting, embedded where there is an embedder.
async fn put(
    deps: &Deps,
    caller: &Caller,
    base: &Base,
    part: Part,
    version: i64,
    mut docs: Vec<PassageDoc>,
    unembedded: Unembedded,
) -> Result<Applied, Error> {
    let embedded = match embed(deps, caller, &mut docs).await {
        Err(error) if unembedded == Unembedded::Refused => return Err(error),
        done => done,
    };
    let applied = deps.index.replace_meeting(base.tenant, base.meeting, part, version, docs).await?;
    // The same version again replaces it once more, with vectors.
    embedded.map(|()| applied)
}

/// Gives every document its vector, where there is an embedder.
async fn embed(deps: &Deps, caller: &Caller, docs: &mut [PassageDoc]) -> Result<(), Error> {
    let Some(embedder) = &deps.embedder else { return Ok(()) };
    // By length: texts that are embedded together are about as long, and none waits for a long one.
    let mut by_length: Vec<&mut PassageDoc> = docs.iter_mut().collect();
    by_length.sort_by_key(|doc| doc.text.len());
    for batch in by_length.chunks_mut(EMBED_BATCH) {
        let texts = batch.iter().map(|doc| doc.embedded_text()).collect();
        // A tenant without a share is found by words alone.
        let Some(vectors) = embedder.embed_for(caller.tenant, texts).await? else { return Ok(()) };
        for (doc, vector) in batch.iter_mut().zip(vectors) {
            doc.vector = vector;
            embedder.version().clone_into(&mut doc.embedder);
        }
    }
    Ok(())
}
