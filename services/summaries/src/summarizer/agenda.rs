//! What was before the body, where the record tells no decision: agendas, first readings, presentations, transcripts.

use std::collections::BTreeMap;
use std::ops::Range;
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
/// How sure a sentence of a transcript is: speech is not a record.
pub(crate) const SAID: f32 = 0.4;
/// Shorter than this, in bytes, nothing is said.
const SHORTEST_SAID: usize = 60;

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
pub(crate) fn read(page: &Page<'_>, items: &[Item], used: &[Range<usize>]) -> Vec<Placed> {
    let mut out = Vec::new();
    for item in items {
        if item.heading.is_empty()
            || out.len() == MOST_ITEMS
            || used.iter().any(|r| r.start < item.rest.end && r.end > item.heading.start)
        {
            continue;
        }
        let join = |r: Range<usize>| page.lines[r].iter().map(|l| l.text).collect::<Vec<_>>().join("\n");
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

/// The sentences of a transcript that name most business, one a subject. Speech is not a record: nothing is decided by it.
pub(crate) fn said(page: &Page<'_>, topics: &Topics) -> Vec<Placed> {
    let mut best: BTreeMap<String, (usize, Range<usize>, String)> = BTreeMap::new();
    for (i, line) in page.lines.iter().enumerate() {
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
            .find(|s| MATTER.is_match(s) && s.len() > SHORTEST_SAID);
        let words = compose::shorten(&whole.unwrap_or(words), 400);
        let named = MATTER.find_iter(&words).count();
        let Some(subject) = topics.of(&words).into_iter().next() else { continue };
        if words.len() > SHORTEST_SAID && best.get(&subject).is_none_or(|(most, ..)| named > *most) {
            best.insert(subject, (named, lines, words));
        }
    }
    let mut chosen: Vec<_> = best.into_values().collect();
    chosen.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.start.cmp(&b.1.start)));
    chosen.truncate(MOST_SAID);
    chosen
        .into_iter()
        .map(|(_, lines, words)| Placed {
            claim: topic(page, std::slice::from_ref(&lines), words, SAID),
            lines: vec![lines],
        })
        .collect()
}

fn topic(page: &Page<'_>, lines: &[Range<usize>], text: String, confidence: f32) -> ProposedClaim {
    ProposedClaim {
        kind: ClaimKind::Topic,
        text,
        decision: None,
        topics: Vec::new(),
        evidence: lines.iter().flat_map(|r| page.spans_of_lines(r.clone())).collect(),
        confidence,
    }
}
