//! What stands between summarizing and publishing: the verified claims and the gate's word.

use cs_core::document::mark_at;
use cs_proto::events::v1::MeetingSummarizeRequested;
use serde::{Deserialize, Serialize};

use crate::gate::{GateStats, GateThresholds, gate};
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
    let mut highlights: Vec<&KeptClaim> = claims.iter().filter(|c| c.highlight.is_some()).collect();
    highlights.sort_by_key(|c| c.highlight);
    ReadyDraft {
        meeting: request,
        verdict: judgement.verdict.as_str().to_owned(),
        reasons: judgement.reasons.into_iter().map(|r| r.message).collect(),
        ecr: stats.ecr(),
        proposed: draft.claims.len(),
        short_summary: highlights.iter().map(|c| shorten(&c.claim.text)).collect::<Vec<_>>().join("\n"),
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
    use super::shorten;

    #[test]
    fn a_line_is_cut_at_a_word_and_says_so() {
        assert_eq!(shorten("short"), "short");
        let long = "word ".repeat(100);
        let cut = shorten(&long);
        assert!(cut.ends_with("word…") && cut.chars().count() <= 281, "{cut}");
    }
}
