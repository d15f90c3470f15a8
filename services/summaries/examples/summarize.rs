//! Prints what the summarizer proposes, for reading: `summarize FILE…`, one meeting a file. A folder is evaluated as a whole.
use std::path::Path;

use cs_core::document::ArtifactKind;
use summaries::eval::{EvidenceReport, assess, eval_evidence};
use summaries::gate::GateThresholds;
use summaries::summarizer::{Extractive, MeetingInput, SourceText, Summarizer, Votes};
use uuid::Uuid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut reports = Vec::new();
    for file in std::env::args().skip(1) {
        if Path::new(&file).is_dir() {
            println!("{:#?}", eval_evidence(Path::new(&file))?);
            continue;
        }
        let bytes = std::fs::read(&file)?;
        let name = Path::new(&file).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let extracted = match cs_documents::extract(&name, &bytes) {
            Ok(extracted) => extracted,
            Err(error) => {
                println!("# {file}: {error}");
                continue;
            }
        };
        let lower = file.to_lowercase();
        let kind = match () {
            () if lower.contains("agenda") => ArtifactKind::Agenda,
            () if lower.contains("transcript") || lower.contains("caption") => ArtifactKind::Transcript,
            () => ArtifactKind::Minutes,
        };
        let source =
            SourceText { artifact_id: Uuid::nil(), kind, text_sha256: String::new(), text: extracted.text };
        let meeting =
            MeetingInput { title: name, body: String::new(), date: String::new(), texts: vec![source] };
        let summarizer = Extractive::default();
        let draft = summarizer.summarize(&meeting);
        let report = assess(&meeting, 0, &summarizer, &GateThresholds::default());
        println!(
            "# {file}: {} {:?} {:?} short {:?}",
            report.status, report.outcomes, report.planted, draft.short_summary
        );
        for refused in &report.rejections {
            println!("! {refused}");
        }
        for (i, claim) in draft.claims.iter().enumerate() {
            let d = claim.decision.as_ref();
            let columns = [
                i.to_string(),
                claim.kind.as_str().to_owned(),
                d.and_then(|d| d.file_number.clone()).unwrap_or_default(),
                d.map(|d| d.outcome.as_str().to_owned()).unwrap_or_default(),
                d.and_then(|d| d.motion.clone()).unwrap_or_default(),
                d.and_then(|d| d.mover.clone()).unwrap_or_default(),
                d.and_then(|d| d.seconder.clone()).unwrap_or_default(),
                d.and_then(|d| d.votes.as_ref()).map(tally).unwrap_or_default(),
                claim.topics.join(","),
                claim.text.clone(),
            ];
            println!("{}", columns.join("\t"));
        }
        reports.push(report);
    }
    let seconds = reports.iter().map(|r| r.seconds).sum();
    let total = EvidenceReport { details: Vec::new(), ..EvidenceReport::of(reports, 0, seconds) };
    println!("# {total:?}");
    Ok(())
}

fn tally(votes: &Votes) -> String {
    let c = &votes.counts;
    let list = |names: &[String], count: Option<u32>| {
        format!("{}={}", count.map_or("?".to_owned(), |n| n.to_string()), names.join("+"))
    };
    [
        ("Y", &votes.yeas, c.yeas),
        ("N", &votes.nays, c.nays),
        ("A", &votes.abstain, c.abstain),
        ("X", &votes.absent, c.absent),
        ("R", &votes.recused, c.recused),
    ]
    .map(|(label, names, count)| format!("{label}:{}", list(names, count)))
    .join(" ")
}
