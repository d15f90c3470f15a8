//! Texts and claims of the services as what is indexed of them.

use std::collections::BTreeMap;

use cs_core::document::{ArtifactKind, ExtractedText, Section};
use cs_core::{ArtifactId, BodyId, Caller, CityId, InvalidId, MeetingId};
use cs_proto::meetings::v1 as meetings;
use cs_proto::summaries::v1 as summaries;
use cs_text::passages::{CHUNKER_VERSION, PassageOptions, passages};
use uuid::Uuid;

use crate::Error;
use crate::index::{BODY_LABEL, PassageDoc, PassageKind, Visibility};

/// In place of a chunker's name: a claim is not cut.
pub(crate) const CLAIMS: &str = "claim";

/// A tag as the index keeps it.
pub(crate) fn tag(visibility: cs_proto::common::v1::Visibility) -> Visibility {
    match visibility {
        cs_proto::common::v1::Visibility::Public => Visibility::Public,
        cs_proto::common::v1::Visibility::Member => Visibility::Member,
        // What cannot be told is shown to the fewest.
        cs_proto::common::v1::Visibility::Reviewer | cs_proto::common::v1::Visibility::Unspecified => {
            Visibility::Reviewer
        }
    }
}

/// What every passage of a meeting shares.
pub(super) struct Base {
    pub(super) tenant: Uuid,
    pub(super) meeting: Uuid,
    city: Uuid,
    body: Uuid,
    date: chrono::NaiveDate,
    title: String,
    /// The body's name, for `body:` in a query.
    labels: BTreeMap<String, String>,
}

impl Base {
    pub(super) fn new(caller: &Caller, meeting: &meetings::Meeting) -> Result<Self, Error> {
        let bad = |e: InvalidId| Error::invalid("id", e.to_string());
        Ok(Self {
            tenant: caller.tenant.uuid(),
            meeting: meeting.id.parse::<MeetingId>().map_err(bad)?.uuid(),
            city: meeting.city_id.parse::<CityId>().map_err(bad)?.uuid(),
            body: meeting.body_id.parse::<BodyId>().map_err(bad)?.uuid(),
            date: meeting.date.parse().map_err(|_| Error::invalid("date", "the meeting has no date"))?,
            title: meeting.title.clone(),
            labels: BTreeMap::from([(BODY_LABEL.to_owned(), meeting.body_name.clone())]),
        })
    }

    pub(super) fn passages(&self, version: meetings::TextVersion) -> Result<Vec<PassageDoc>, Error> {
        let bad = |e: InvalidId| Error::invalid("artifact_id", e.to_string());
        let artifact_id = version.artifact_id.parse::<ArtifactId>().map_err(bad)?.uuid();
        let artifact_kind: ArtifactKind =
            version.artifact_kind.parse().map_err(|_| Error::invalid("artifact_kind", "unknown"))?;
        let visibility = tag(version.visibility());
        let text = extracted(version.text, version.sections, version.marks);
        let points = cs_text::CodePoints::new(&text.text);
        let found = passages(&text, &self.title, PassageOptions::default());
        Ok(found
            .into_iter()
            .filter_map(|p| {
                let body = points.slice(p.start, p.end)?.to_owned();
                let section = text.sections.iter().find(|s| s.ordinal == p.section);
                Some(PassageDoc {
                    id: format!(
                        "{}:{artifact_id}:{}-{}",
                        &version.sha256[..16.min(version.sha256.len())],
                        p.start,
                        p.end
                    ),
                    tenant_id: self.tenant,
                    meeting_id: self.meeting,
                    city_id: self.city,
                    body_id: self.body,
                    artifact_id,
                    derived_from: Vec::new(),
                    artifact_kind,
                    text_sha256: version.sha256.clone(),
                    section: p.section,
                    start: p.start,
                    end: p.end,
                    page: p.page,
                    time_ms: p.time_ms,
                    date: self.date,
                    visibility,
                    kind: PassageKind::Passage,
                    confidence: None,
                    title: self.title.clone(),
                    heading: section.and_then(|s| s.heading.clone()),
                    text: body,
                    vector: Vec::new(),
                    embedder: String::new(),
                    chunker: CHUNKER_VERSION.to_owned(),
                    labels: self.labels.clone(),
                })
            })
            .collect())
    }

    /// A claim as a passage; it stands where its first evidence stands, and is as hidden as the most hidden of its
    /// meeting and its evidence. `None`: a claim without evidence is not shown.
    pub(super) fn claim(
        &self,
        claim: summaries::Claim,
        meeting: Visibility,
        cited: &BTreeMap<String, meetings::Artifact>,
    ) -> Option<PassageDoc> {
        let kind = match claim.kind() {
            summaries::ClaimKind::Decision => PassageKind::Decision,
            summaries::ClaimKind::Action => PassageKind::Action,
            summaries::ClaimKind::Topic => PassageKind::Topic,
            summaries::ClaimKind::Fact | summaries::ClaimKind::Unspecified => PassageKind::Fact,
        };
        let first = claim.evidence.first()?.clone();
        let artifact = |id: &str| id.parse::<ArtifactId>().ok().map(ArtifactId::uuid);
        // What cannot be told is shown to the fewest.
        let tag_of = |id: &String| cited.get(id).map_or(Visibility::Reviewer, |a| tag(a.visibility()));
        let tags = claim.evidence.iter().map(|evidence| tag_of(&evidence.artifact_id));
        let visibility = tags.fold(meeting, Visibility::max);
        Some(PassageDoc {
            id: claim.id,
            tenant_id: self.tenant,
            meeting_id: self.meeting,
            city_id: self.city,
            body_id: self.body,
            artifact_id: artifact(&first.artifact_id)?,
            derived_from: claim.evidence.iter().skip(1).filter_map(|e| artifact(&e.artifact_id)).collect(),
            artifact_kind: cited
                .get(&first.artifact_id)
                .and_then(|artifact| artifact.kind.parse().ok())
                .unwrap_or(ArtifactKind::Minutes),
            text_sha256: first.text_sha256,
            section: first.section,
            start: first.start,
            end: first.end,
            page: first.page,
            time_ms: first.time_ms,
            date: self.date,
            visibility,
            kind,
            confidence: Some(claim.confidence as f32),
            title: self.title.clone(),
            heading: None,
            text: claim.text,
            vector: Vec::new(),
            embedder: String::new(),
            chunker: CLAIMS.to_owned(),
            labels: self.labels.clone(),
        })
    }
}

fn extracted(text: String, sections: Vec<meetings::Section>, marks: Vec<meetings::Mark>) -> ExtractedText {
    ExtractedText {
        text,
        sections: sections
            .into_iter()
            .map(|s| Section {
                ordinal: s.ordinal,
                heading: (!s.heading.is_empty()).then_some(s.heading),
                start: s.start,
                end: s.end,
                page: s.page,
                time_ms: s.time_ms,
            })
            .collect(),
        marks: marks
            .into_iter()
            .map(|m| cs_core::document::Mark { at: m.at, page: m.page, time_ms: m.time_ms })
            .collect(),
    }
}
