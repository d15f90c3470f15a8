//! What follows from a meeting: hearings set, and staff or agencies told to do something.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::decisions::Placed;
use super::items::Item;
use super::lines::Page;
use super::tokens::normalise;
use super::{ClaimKind, ProposedClaim, compose, prose};

static HEARING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\bhearing\s+(?:date\s+)?(?:is\s+|was\s+)?(?:set|scheduled)\s+for\s+\S+")
        .expect("a fixed expression")
});
static DIRECTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^\W*(?:(?:\d{1,2}\.\s*)?direct(?:s|ing|ed)?\b|(?:request|instruct|order|urg|ask)(?:s|ing|ed)?\s+(?:and\s+(?:direct|authoriz)\w+\s+)?(?:that\s+)?(?:the\s+|city\s+|staff|all\s+)|authorizing\s+and\s+directing)|\b(?:council|committee|board|commission)\w*\s+(?:directed|instructed|asked)\s+(?:the\s+)?(?:staff|city|department|clerk|manager|attorney)|\bdirect(?:ed)?\s+(?:city\s+)?staff\b|\bstaff\s+(?:shall|was\s+directed|were\s+directed)\b").expect("a fixed expression")
});

/// Reads the actions that follow from items; a direction is one only where its item was adopted.
pub(crate) fn read(page: &Page<'_>, items: &[Item], adopted: &[Range<usize>]) -> Vec<Placed> {
    let mut out = Vec::new();
    for item in items {
        let text = |r: Range<usize>| page.lines[r].iter().map(|l| l.text).collect::<Vec<_>>().join("\n");
        let heading = compose::heading(&text(item.heading.clone()));
        if heading.is_empty() {
            continue;
        }
        for i in item.rest.clone() {
            if let Some(found) = HEARING.find(page.lines[i].text) {
                let words = found.as_str().trim_end_matches([')', '.', ',']);
                let title = compose::title(&text(item.brief.clone()));
                let statement = compose::statement(&[&heading, &compose::shorten(&title, 300), words]);
                out.push(placed(page, vec![item.heading.clone(), item.brief.clone(), i..i + 1], statement));
                break;
            }
        }
        let was_adopted = adopted.iter().any(|r| r.start >= item.heading.start && r.start < item.rest.end);
        if !was_adopted {
            continue;
        }
        let body = if item.brief.is_empty() { item.heading.end..item.rest.end } else { item.brief.clone() };
        let words = text(body.clone());
        if let Some(&(a, b)) =
            prose::sentences(&words).iter().find(|(a, b)| DIRECTION.is_match(words[*a..*b].trim_start()))
        {
            let sentence = compose::shorten(&normalise(&words[a..b]), 500);
            out.push(placed(
                page,
                vec![item.heading.clone(), body],
                compose::statement(&[&heading, &sentence]),
            ));
        }
    }
    out
}

fn placed(page: &Page<'_>, lines: Vec<Range<usize>>, text: String) -> Placed {
    let lines: Vec<_> = lines.into_iter().filter(|r| !r.is_empty()).collect();
    Placed {
        claim: ProposedClaim {
            kind: ClaimKind::Action,
            text,
            decision: None,
            topics: Vec::new(),
            evidence: lines.iter().flat_map(|r| page.spans_of_lines(r.clone())).collect(),
            confidence: 0.85,
        },
        lines,
    }
}
