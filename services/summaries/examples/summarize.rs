//! Prints what the summarizer proposes for text files, for reading: `summarize FILE…`.
use std::time::Instant;

use cs_core::document::{ArtifactKind, ExtractedText, Section};
use summaries::summarizer::{Extractive, MeetingInput, SourceText, Summarizer};
use uuid::Uuid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file)?.replace('\u{c}', "\n");
        let end = u32::try_from(text.chars().count())?;
        let kind = if file.contains("genda") { ArtifactKind::Agenda } else { ArtifactKind::Minutes };
        let sections = vec![Section { ordinal: 0, heading: None, start: 0, end, page: None, time_ms: None }];
        let source = SourceText {
            artifact_id: Uuid::nil(),
            kind,
            text_sha256: String::new(),
            text: ExtractedText { text, sections, marks: vec![] },
        };
        let meeting = MeetingInput {
            title: file.clone(),
            body: String::new(),
            date: String::new(),
            texts: vec![source],
        };
        let start = Instant::now();
        let draft = Extractive::default().summarize(&meeting);
        println!(
            "# {file}: {} claims in {:?}; short {:?}",
            draft.claims.len(),
            start.elapsed(),
            draft.short_summary
        );
        for (i, claim) in draft.claims.iter().enumerate() {
            let d = claim.decision.as_ref();
            let votes = d
                .and_then(|d| d.votes.as_ref())
                .map(|v| {
                    format!(
                        "{:?} | -{:?} ~{:?} a{:?} r{:?} {:?}/{:?}/{:?}/{:?}/{:?}",
                        v.yeas,
                        v.nays,
                        v.abstain,
                        v.absent,
                        v.recused,
                        v.counts.yeas,
                        v.counts.nays,
                        v.counts.abstain,
                        v.counts.absent,
                        v.counts.recused
                    )
                })
                .unwrap_or_default();
            println!(
                "{i}\t{}\t{}\t{}\t{}\t{}\t{}\t{votes}\t{}",
                claim.kind.as_str(),
                d.and_then(|d| d.file_number.clone()).unwrap_or_default(),
                d.map(|d| d.outcome.as_str()).unwrap_or_default(),
                d.and_then(|d| d.motion.clone()).unwrap_or_default(),
                d.and_then(|d| d.mover.clone()).unwrap_or_default(),
                d.and_then(|d| d.seconder.clone()).unwrap_or_default(),
                claim.text
            );
        }
    }
    Ok(())
}
