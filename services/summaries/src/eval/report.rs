//! The figures of an evaluation, with the keys of `councilsense eval evidence`.

use std::collections::BTreeMap;

use serde::Serialize;

/// How many errors of a kind were planted, and how many were found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PlantedReport {
    /// Planted.
    pub planted: usize,
    /// Found by the verifier.
    pub caught: usize,
}

/// One meeting.
#[derive(Clone, Debug, Serialize)]
pub struct MeetingReport {
    /// Its title.
    pub title: String,
    /// Its date.
    pub date: String,
    /// `published`, `limited_confidence`, `rejected` or `failed`.
    pub status: &'static str,
    /// Codes of the gate's reasons.
    pub reasons: Vec<String>,
    /// Claims verified.
    pub claims: usize,
    /// Claims proposed.
    pub claims_proposed: usize,
    /// Decisions among the verified.
    pub decisions: usize,
    /// Decisions by outcome.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// The short summary.
    pub short_summary: Vec<String>,
    /// Evidence spans of the verified claims.
    pub spans: usize,
    /// Those whose excerpt is the text at its offsets.
    pub exact: usize,
    /// Why claims were refused.
    pub rejections: Vec<String>,
    /// Planted errors by kind.
    pub planted: BTreeMap<&'static str, PlantedReport>,
    /// Seconds for summarizing and verifying.
    pub seconds: f64,
}

impl MeetingReport {
    /// A meeting that could not be taken through at all.
    pub(super) fn failed(title: &str, date: &str, reason: &str) -> Self {
        Self {
            title: title.to_owned(),
            date: date.to_owned(),
            status: "failed",
            reasons: vec![reason.to_owned()],
            claims: 0,
            claims_proposed: 0,
            decisions: 0,
            outcomes: BTreeMap::new(),
            short_summary: Vec::new(),
            spans: 0,
            exact: 0,
            rejections: Vec::new(),
            planted: BTreeMap::new(),
            seconds: 0.0,
        }
    }
}

/// A folder of meetings. Rates are from 0 to 1.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EvidenceReport {
    /// Meetings found.
    pub meetings: usize,
    /// Published without reservation.
    pub published: usize,
    /// Published with limited confidence.
    pub limited_confidence: usize,
    /// Held back by the gate.
    pub rejected: usize,
    /// Could not be taken through.
    pub failed: usize,
    /// Artifacts without a text.
    pub unreadable_artifacts: usize,
    /// Claims verified.
    pub claims: usize,
    /// Claims proposed.
    pub claims_proposed: usize,
    /// Excerpts that equal the text at their offsets.
    pub exactness: f64,
    /// Verified ÷ proposed.
    pub ecr: f64,
    /// Planted errors found.
    pub planted_caught: f64,
    /// Claims as proposed that the verifier lets through.
    pub untouched_passed: f64,
    /// Mean over the meetings, extraction included.
    pub seconds_per_meeting: f64,
    /// Each meeting.
    pub details: Vec<MeetingReport>,
}

impl EvidenceReport {
    /// Adds the meetings up. `seconds` is the wall time of all of them.
    pub fn of(details: Vec<MeetingReport>, unreadable_artifacts: usize, seconds: f64) -> Self {
        let with = |status: &str| details.iter().filter(|d| d.status == status).count();
        let sum = |f: &dyn Fn(&MeetingReport) -> usize| details.iter().map(f).sum::<usize>();
        let planted = sum(&|d| d.planted.values().map(|p| p.planted).sum());
        let caught = sum(&|d| d.planted.values().map(|p| p.caught).sum());
        let (claims, proposed) = (sum(&|d| d.claims), sum(&|d| d.claims_proposed));
        Self {
            meetings: details.len(),
            published: with("published"),
            limited_confidence: with("limited_confidence"),
            rejected: with("rejected"),
            failed: with("failed"),
            unreadable_artifacts,
            claims,
            claims_proposed: proposed,
            exactness: rate(sum(&|d| d.exact), sum(&|d| d.spans)),
            ecr: rate(claims, proposed),
            planted_caught: rate(caught, planted),
            untouched_passed: rate(claims, proposed),
            seconds_per_meeting: if details.is_empty() { 0.0 } else { seconds / details.len() as f64 },
            details,
        }
    }
}

fn rate(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
