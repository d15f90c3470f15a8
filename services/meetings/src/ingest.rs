//! Transaction A: a meeting and its artifacts come in, and a run begins.
//!
//! The bytes are in the artifact store before the transaction; a crash between the two leaves objects that nothing
//! names, and the next ingest of the same bytes uses them. A meeting whose revision is known changes nothing.

use chrono::{DateTime, NaiveDate, Utc};
use cs_core::document::ArtifactKind;
use cs_core::{Caller, CityId, Ids, MeetingId, RunId, Visibility};
use cs_db::TenantTx;
use cs_events::{Envelope, Fact, jobs};
use cs_proto::events::v1::MeetingExtractRequested;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::store::{artifacts, meetings, places};
use crate::{Error, SCHEMA, extract, rerun};

/// A city as its source names it.
#[derive(Clone, Debug)]
pub struct NewCity {
    /// Lower-case words joined by hyphens.
    pub slug: String,
    /// As people call it.
    pub name: String,
    /// IANA time zone.
    pub time_zone: String,
    /// BCP 47.
    pub language: String,
}

impl NewCity {
    /// Checks the slug and the time zone.
    pub fn check(&self) -> Result<(), Error> {
        let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if self.slug.len() > 80 || !self.slug.split('-').all(word) {
            return Err(Error::invalid(
                "city",
                "a slug is lower-case letters and digits joined by hyphens, as in new-orleans",
            ));
        }
        if self.time_zone.parse::<chrono_tz::Tz>().is_err() {
            return Err(Error::invalid("time_zone", "must be an IANA time zone, as in America/Chicago"));
        }
        if self.name.trim().is_empty() || self.name.chars().count() > 200 {
            return Err(Error::invalid("name", "a city has a name of at most 200 characters"));
        }
        Ok(())
    }
}

/// A meeting as its source tells of it.
#[derive(Clone, Debug)]
pub struct NewMeeting {
    /// Its identity within the city.
    pub meeting_uid: String,
    /// As published.
    pub title: String,
    /// The body's name.
    pub body: String,
    /// Local date.
    pub date: NaiveDate,
    /// Where the time is known.
    pub starts_at: Option<DateTime<Utc>>,
    /// Where it sits.
    pub location: Option<String>,
    /// scheduled, held, cancelled, postponed; `None`: derived from the date.
    pub status: Option<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// What the source did not say and was derived, and from what.
    pub derivation: Vec<String>,
    /// Its documents.
    pub artifacts: Vec<NewArtifact>,
}

/// An artifact whose bytes are in the store.
#[derive(Clone, Debug)]
pub struct NewArtifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// As published.
    pub title: String,
    /// Its name at the source.
    pub file_name: String,
    /// Where it was published.
    pub source_url: Option<String>,
    /// Of the bytes.
    pub sha256: String,
    /// Of the bytes.
    pub size_bytes: u64,
    /// Why its bytes were not taken: kept, marked `unreadable`.
    pub refused: Option<String>,
}

/// What an ingest did.
#[derive(Clone, Copy, Debug)]
pub struct Ingested {
    /// The meeting.
    pub meeting: MeetingId,
    /// The run that began, or the latest where nothing changed.
    pub run: Option<RunId>,
    /// Whether anything was new.
    pub changed: bool,
}

/// Takes a meeting in.
pub async fn ingest(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    city: &NewCity,
    meeting: &NewMeeting,
) -> Result<Ingested, Error> {
    city.check()?;
    check(meeting)?;
    let now = ids.now();
    let city = places::ensure_city(tx, ids.next(), city, now).await?;
    let revision = revision(meeting);
    if let Some(known) = meetings::lock_by_uid(tx, city.id, &meeting.meeting_uid).await?
        // What was taken back stays so, whatever its source says next.
        && (known.revision == revision || known.is_withdrawn)
    {
        return Ok(Ingested { meeting: known.id.into(), run: known.run_id.map(RunId::from), changed: false });
    }
    let body = places::ensure_body(tx, ids.next(), city.id, meeting.body.trim(), now).await?;
    let status = meeting.status.as_deref().unwrap_or(if meeting.date <= now.date_naive() {
        "held"
    } else {
        "scheduled"
    });
    let upsert = meetings::Upsert {
        id: ids.next(),
        city_id: city.id,
        body_id: body.id,
        meeting_uid: &meeting.meeting_uid,
        title: meeting.title.trim(),
        date: meeting.date,
        starts_at: meeting.starts_at,
        location: meeting.location.as_deref(),
        status,
        visibility: meeting.visibility.as_str(),
        derivation: &meeting.derivation,
    };
    let meeting_id = meetings::upsert(tx, &upsert, now).await?;
    let run = rerun::begin(tx, ids, meeting_id.into(), "ingest", "").await?;
    let together: Vec<String> = meeting.artifacts.iter().map(|artifact| artifact.sha256.clone()).collect();
    for artifact in &meeting.artifacts {
        put_artifact(tx, caller, ids, (meeting_id, run), artifact, meeting.visibility, &together).await?;
    }
    meetings::set_revision(tx, meeting_id, &revision).await?;
    extract::advance(tx, caller, ids, meeting_id.into()).await?;
    Ok(Ingested { meeting: meeting_id.into(), run: Some(run), changed: true })
}

async fn put_artifact(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    (meeting, run): (Uuid, RunId),
    artifact: &NewArtifact,
    visibility: Visibility,
    together: &[String],
) -> Result<(), Error> {
    let row = artifacts::New {
        id: ids.next(),
        meeting_id: meeting,
        kind: artifact.kind.as_str(),
        title: &artifact.title,
        file_name: &artifact.file_name,
        source_url: artifact.source_url.as_deref(),
        size_bytes: i64::try_from(artifact.size_bytes).unwrap_or(i64::MAX),
        sha256: &artifact.sha256,
        status: if artifact.refused.is_some() { "unreadable" } else { "fetched" },
        reason: artifact.refused.as_deref(),
        visibility: visibility.as_str(),
    };
    let kept = artifacts::upsert(tx, &row, ids.now()).await?;
    if artifact.refused.is_none() {
        // A file whose bytes were not taken takes no other's place. Nor does one of the same name that came with it.
        artifacts::withdraw_others(tx, meeting, &artifact.file_name, together).await?;
    }
    if kept.status == "fetched" {
        request_extraction(tx, caller, ids, &kept, run).await?;
    }
    Ok(())
}

/// Asks for an artifact's text: one effect per artifact and extractor version. The key names the run as well, since an
/// artifact that was withdrawn may come back after its first reading has ended; a text that is there is not made again.
pub(crate) async fn request_extraction(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    artifact: &artifacts::Artifact,
    run: RunId,
) -> Result<(), Error> {
    let id = cs_core::ArtifactId::from(artifact.id).to_string();
    let payload = MeetingExtractRequested {
        meeting_id: MeetingId::from(artifact.meeting_id).to_string(),
        run_id: run.to_string(),
        artifact_id: id.clone(),
        sha256: artifact.sha256.clone(),
        extractor_version: cs_documents::EXTRACTOR_VERSION.to_owned(),
        city_id: meetings::city_of(tx, artifact.meeting_id)
            .await?
            .map(CityId::from)
            .map_or_else(String::new, |id| id.to_string()),
    };
    let fact = Fact {
        kind: "meeting.extract.requested",
        resource: ("artifact", id.clone()),
        key: format!("{id}|{}|{}|{run}", artifact.sha256, cs_documents::EXTRACTOR_VERSION),
        payload: &payload,
    };
    jobs::put(tx, &Envelope::new(SCHEMA, caller, ids, fact)?).await?;
    Ok(())
}

fn check(meeting: &NewMeeting) -> Result<(), Error> {
    let text = |field: &str, value: &str, most: usize| {
        if value.trim().is_empty() || value.chars().count() > most || value.chars().any(char::is_control) {
            Err(Error::invalid(field, format!("must be 1 to {most} characters without control characters")))
        } else {
            Ok(())
        }
    };
    text("meeting_uid", &meeting.meeting_uid, 200)?;
    text("title", &meeting.title, 500)?;
    text("body", &meeting.body, 200)?;
    if let Some(status) = &meeting.status
        && !["scheduled", "held", "cancelled", "postponed"].contains(&status.as_str())
    {
        return Err(Error::invalid("status", "must be scheduled, held, cancelled or postponed"));
    }
    let optional =
        |field: &str, value: Option<&str>, most: usize| value.map_or(Ok(()), |v| text(field, v, most));
    optional("location", meeting.location.as_deref(), 500)?;
    for artifact in &meeting.artifacts {
        text("file_name", &artifact.file_name, 500)?;
        text("title", &artifact.title, 500)?;
        optional("source_url", artifact.source_url.as_deref(), 2_000)?;
    }
    Ok(())
}

/// Names the state of the source that a meeting was taken from: every field and every byte of it.
fn revision(meeting: &NewMeeting) -> String {
    let mut artifacts: Vec<_> = meeting
        .artifacts
        .iter()
        .map(|a| (&a.file_name, &a.sha256, a.kind.as_str(), &a.title, &a.source_url, &a.refused))
        .collect();
    artifacts.sort();
    let told = serde_json::json!([
        meeting.meeting_uid,
        meeting.title,
        meeting.body,
        meeting.date,
        meeting.starts_at,
        meeting.location,
        meeting.status,
        meeting.visibility.as_str(),
        artifacts
    ]);
    Sha256::digest(told.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}
