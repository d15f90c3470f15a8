//! Rows ⇄ protobuf messages.

use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::{ArtifactId, BodyId, Caller, CityId, MeetingId, RunId, SourceId, Visibility};
use cs_proto::common::v1 as common;
use cs_proto::meetings::v1 as pb;
use cs_proto::ops::v1 as ops;

use crate::store::{artifacts, meetings, places, runs, sources, texts};

/// Every visibility tag: for the pipeline, which works for all readers.
pub(crate) const ALL_TAGS: &[&str] = &["public", "member", "reviewer"];

/// The tags a caller may see, as they stand in SQL.
pub(crate) fn tags(caller: &Caller) -> Vec<&'static str> {
    cs_policy::visible(caller).iter().map(|v| v.as_str()).collect()
}

pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(crate) fn visibility(word: &str) -> i32 {
    match word.parse::<Visibility>() {
        Ok(Visibility::Public) => common::Visibility::Public,
        Ok(Visibility::Member) => common::Visibility::Member,
        Ok(Visibility::Reviewer) => common::Visibility::Reviewer,
        Err(_) => common::Visibility::Unspecified,
    }
    .into()
}

/// A tag somebody asks for; there is no tag that was left out.
pub(crate) fn tag_given(field: &str, given: common::Visibility) -> Result<Visibility, crate::Error> {
    match given {
        common::Visibility::Public => Ok(Visibility::Public),
        common::Visibility::Member => Ok(Visibility::Member),
        common::Visibility::Reviewer => Ok(Visibility::Reviewer),
        common::Visibility::Unspecified => {
            Err(crate::Error::invalid(field, "must be public, member or reviewer"))
        }
    }
}

pub(crate) fn city(row: places::City) -> pb::City {
    pb::City {
        id: CityId::from(row.id).to_string(),
        slug: row.slug,
        name: row.name,
        time_zone: row.time_zone,
        language: row.language,
    }
}

pub(crate) fn body(row: places::Body) -> pb::Body {
    pb::Body {
        id: BodyId::from(row.id).to_string(),
        city_id: CityId::from(row.city_id).to_string(),
        name: row.name,
    }
}

pub(crate) fn meeting(row: meetings::Meeting) -> pb::Meeting {
    pb::Meeting {
        id: MeetingId::from(row.id).to_string(),
        city_id: CityId::from(row.city_id).to_string(),
        body_id: BodyId::from(row.body_id).to_string(),
        meeting_uid: row.meeting_uid,
        title: row.title,
        starts_at: row.starts_at.map(rfc3339).unwrap_or_default(),
        date: row.date.to_string(),
        location: row.location.unwrap_or_default(),
        status: row.status,
        run_state: row.run_state,
        run_reason: row.run_reason.unwrap_or_default(),
        visibility: visibility(&row.visibility),
        body_name: row.body_name,
        updated_at: rfc3339(row.updated_at),
        derivation: row.derivation,
    }
}

pub(crate) fn artifact(row: artifacts::Artifact) -> pb::Artifact {
    pb::Artifact {
        id: ArtifactId::from(row.id).to_string(),
        meeting_id: MeetingId::from(row.meeting_id).to_string(),
        kind: row.kind,
        title: row.title,
        file_name: row.file_name,
        source_url: row.source_url.unwrap_or_default(),
        media_type: row.media_type.unwrap_or_default(),
        size_bytes: row.size_bytes.unsigned_abs(),
        sha256: row.sha256,
        status: row.status,
        reason: row.reason.unwrap_or_default(),
        pages: row.pages.unwrap_or_default().unsigned_abs(),
        characters: row.characters.unwrap_or_default().unsigned_abs(),
        text_sha256: row.text_sha256.unwrap_or_default(),
        visibility: visibility(&row.visibility),
    }
}

pub(crate) fn section(row: &texts::SectionRow, text: String) -> pb::Section {
    pb::Section {
        ordinal: row.ordinal.unsigned_abs(),
        heading: row.heading.clone().unwrap_or_default(),
        start: row.start_at.unsigned_abs(),
        end: row.end_at.unsigned_abs(),
        page: row.page.map(i32::unsigned_abs),
        time_ms: row.time_ms.map(i64::unsigned_abs),
        text,
    }
}

pub(crate) fn run(row: runs::Run) -> ops::Run {
    ops::Run {
        id: RunId::from(row.id).to_string(),
        meeting_id: MeetingId::from(row.meeting_id).to_string(),
        state: row.state,
        reason: row.reason.unwrap_or_default(),
        claims_proposed: row.claims_proposed.unsigned_abs(),
        claims_verified: row.claims_verified.unsigned_abs(),
        ecr: row.ecr,
        created_at: rfc3339(row.created_at),
        updated_at: rfc3339(row.updated_at),
        trigger: row.started_by,
    }
}

pub(crate) fn source(row: sources::Source) -> ops::Source {
    let (mut status, mut reason) =
        (row.last_scan_status.unwrap_or_default(), row.last_scan_reason.unwrap_or_default());
    if !row.given_up.is_empty() {
        let said = format!(
            "{} meetings were given up, until their files change or `councilsense dlq replay --type meeting.ingest.requested`: {}",
            row.given_up.len(),
            row.given_up.join("; ")
        );
        reason = if reason.is_empty() { said } else { format!("{said}. {reason}") };
        status = "failed".to_owned();
    }
    ops::Source {
        id: SourceId::from(row.id).to_string(),
        city_id: CityId::from(row.city_id).to_string(),
        kind: row.kind,
        location: row.location,
        schedule: row.schedule.or_else(|| row.scan_seconds.map(|s| format!("{s}s"))).unwrap_or_default(),
        last_scan_at: row.last_scan_at.map(rfc3339).unwrap_or_default(),
        last_scan_status: status,
        last_scan_reason: reason,
    }
}
