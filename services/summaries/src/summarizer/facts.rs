//! Facts of a record: attendance, quorum, times, money.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::decisions::Placed;
use super::items::Item;
use super::lines::Page;
use super::tokens::normalise;
use super::{ClaimKind, ProposedClaim, compose};

static PRESENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:members\s+)?present\s*:|^those\s+present\s+were|^(?:\S+\s+){0,2}roll\s*call\s*:\s*present|^attend(?:ance|ees)\s*:").expect("a fixed expression")
});
static ABSENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)^(?:members\s+)?(?:absent|excused)\s*:").expect("a fixed expression"));
static QUORUM: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)\bquorum\b").expect("a fixed expression"));
static OPENED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:called\s+(?:the\s+\w+\s+)?to\s+order|\bheld\b.*\b(?:19|20)\d\d\b|^on\s+\w+day,.*\bat\s+\d|convened|meeting\s+(?:began|opened)).*\d{1,2}:\d{2}\s*[ap]\.?m").expect("a fixed expression")
});
static CLOSED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)adjourn\w*.{0,60}\d{1,2}:\d{2}|\d{1,2}:\d{2}.{0,40}adjourn").expect("a fixed expression")
});
static ARRIVAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:arrived|left|joined)\b.*\b(?:meeting|at\s+\d{1,2}:\d{2}|roll)")
        .expect("a fixed expression")
});

/// Reads the facts. `used` are lines that tell a decision.
pub(crate) fn read(page: &Page<'_>, items: &[Item], used: &[Range<usize>]) -> Vec<Placed> {
    let texts: Vec<&str> = page.lines.iter().map(|l| l.text).collect();
    let free = |i: usize| !used.iter().any(|r| r.contains(&i));
    // The roll is called at the top; later calls only re-establish the quorum.
    let opening = items
        .iter()
        .take(6)
        .map(|i| i.lines().end)
        .max()
        .unwrap_or(0)
        .min(texts.len())
        .max(texts.len().min(80));
    let mut out = Vec::new();
    let (mut roll, mut quorum, mut opened, mut closed) = (false, false, false, false);
    let mut i = 0;
    while i < texts.len() {
        let line = texts[i];
        let mut lines = i..i + 1;
        let wanted = if !roll && i < opening && PRESENT.is_match(line) {
            roll = true;
            while lines.end < texts.len()
                && lines.end - i < 14
                && (goes_on(texts[lines.end])
                    || ABSENT.is_match(texts[lines.end])
                    || texts[lines.end - 1].ends_with([':', ',']))
            {
                lines.end += 1;
            }
            true
        } else if !quorum
            && i < opening
            && QUORUM.is_match(line)
            && free(i)
            && !line.to_lowercase().contains("re-establish")
        {
            quorum = true;
            true
        } else if !opened && i < opening && OPENED.is_match(line) {
            opened = true;
            true
        } else if !closed && CLOSED.is_match(line) && i * 2 > texts.len() && free(i) {
            closed = true;
            true
        } else {
            i < opening && ARRIVAL.is_match(line) && free(i) && line.len() < 200
        };
        if wanted {
            out.push(claim(page, lines.clone()));
            i = lines.end;
        } else {
            i += 1;
        }
    }
    out
}

/// A roll goes on while its lines are names.
fn goes_on(line: &str) -> bool {
    line.len() < 70
        && !line.ends_with('.')
        && !super::items::starts_item(line)
        && line.chars().next().is_some_and(char::is_uppercase)
        && super::tokens::capitals(line) > 0.9
        && !line.contains("BY:")
}

fn claim(page: &Page<'_>, lines: Range<usize>) -> Placed {
    let words = page.lines[lines.clone()].iter().map(|l| l.text).collect::<Vec<_>>().join("\n");
    Placed {
        claim: ProposedClaim {
            kind: ClaimKind::Fact,
            text: compose::shorten(&normalise(&words), 600),
            decision: None,
            topics: Vec::new(),
            evidence: page.spans_of_lines(lines.clone()),
            confidence: 0.9,
        },
        lines: vec![lines],
    }
}
