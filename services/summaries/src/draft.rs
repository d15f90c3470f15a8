//! What stands between summarizing and publishing: the verified claims and the gate's word.

use cs_core::document::mark_at;
use cs_proto::events::v1::MeetingSummarizeRequested;
use serde::{Deserialize, Serialize};

use crate::gate::{self, GateStats, GateThresholds, ecr, gate};
use crate::summarizer::{ClaimKind, Draft, MeetingInput, ProposedClaim, Summarizer};
use crate::verify::Verifier;

/// Longest line of the short summary, in characters; the whole claim stands beside it.
const LINE: usize = 280;

/// A verified claim with where each of its spans stands in the document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptClaim {
    pub(crate) claim: ProposedClaim,
    /// Page and time of each evidence span.
    pub(crate) places: Vec<(Option<u32>, Option<u64>)>,
    /// Its place in the short summary.
    pub(crate) highlight: Option<u32>,
}

/// A claim that was proposed and failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RejectedClaim {
    pub(crate) kind: ClaimKind,
    pub(crate) text: String,
    pub(crate) reasons: Vec<String>,
}

/// A summary that is ready for the gate's word to be carried out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReadyDraft {
    pub(crate) meeting: MeetingSummarizeRequested,
    pub(crate) verdict: String,
    pub(crate) reasons: Vec<String>,
    pub(crate) ecr: f64,
    pub(crate) proposed: usize,
    pub(crate) short_summary: String,
    pub(crate) claims: Vec<KeptClaim>,
    pub(crate) rejected: Vec<RejectedClaim>,
    pub(crate) summarizer_version: String,
}

impl ReadyDraft {
    /// What a reviewer took back from the meeting is not published again: its claims count as proposed, and failed.
    pub(crate) fn without(&mut self, retracted: &[String], thresholds: &GateThresholds) {
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.claims.drain(..).partition(|kept| retracted.contains(&kept.claim.text));
        self.claims = kept;
        if gone.is_empty() {
            return;
        }
        let failed = gone.into_iter().map(|kept| RejectedClaim {
            kind: kept.claim.kind,
            text: kept.claim.text,
            reasons: vec![RETRACTED.to_owned()],
        });
        self.rejected.extend(failed);
        self.short_summary = short_summary(self.claims.iter().map(|c| (c.highlight, c.claim.text.as_str())));
        self.ecr = ecr(self.proposed, self.claims.len());
        let (verdict, reasons) = gate::coverage(self.proposed, self.claims.len(), thresholds);
        if verdict > gate::Verdict::of(&self.verdict) {
            verdict.as_str().clone_into(&mut self.verdict);
            self.reasons.extend(reasons.into_iter().map(|r| r.message));
        }
    }
}

/// Why a claim that a reviewer took back counts as failed.
pub(crate) const RETRACTED: &str = "retracted: a reviewer took it back";

/// The lines of a short summary: the beginnings of the claims that have a place in it, in order.
pub(crate) fn short_summary<'a>(claims: impl Iterator<Item = (Option<u32>, &'a str)>) -> String {
    let mut lines: Vec<(u32, &str)> =
        claims.filter_map(|(place, text)| place.map(|place| (place, text))).collect();
    lines.sort_by_key(|(place, _)| *place);
    lines.into_iter().map(|(_, text)| shorten(text)).collect::<Vec<_>>().join("\n")
}

/// Summarizes, verifies each claim and asks the gate.
pub(crate) fn prepare(
    request: MeetingSummarizeRequested,
    input: &MeetingInput,
    summarizer: &dyn Summarizer,
    thresholds: &GateThresholds,
    minutes_without_text: usize,
) -> ReadyDraft {
    let draft = summarizer.summarize(input);
    let (claims, rejected) = sort_out(&draft, input);
    let stats = stats(input, &draft, &claims, minutes_without_text);
    let judgement = gate(&stats, thresholds);
    ReadyDraft {
        meeting: request,
        verdict: judgement.verdict.as_str().to_owned(),
        reasons: judgement.reasons.into_iter().map(|r| r.message).collect(),
        ecr: stats.ecr(),
        proposed: draft.claims.len(),
        short_summary: short_summary(claims.iter().map(|c| (c.highlight, c.claim.text.as_str()))),
        claims,
        rejected,
        summarizer_version: summarizer.version().to_owned(),
    }
}

fn sort_out(draft: &Draft, input: &MeetingInput) -> (Vec<KeptClaim>, Vec<RejectedClaim>) {
    let verifier = Verifier::new(&input.texts);
    let (mut claims, mut rejected) = (Vec::new(), Vec::new());
    for (index, claim) in draft.claims.iter().enumerate() {
        match verifier.verify(claim) {
            Ok(verified) => {
                let claim = verified.into_claim();
                let places = claim
                    .evidence
                    .iter()
                    .map(|span| {
                        let marks = &input.texts[span.text_index].text.marks;
                        mark_at(marks, span.start).map_or((None, None), |m| (m.page, m.time_ms))
                    })
                    .collect();
                let highlight =
                    draft.short_summary.iter().position(|i| *i == index).and_then(|p| u32::try_from(p).ok());
                claims.push(KeptClaim { claim, places, highlight });
            }
            Err(against) => rejected.push(RejectedClaim {
                kind: claim.kind,
                text: claim.text.clone(),
                reasons: against.into_iter().map(|r| format!("{}: {}", r.reason.code(), r.message)).collect(),
            }),
        }
    }
    (claims, rejected)
}

fn stats(
    input: &MeetingInput,
    draft: &Draft,
    claims: &[KeptClaim],
    minutes_without_text: usize,
) -> GateStats {
    use cs_core::document::ArtifactKind as Kind;
    let count = |kinds: &[Kind]| input.texts.iter().filter(|t| kinds.contains(&t.kind)).count();
    GateStats {
        proposed: draft.claims.len(),
        verified: claims.len(),
        decisions: claims.iter().filter(|c| c.claim.kind == ClaimKind::Decision).count(),
        minutes: count(&[Kind::Minutes]),
        agendas: count(&[Kind::Agenda, Kind::Packet]),
        transcripts: count(&[Kind::Transcript]),
        minutes_without_text,
    }
}

/// The beginning of a claim, cut at a word.
fn shorten(text: &str) -> String {
    if text.chars().count() <= LINE {
        return text.to_owned();
    }
    let cut: String = text.chars().take(LINE).collect();
    format!("{}…", cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str, highlight: Option<u32>) -> KeptClaim {
        let claim = ProposedClaim {
            kind: ClaimKind::Fact,
            text: text.to_owned(),
            decision: None,
            topics: Vec::new(),
            evidence: Vec::new(),
            confidence: 1.0,
        };
        KeptClaim { claim, places: Vec::new(), highlight }
    }

    fn of(claims: Vec<KeptClaim>, proposed: usize) -> ReadyDraft {
        ReadyDraft {
            meeting: MeetingSummarizeRequested::default(),
            verdict: "pass".to_owned(),
            reasons: Vec::new(),
            ecr: ecr(proposed, claims.len()),
            proposed,
            short_summary: "as it was".to_owned(),
            claims,
            rejected: Vec::new(),
            summarizer_version: "v".to_owned(),
        }
    }

    #[test]
    fn what_was_taken_back_is_not_published_again_and_lowers_the_rate() {
        let claims = || vec![kept("one", Some(1)), kept("two", Some(0)), kept("three", None)];
        let thresholds = GateThresholds::default();
        let mut same = of(claims(), 3);
        same.without(&["other".to_owned()], &thresholds);
        assert_eq!((same.short_summary.as_str(), same.claims.len()), ("as it was", 3));

        let mut less = of(claims(), 3);
        less.without(&["two".to_owned()], &thresholds);
        assert_eq!((less.short_summary.as_str(), less.claims.len(), less.proposed), ("one", 2, 3));
        assert!((less.ecr - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!((less.rejected[0].text.as_str(), less.rejected[0].reasons.len()), ("two", 1));
        assert_eq!(less.verdict, "limited_confidence", "below the line of a pass");
        assert_eq!(less.reasons.len(), 1);

        let mut nothing = of(vec![kept("one", Some(0))], 1);
        nothing.without(&["one".to_owned()], &thresholds);
        assert_eq!((nothing.verdict.as_str(), nothing.claims.len()), ("reject", 0));
    }

    #[test]
    fn a_line_is_cut_at_a_word_and_says_so() {
        assert_eq!(shorten("short"), "short");
        let long = "word ".repeat(100);
        let cut = shorten(&long);
        assert!(cut.ends_with("word…") && cut.chars().count() <= 281, "{cut}");
    }
}
