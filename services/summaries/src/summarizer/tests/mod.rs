//! The summarizer on short records in the manners of several cities.

mod agendas;
mod manners;
mod new_orleans;
mod readers;

use cs_core::document::{ArtifactKind, ExtractedText, Section};
use uuid::Uuid;

use super::{ClaimKind, DecisionDetail, Draft, Extractive, MeetingInput, SourceText, Summarizer};
use crate::verify::Verifier;

pub(super) fn source(kind: ArtifactKind, text: &str) -> SourceText {
    let end = u32::try_from(text.chars().count()).expect("a short text");
    SourceText {
        artifact_id: Uuid::nil(),
        kind,
        text_sha256: "sha".into(),
        text: ExtractedText {
            text: text.to_owned(),
            sections: vec![Section { ordinal: 0, heading: None, start: 0, end, page: None, time_ms: None }],
            marks: vec![],
        },
    }
}

/// Summarizes, and demands that every claim is verified: what the rules propose, the verifier must be able to find.
pub(super) fn summarize(texts: Vec<SourceText>) -> Draft {
    let meeting = MeetingInput {
        title: "Council".into(),
        body: "City Council".into(),
        date: "2023-04-20".into(),
        texts,
    };
    let draft = Extractive::default().summarize(&meeting);
    let verifier = Verifier::new(&meeting.texts);
    for claim in &draft.claims {
        if let Err(against) = verifier.verify(claim) {
            panic!("{against:?}\n{claim:#?}");
        }
    }
    draft
}

pub(super) fn decisions(draft: &Draft) -> Vec<&DecisionDetail> {
    draft.claims.iter().filter_map(|c| c.decision.as_ref()).collect()
}

/// Number, outcome, mover, yeas and nays.
type Brief<'a> = (&'a str, &'a str, &'a str, Option<u32>, Option<u32>);

/// Number, outcome, mover, yeas and nays of each decision.
pub(super) fn brief(draft: &Draft) -> Vec<Brief<'_>> {
    decisions(draft)
        .into_iter()
        .map(|d| {
            let counts = d.votes.as_ref().map(|v| (v.counts.yeas, v.counts.nays));
            (
                d.file_number.as_deref().unwrap_or(""),
                d.outcome.as_str(),
                d.mover.as_deref().unwrap_or(""),
                counts.and_then(|c| c.0),
                counts.and_then(|c| c.1),
            )
        })
        .collect()
}

pub(super) fn texts_of(draft: &Draft, kind: ClaimKind) -> Vec<&str> {
    draft.claims.iter().filter(|c| c.kind == kind).map(|c| c.text.as_str()).collect()
}
