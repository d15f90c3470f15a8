//! What readers ask for. Visibility is part of every query; what a caller may not see is not there.

use chrono::NaiveDate;
use cs_core::page::{Page, Paged};
use cs_core::{ArtifactId, BodyId, Caller, CityId, MeetingId};
use cs_db::TenantTx;
use cs_proto::meetings::v1 as pb;
use cs_proto::ops::v1 as ops;
use uuid::Uuid;

use crate::store::{artifacts, meetings, places, runs, texts};
use crate::{Error, messages};

/// Most ids in a batch.
pub const MOST_IDS: usize = 100;
/// Most sections in a batch.
pub const MOST_SECTIONS: usize = 1000;

/// Which meetings.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of a city.
    pub city: Option<CityId>,
    /// Of a body.
    pub body: Option<BodyId>,
    /// Local date, inclusive.
    pub from: Option<NaiveDate>,
    /// Local date, inclusive.
    pub to: Option<NaiveDate>,
    /// Of the sitting.
    pub status: Option<String>,
    /// Only with a published summary.
    pub published: bool,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    DateDesc,
    /// Oldest first.
    DateAsc,
}

/// Cities by name.
pub async fn cities(tx: &mut TenantTx, page: &Page<(String, Uuid)>) -> Result<Paged<pb::City>, Error> {
    let rows = places::list_cities(tx, page).await?;
    Ok(Paged::from_overfetch(page, rows.into_iter().map(messages::city).collect()))
}

/// Meetings, as far as the caller may see them.
pub async fn meetings(
    tx: &mut TenantTx,
    caller: &Caller,
    filter: &Filter,
    order: Order,
    page: &Page<(NaiveDate, Uuid)>,
) -> Result<Paged<pb::Meeting>, Error> {
    let rows = meetings::list(tx, filter, order, page, &messages::tags(caller)).await?;
    Ok(Paged::from_overfetch(page, rows.into_iter().map(messages::meeting).collect()))
}

/// Meetings by id.
pub async fn meetings_by_id(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &[MeetingId],
) -> Result<Vec<pb::Meeting>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    Ok(meetings::by_ids(tx, &ids, &messages::tags(caller))
        .await?
        .into_iter()
        .map(messages::meeting)
        .collect())
}

/// Artifacts of meetings, withdrawn ones left out.
pub async fn artifacts_of(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &[MeetingId],
) -> Result<Vec<pb::Artifact>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = artifacts::of_meetings(tx, &ids, &messages::tags(caller)).await?;
    Ok(rows.into_iter().filter(|a| a.status != "withdrawn").map(messages::artifact).collect())
}

/// Artifacts by id, withdrawn ones too: evidence of older summaries points at them.
pub async fn artifacts_by_id(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &[ArtifactId],
) -> Result<Vec<pb::Artifact>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = artifacts::by_ids(tx, &ids, &messages::tags(caller), caller.is_service()).await?;
    Ok(rows.into_iter().map(messages::artifact).collect())
}

/// Sections with their text, of texts that the meeting was published with.
pub async fn sections(
    tx: &mut TenantTx,
    caller: &Caller,
    meeting: MeetingId,
    refs: &[pb::SectionRef],
) -> Result<Vec<pb::SectionText>, Error> {
    let texts: Vec<String> = refs.iter().map(|r| r.text_sha256.clone()).collect();
    let ordinals: Vec<i32> = refs.iter().map(|r| i32::try_from(r.ordinal).unwrap_or(i32::MAX)).collect();
    let rows =
        texts::cited(tx, meeting.uuid(), &texts, &ordinals, &messages::tags(caller), caller.is_service())
            .await?;
    Ok(rows
        .into_iter()
        .map(|(row, text)| pb::SectionText {
            text_sha256: row.text_sha256.clone(),
            section: Some(messages::section(&row, text)),
        })
        .collect())
}

/// The text versions of a meeting's extracted artifacts: (artifact, text version).
pub async fn text_versions(
    tx: &mut TenantTx,
    caller: &Caller,
    meeting: MeetingId,
) -> Result<Vec<pb::TextVersion>, Error> {
    let mut found = Vec::new();
    for artifact in artifacts::of_meetings(tx, &[meeting.uuid()], &messages::tags(caller)).await? {
        let Some(sha256) = artifact.text_sha256.clone().filter(|_| artifact.status == "extracted") else {
            continue;
        };
        let Some((text, marks, extractor_version)) = texts::get(tx, &sha256).await? else { continue };
        let sections = texts::sections_of(tx, &sha256).await?;
        found.push(pb::TextVersion {
            sha256,
            artifact_id: ArtifactId::from(artifact.id).to_string(),
            artifact_kind: artifact.kind,
            extractor_version,
            text,
            sections: sections.iter().map(|s| messages::section(s, String::new())).collect(),
            marks: marks.iter().map(|m| pb::Mark { at: m.at, page: m.page, time_ms: m.time_ms }).collect(),
            visibility: messages::visibility(&artifact.visibility),
        });
    }
    Ok(found)
}

/// Runs, newest first.
pub async fn runs(
    tx: &mut TenantTx,
    meeting: Option<MeetingId>,
    city: Option<CityId>,
    state: Option<&str>,
    page: &Page<Uuid>,
) -> Result<Paged<ops::Run>, Error> {
    let rows = runs::list(tx, meeting.map(MeetingId::uuid), city.map(CityId::uuid), state, page).await?;
    Ok(Paged::from_overfetch(page, rows.into_iter().map(messages::run).collect()))
}
