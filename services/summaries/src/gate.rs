//! The quality gate: may a summary be published, and how sure of itself may it look?

use serde::{Deserialize, Serialize};

/// What the gate looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateStats {
    /// Claims that the summarizer proposed.
    pub proposed: usize,
    /// Claims whose evidence was verified.
    pub verified: usize,
    /// Decisions among them.
    pub decisions: usize,
    /// Minutes with text.
    pub minutes: usize,
    /// Agendas or packets with text.
    pub agendas: usize,
    /// Transcripts with text.
    pub transcripts: usize,
    /// Minutes without text: unreadable, or a scan that waits for recognition.
    pub minutes_without_text: usize,
}

impl GateStats {
    /// Evidence coverage rate: verified ÷ proposed, from 0 to 1; 0 when nothing was proposed.
    pub fn ecr(&self) -> f64 {
        ecr(self.proposed, self.verified)
    }
}

/// Evidence coverage rate: verified ÷ proposed, from 0 to 1; 0 when nothing was proposed.
pub fn ecr(proposed: usize, verified: usize) -> f64 {
    if proposed == 0 { 0.0 } else { verified as f64 / proposed as f64 }
}

/// Where the gate draws its lines. Every field has a default, so a configuration names only what it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateThresholds {
    /// At this ECR and above a summary passes.
    pub pass_ecr: f64,
    /// Below this ECR it is rejected; between the two it is published with limited confidence.
    pub reject_ecr: f64,
    /// So many verified claims are needed to publish anything.
    pub least_verified: usize,
    /// Whether a summary without minutes may pass fully.
    pub pass_without_minutes: bool,
    /// So many decisions minutes must have given for a full pass.
    pub least_decisions: usize,
}

impl Default for GateThresholds {
    fn default() -> Self {
        Self {
            pass_ecr: 0.85,
            reject_ecr: 0.5,
            least_verified: 1,
            pass_without_minutes: false,
            least_decisions: 1,
        }
    }
}

/// What the gate says; the graver is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Publish.
    Pass,
    /// Publish, and say why to be careful.
    LimitedConfidence,
    /// Do not publish.
    Reject,
}

impl Verdict {
    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::LimitedConfidence => "limited_confidence",
            Self::Reject => "reject",
        }
    }

    /// The verdict of a word; one that is not known counts as the gravest.
    pub(crate) fn of(word: &str) -> Self {
        [Self::Pass, Self::LimitedConfidence].into_iter().find(|v| v.as_str() == word).unwrap_or(Self::Reject)
    }
}

/// A reason behind a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateReason {
    /// Stable code.
    pub code: &'static str,
    /// A sentence for the reader.
    pub message: String,
}

/// The verdict with its reasons; a pass has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, the gravest first.
    pub reasons: Vec<GateReason>,
}

/// Judges a run.
pub fn gate(stats: &GateStats, thresholds: &GateThresholds) -> Judgement {
    let mut reasons = Vec::new();
    let unread = stats.minutes + stats.agendas + stats.transcripts == 0;
    if unread {
        reasons.push(reason("no_text", "No document of the meeting has a text that could be read."));
    }
    let (verdict, covered) = coverage(stats.proposed, stats.verified, thresholds);
    reasons.extend(covered);
    if verdict == Verdict::Reject || unread {
        return Judgement { verdict: Verdict::Reject, reasons };
    }
    if stats.minutes_without_text > 0 {
        reasons.push(reason("minutes_without_text", "Minutes of the meeting could not be read."));
    }
    if stats.minutes == 0 && !thresholds.pass_without_minutes {
        reasons.push(if stats.agendas > 0 {
            reason(
                "agenda_only",
                "The minutes are not published yet: this tells what was on the agenda, not what was decided.",
            )
        } else {
            reason("transcript_only", "There is no written record yet: this rests on the transcript alone.")
        });
    }
    if stats.minutes > 0 && stats.decisions < thresholds.least_decisions {
        reasons.push(reason("no_decisions", "No decision was found in the minutes."));
    }
    let verdict = if reasons.is_empty() { Verdict::Pass } else { Verdict::LimitedConfidence };
    Judgement { verdict, reasons }
}

/// What the share of claims that hold says by itself.
pub(crate) fn coverage(
    proposed: usize,
    verified: usize,
    thresholds: &GateThresholds,
) -> (Verdict, Option<GateReason>) {
    let percent = |rate: f64| format!("{:.0} %", rate * 100.0);
    let (ecr, least) = (ecr(proposed, verified), thresholds.least_verified.max(1));
    if verified < least {
        let told = format!("{verified} of {proposed} claims could be verified; at least {least} must be.");
        return (Verdict::Reject, Some(reason("nothing_verified", told)));
    }
    if ecr < thresholds.reject_ecr {
        let told = format!(
            "Only {} of the claims could be verified; below {} nothing is published.",
            percent(ecr),
            percent(thresholds.reject_ecr)
        );
        return (Verdict::Reject, Some(reason("coverage_too_low", told)));
    }
    if ecr < thresholds.pass_ecr {
        let told = format!(
            "{} of the claims could be verified; {} are expected.",
            percent(ecr),
            percent(thresholds.pass_ecr)
        );
        return (Verdict::LimitedConfidence, Some(reason("coverage_low", told)));
    }
    (Verdict::Pass, None)
}

fn reason(code: &'static str, message: impl Into<String>) -> GateReason {
    GateReason { code, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(stats: GateStats) -> (Verdict, Vec<&'static str>) {
        let judgement = gate(&stats, &GateThresholds::default());
        (judgement.verdict, judgement.reasons.iter().map(|r| r.code).collect())
    }

    const GOOD: GateStats = GateStats {
        proposed: 100,
        verified: 100,
        decisions: 70,
        minutes: 1,
        agendas: 1,
        transcripts: 0,
        minutes_without_text: 0,
    };

    #[test]
    fn minutes_whose_claims_hold_pass() {
        assert_eq!(judged(GOOD), (Verdict::Pass, vec![]));
        assert_eq!(judged(GateStats { verified: 85, ..GOOD }).0, Verdict::Pass);
    }

    #[test]
    fn what_is_not_sure_says_why() {
        assert_eq!(
            judged(GateStats { verified: 84, ..GOOD }),
            (Verdict::LimitedConfidence, vec!["coverage_low"])
        );
        assert_eq!(
            judged(GateStats { minutes: 0, ..GOOD }),
            (Verdict::LimitedConfidence, vec!["agenda_only"])
        );
        assert_eq!(
            judged(GateStats { minutes: 0, agendas: 0, transcripts: 1, ..GOOD }),
            (Verdict::LimitedConfidence, vec!["transcript_only"])
        );
        assert_eq!(
            judged(GateStats { decisions: 0, ..GOOD }),
            (Verdict::LimitedConfidence, vec!["no_decisions"])
        );
        assert_eq!(
            judged(GateStats { minutes_without_text: 1, ..GOOD }),
            (Verdict::LimitedConfidence, vec!["minutes_without_text"])
        );
    }

    #[test]
    fn what_cannot_be_shown_is_not_published() {
        assert_eq!(judged(GateStats { verified: 0, ..GOOD }), (Verdict::Reject, vec!["nothing_verified"]));
        assert_eq!(judged(GateStats { verified: 49, ..GOOD }), (Verdict::Reject, vec!["coverage_too_low"]));
        assert_eq!(judged(GateStats::default()), (Verdict::Reject, vec!["no_text", "nothing_verified"]));
    }
}
