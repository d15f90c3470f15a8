//! Dispositions at the end of numbered items in running text: `42 Accept a grant … (Ordinance) (Y-5) 184349`.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::Page;
use super::tokens::{capitals, normalise};
use super::{ClaimKind, DecisionDetail, Outcome, ProposedClaim, VoteCounts, Votes, compose, outcomes, prose};

/// So many items in a row, counted up by one, are a list of business and no accident.
const CHAIN: usize = 5;
/// The longest text of an item, in bytes.
const LONGEST: usize = 1500;

static START: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|\s)(?P<n>\*?(?:S-)?(?P<i>\d{1,4}))\s+(?P<w>[A-Z][A-Za-z-]+)")
        .expect("a fixed expression")
});
static TALLY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\(Y-(?P<y>\d{1,2})(?:[;,]?\s*N-(?P<n>\d{1,2})(?:[\s,]+(?P<who>[A-Z][^)]{0,60}))?)?[^)]{0,40}\)(?:\s*(?P<id>\d{5,6})\b)?").expect("a fixed expression")
});
static SHOUT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b[A-Z]{4,}(?:[\s,]+(?:[A-Z]{2,}|\d{1,2}:\d{2}|\d{1,4},?))*").expect("a fixed expression")
});
static PART: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\s(?:CONSENT|REGULAR|TIME\s+CERTAIN)\b").expect("a fixed expression"));

/// The tally and the disposition that a passage ends with.
pub(crate) struct Ending {
    pub outcome: Outcome,
    pub yeas: Option<u32>,
    pub nays: Option<u32>,
    pub against: Vec<String>,
    pub number: Option<String>,
    /// One past the last byte of its words.
    pub end: usize,
}

/// Reads how a passage ends.
pub(crate) fn ending(passage: &str) -> Option<Ending> {
    let tally = TALLY.captures_iter(passage).last();
    let shout = SHOUT
        .find_iter(passage)
        .filter_map(|m| {
            // The head of the next part may follow in capitals.
            let words = PART.find(m.as_str()).map_or(m.as_str(), |p| m.as_str()[..p.start()].trim_end());
            Some((m.start()..m.start() + words.len(), outcomes::status(words)?.outcome))
        })
        .last();
    let (yeas, nays, against, number, tally_end) = match &tally {
        Some(t) => (
            t["y"].parse().ok(),
            t.name("n").map_or(Some(0), |n| n.as_str().parse().ok()),
            t.name("who").map(|w| super::votes::people(w.as_str())).unwrap_or_default(),
            t.name("id").map(|n| n.as_str().to_owned()),
            t.get(0).map_or(0, |m| m.end()),
        ),
        None => (None, None, Vec::new(), None, 0),
    };
    match shout {
        Some((range, outcome)) => {
            Some(Ending { outcome, yeas, nays, against, number, end: range.end.max(tally_end) })
        }
        None if number.is_some() => {
            Some(Ending { outcome: Outcome::Adopted, yeas, nays, against, number, end: tally_end })
        }
        None => None,
    }
}

/// Reads the numbered list of a record that has one.
pub(crate) fn read(page: &Page<'_>) -> Vec<ProposedClaim> {
    let text = page.source.text.text.as_str();
    let candidates: Vec<(usize, u32, String)> = START
        .captures_iter(text)
        .filter_map(|c| Some((c.name("n")?.start(), c["i"].parse().ok()?, c["n"].to_owned())))
        .collect();
    let mut out = Vec::new();
    let chain = longest_chain(&candidates);
    if chain.len() < CHAIN {
        return out;
    }
    for (k, &i) in chain.iter().enumerate() {
        let (start, _, number) = &candidates[i];
        let stop =
            chain.get(k + 1).map_or(text.len(), |&next| candidates[next].0).min(floor(text, start + LONGEST));
        let Some(ending) = ending(&text[*start..stop]) else { continue };
        let end = start + ending.end;
        let body = normalise(&text[*start..end]);
        let body = body.strip_prefix(number.as_str()).unwrap_or(&body).trim().to_owned();
        let title = body.split(" (").next().unwrap_or(&body).to_owned();
        if title.len() < 8 || capitals(&title) > 0.9 {
            continue;
        }
        let told = prose::told(&body);
        let votes = ending.yeas.map(|yeas| Votes {
            nays: ending.against,
            counts: VoteCounts { yeas: Some(yeas), nays: ending.nays, ..VoteCounts::default() },
            ..Votes::default()
        });
        out.push(ProposedClaim {
            kind: ClaimKind::Decision,
            text: format!("{number} {}", compose::shorten(&body, LONGEST)),
            decision: Some(DecisionDetail {
                outcome: ending.outcome,
                file_number: Some(ending.number.unwrap_or_else(|| number.trim_start_matches('*').to_owned())),
                title: Some(title),
                motion: None,
                mover: told.mover,
                seconder: told.seconder,
                votes,
            }),
            topics: Vec::new(),
            evidence: page.spans(*start, end),
            confidence: 0.85,
        });
    }
    out
}

/// The longest run of candidates numbered one after another.
fn longest_chain(candidates: &[(usize, u32, String)]) -> Vec<usize> {
    let mut best = Vec::new();
    for first in 0..candidates.len() {
        if best.contains(&first) {
            continue;
        }
        let mut chain = vec![first];
        let mut last = first;
        // The next number stands near: a list is not scattered over the document.
        while let Some(next) = (last + 1..candidates.len())
            .take_while(|&j| candidates[j].0 - candidates[last].0 < 2 * LONGEST)
            .find(|&j| candidates[j].1 == candidates[last].1 + 1)
        {
            chain.push(next);
            last = next;
        }
        if chain.len() > best.len() {
            best = chain;
        }
    }
    best
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
