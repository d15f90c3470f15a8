//! `eval evidence DIR`: the meetings of a folder through extraction, summarizer, verifier and gate.

use std::path::Path;
use std::time::Instant;

use cs_core::document::ArtifactKind;
use cs_documents::folder::{FolderError, FoundArtifact, FoundMeeting, Introductions, scan};
use cs_documents::{Reader, extract, limits};
use uuid::Uuid;

use super::{EvidenceReport, MeetingReport, assess};
use crate::gate::GateThresholds;
use crate::summarizer::{Extractive, MeetingInput, SourceText, Summarizer};

/// Evaluates every meeting of a folder with the rules and thresholds that serve readers. Writes nothing.
///
/// # Errors
/// The folder cannot be scanned. A document or a meeting that cannot be read is counted, and the others go on.
pub fn eval_evidence(dir: &Path) -> Result<EvidenceReport, FolderError> {
    let begun = Instant::now();
    let (summarizer, thresholds) = (Extractive::default(), GateThresholds::default());
    let found = scan(dir, &Introductions::new(Reader::InProcess))?;
    let mut unreadable = 0;
    let details = found
        .meetings
        .iter()
        .map(|meeting| take(meeting, &summarizer, &thresholds, &mut unreadable))
        .collect();
    Ok(EvidenceReport::of(details, unreadable, begun.elapsed().as_secs_f64()))
}

fn take(
    meeting: &FoundMeeting,
    summarizer: &dyn Summarizer,
    thresholds: &GateThresholds,
    unreadable: &mut usize,
) -> MeetingReport {
    let date = meeting.date.map(|d| d.to_string()).unwrap_or_default();
    if let Some(error) = &meeting.error {
        return MeetingReport::failed(&meeting.title, &date, error);
    }
    let mut minutes_without_text = 0;
    let mut texts = Vec::new();
    for artifact in &meeting.artifacts {
        match read(artifact, texts.len()) {
            Ok(text) => texts.push(text),
            Err(_) => {
                *unreadable += 1;
                minutes_without_text += usize::from(artifact.kind == ArtifactKind::Minutes);
            }
        }
    }
    let input = MeetingInput { title: meeting.title.clone(), body: meeting.body.clone(), date, texts };
    assess(&input, minutes_without_text, summarizer, thresholds)
}

/// The text of an artifact. Nothing is stored, so its place in the meeting stands for its id and for its version.
pub(super) fn read(artifact: &FoundArtifact, place: usize) -> Result<SourceText, String> {
    if let Some(error) = &artifact.error {
        return Err(error.clone());
    }
    if artifact.size_bytes > limits::MAX_INPUT_BYTES {
        return Err("too large".to_owned());
    }
    let bytes = std::fs::read(&artifact.path).map_err(|e| e.to_string())?;
    let extracted = extract(&artifact.file, &bytes).map_err(|e| e.to_string())?;
    Ok(SourceText {
        artifact_id: Uuid::from_u128(place as u128 + 1),
        kind: artifact.kind,
        text_sha256: format!("{place}"),
        text: extracted.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: &str = "REGULAR CITY COUNCIL MEETING\nMINUTES\n1. CAL. NO. 33,893 - BY: COUNCILMEMBER HARRIS\nBrief:\nAn Ordinance to pay $500,000 for pumps by May 11, 2023.\nAnnotation:\nMOVED BY: Harris\nSECONDED BY: Green\nACTION: Adopt\nYEAS: Green, Harris, King - 3\nNAYS: 0\nAND THE MOTION PASSED.\n2. CAL. NO. 34,017 - BY: COUNCILMEMBER MORRELL\nBrief:\nAn Ordinance not to tax parades.\nAnnotation:\nWITHDRAWN.\n";

    #[test]
    fn a_folder_is_measured_and_a_bad_document_stops_nobody() {
        let dir = tempfile::tempdir().expect("a folder");
        let meeting = dir.path().join("2023-04-20-regular-meeting");
        std::fs::create_dir(&meeting).expect("a meeting's folder");
        std::fs::write(meeting.join("minutes.txt"), MINUTES).expect("minutes");
        std::fs::write(meeting.join("agenda.pdf"), b"%PDF-1.4 broken").expect("a broken agenda");
        let broken = dir.path().join("2023-05-04-regular-meeting");
        std::fs::create_dir(&broken).expect("a meeting's folder");
        std::fs::write(broken.join("meeting.json"), b"{").expect("a broken description");
        std::fs::write(broken.join("minutes.txt"), MINUTES).expect("minutes");
        let report = eval_evidence(dir.path()).expect("a report");
        assert_eq!(
            (report.meetings, report.published, report.failed, report.unreadable_artifacts),
            (2, 1, 1, 1)
        );
        assert_eq!(
            (report.exactness, report.ecr, report.planted_caught, report.untouched_passed),
            (1.0, 1.0, 1.0, 1.0)
        );
        let planted = &report.details.iter().find(|d| d.status == "published").expect("a meeting").planted;
        assert_eq!(
            planted.keys().copied().collect::<Vec<_>>(),
            ["amount", "date", "mover", "negation", "vote_count"]
        );
    }

    #[test]
    fn no_folder_is_an_error() {
        assert!(eval_evidence(Path::new("/no/such/folder")).is_err());
    }
}
