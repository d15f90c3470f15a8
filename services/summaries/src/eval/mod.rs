//! Measures what the summarizer proposes and what the verifier lets through, on documents as they are published.

mod extraction;
#[cfg(test)]
mod extraction_tests;
mod folder;
mod legistar;
pub mod plant;
mod report;
mod rolls;

use std::collections::BTreeMap;
use std::time::Instant;

use cs_core::document::ArtifactKind;

use crate::gate::{GateStats, GateThresholds, Verdict, gate};
use crate::summarizer::{ClaimKind, MeetingInput, Summarizer};
use crate::verify::Verifier;

pub use extraction::{Agreement, ExtractionError, ExtractionReport, SourceReport, eval_extraction};
pub use folder::eval_evidence;
pub use report::{EvidenceReport, MeetingReport, PlantedReport};

/// Takes one meeting through summarizer, verifier and gate, and plants errors into what passed.
pub fn assess(
    meeting: &MeetingInput,
    minutes_without_text: usize,
    summarizer: &dyn Summarizer,
    thresholds: &GateThresholds,
) -> MeetingReport {
    let begun = Instant::now();
    let draft = summarizer.summarize(meeting);
    let verifier = Verifier::new(&meeting.texts);
    let checked: Vec<_> = draft.claims.iter().map(|claim| verifier.verify(claim)).collect();
    let seconds = begun.elapsed().as_secs_f64();
    let count = |kinds: &[ArtifactKind]| meeting.texts.iter().filter(|t| kinds.contains(&t.kind)).count();
    let verified: Vec<_> = checked.iter().flatten().map(|v| v.claim()).collect();
    let stats = GateStats {
        proposed: draft.claims.len(),
        verified: verified.len(),
        decisions: verified.iter().filter(|c| c.kind == ClaimKind::Decision).count(),
        minutes: count(&[ArtifactKind::Minutes]),
        agendas: count(&[ArtifactKind::Agenda, ArtifactKind::Packet]),
        transcripts: count(&[ArtifactKind::Transcript]),
        minutes_without_text,
    };
    let judgement = gate(&stats, thresholds);
    let mut planted: BTreeMap<&'static str, PlantedReport> = BTreeMap::new();
    for claim in &verified {
        for (kind, changed) in plant::plant(claim) {
            let entry = planted.entry(kind.as_str()).or_default();
            entry.planted += 1;
            entry.caught += usize::from(verifier.verify(&changed).is_err());
        }
    }
    let mut outcomes: BTreeMap<&'static str, usize> = BTreeMap::new();
    for detail in verified.iter().filter_map(|c| c.decision.as_ref()) {
        *outcomes.entry(detail.outcome.as_str()).or_default() += 1;
    }
    let spans: Vec<_> = verified.iter().flat_map(|c| &c.evidence).collect();
    // Counted with the plain definition of an excerpt, not with the verifier's own cutting.
    let exact = spans
        .iter()
        .filter(|s| {
            meeting
                .texts
                .get(s.text_index)
                .and_then(|t| cs_core::document::slice_code_points(&t.text.text, s.start, s.end))
                == Some(s.excerpt.as_str())
        })
        .count();
    MeetingReport {
        title: meeting.title.clone(),
        date: meeting.date.clone(),
        status: match judgement.verdict {
            Verdict::Pass => "published",
            Verdict::LimitedConfidence => "limited_confidence",
            Verdict::Reject => "rejected",
        },
        reasons: judgement.reasons.iter().map(|r| r.code.to_owned()).collect(),
        claims: verified.len(),
        claims_proposed: draft.claims.len(),
        decisions: stats.decisions,
        outcomes,
        short_summary: draft.short_summary.iter().map(|&i| draft.claims[i].text.clone()).collect(),
        spans: spans.len(),
        exact,
        rejections: checked
            .iter()
            .filter_map(|r| r.as_ref().err())
            .flatten()
            .map(|r| format!("{}: {}", r.reason.code(), r.message))
            .collect(),
        planted,
        seconds,
    }
}
