//! What was before the body, where the record tells no decision: agendas, first readings, presentations, transcripts.

use std::sync::LazyLock;

use cs_core::document::ArtifactKind;
use regex::Regex;

use super::decisions::Placed;
use super::items::Item;
use super::lines::Page;
use super::tokens::normalise;
use super::topics::Topics;
use super::{ClaimKind, ProposedClaim, compose, prose};

/// The most items that an agenda gives as topics.
const MOST_ITEMS: usize = 150;
/// The most sentences of a transcript that are offered.
const MOST_SAID: usize = 8;

static HOUSEKEEPING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:roll\s*call|invocation|pledge|national\s+anthem|legislative\s+grouping|consent\s+agenda|regular\s+agenda|special\s+orders|adjourn|public\s+(?:e-)?comment|e-comment|on-?line|call\s+to\s+order|land\s+use\s+matters|old\s+business|new\s+business|all\s+special|all\s+land|unfinished|and\s+the|announcements?|council\s+(?:president|vice)|(?:vice[\s-]*)?president|councilmember|please|notice)").expect("a fixed expression")
});
static MATTER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:ordinance|resolution|motion|contract|budget|zoning|permit|grant|million|agreement)\b",
    )
    .expect("a fixed expression")
});

/// The items that no decision, action or fact has used, as topics.
pub(crate) fn read(page: &Page<'_>, items: &[Item], used: &[std::ops::Range<usize>]) -> Vec<Placed> {
    let mut out = Vec::new();
    for item in items {
        if item.heading.is_empty()
            || out.len() == MOST_ITEMS
            || used.iter().any(|r| r.start < item.rest.end && r.end > item.heading.start)
        {
            continue;
        }
        let join =
            |r: std::ops::Range<usize>| page.lines[r].iter().map(|l| l.text).collect::<Vec<_>>().join("\n");
        let heading = compose::heading(&join(item.heading.clone()));
        if HOUSEKEEPING.is_match(&heading) || heading.chars().filter(|c| c.is_alphabetic()).count() < 12 {
            continue;
        }
        let title = compose::shorten(&compose::title(&join(item.brief.clone())), 500);
        let lines: Vec<_> =
            [item.heading.clone(), item.brief.clone()].into_iter().filter(|r| !r.is_empty()).collect();
        let confidence = if page.source.kind == ArtifactKind::Minutes { 0.85 } else { 0.8 };
        out.push(Placed {
            claim: topic(page, &lines, compose::statement(&[&heading, &title]), confidence),
            lines,
        });
    }
    out
}

/// Sentences of a transcript that name business, the first of each subject. Speech is not a record: nothing is decided by it.
pub(crate) fn said(page: &Page<'_>, topics: &Topics) -> Vec<Placed> {
    let mut out: Vec<Placed> = Vec::new();
    let mut seen = Vec::new();
    for (i, line) in page.lines.iter().enumerate() {
        if out.len() == MOST_SAID {
            break;
        }
        if !MATTER.is_match(line.text) {
            continue;
        }
        // Captions are cut anywhere: three of them usually hold the sentence.
        let lines = i.saturating_sub(1)..(i + 2).min(page.lines.len());
        let words =
            normalise(&page.lines[lines.clone()].iter().map(|l| l.text).collect::<Vec<_>>().join("\n"));
        let whole = prose::sentences(&words)
            .iter()
            .map(|&(a, b)| words[a..b].trim().to_owned())
            .find(|s| MATTER.is_match(s));
        let words = whole.filter(|s| s.len() > 60).unwrap_or(words);
        let subjects = topics.of(&words);
        let Some(first) = subjects.first() else { continue };
        if words.len() < 60 || seen.contains(first) {
            continue;
        }
        seen.push(first.clone());
        out.push(Placed {
            claim: topic(page, std::slice::from_ref(&lines), compose::shorten(&words, 400), 0.4),
            lines: vec![lines],
        });
    }
    out
}

fn topic(page: &Page<'_>, lines: &[std::ops::Range<usize>], text: String, confidence: f32) -> ProposedClaim {
    ProposedClaim {
        kind: ClaimKind::Topic,
        text,
        decision: None,
        topics: Vec::new(),
        evidence: lines.iter().flat_map(|r| page.spans_of_lines(r.clone())).collect(),
        confidence,
    }
}
