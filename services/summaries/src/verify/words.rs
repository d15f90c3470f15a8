//! The words of a claim against the words of its evidence.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use super::{Reason, Rejection};
use crate::summarizer::tokens::{normalise, words};
use crate::summarizer::votes;

static MONEY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\$").expect("a fixed expression"));
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\d{1,2}/\d{1,2}(?:/\d{2,4})?$|^(?:19|20)\d{2}$|^\d{4}-\d{2}-\d{2}$")
        .expect("a fixed expression")
});
static TIME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\d{1,2}:\d{2}").expect("a fixed expression"));

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const VERBS: [&str; 24] = [
    "adopted",
    "approved",
    "passed",
    "failed",
    "denied",
    "withdrawn",
    "continued",
    "deferred",
    "tabled",
    "referred",
    "received",
    "postponed",
    "rejected",
    "carried",
    "defeated",
    "adopt",
    "approve",
    "deny",
    "amend",
    "amended",
    "repeal",
    "confirmed",
    "accepted",
    "enacted",
];
/// The labels by which a claim tells a vote; the record may use others for the same (`AYES`).
const LABELS: [&str; 11] =
    ["moved", "seconded", "by", "action", "yeas", "nays", "abstain", "absent", "recused", "result", "…"];

/// All that is wrong with the words; each kind of fault is told once a word.
pub(super) fn check(claim: &str, evidence: &str) -> Vec<Rejection> {
    // A word broken by the page is joined over the break; where two excerpts only meet, their words stay apart too.
    let mut known = words(&normalise(evidence));
    known.extend(evidence.split('\n').flat_map(|line| words(&normalise(line))));
    let set: HashSet<&str> = known.iter().map(String::as_str).collect();
    let pairs: HashSet<(&str, &str)> = known.windows(2).map(|w| (w[0].as_str(), w[1].as_str())).collect();
    let claim = normalise(claim);
    // The labelled vote is compared as a structure: its labels come in an order of their own.
    let told = votes::first_label_at(&claim).unwrap_or(claim.len());
    let (prose, vote) = claim.split_at(told);
    let mut against = Vec::new();
    let spoken: Vec<(&str, String)> = prose
        .split_whitespace()
        .flat_map(|raw| words(raw).into_iter().map(move |word| (raw, word)))
        .collect();
    for (i, (raw, word)) in spoken.iter().enumerate() {
        let left = i.checked_sub(1).is_some_and(|j| pairs.contains(&(spoken[j].1.as_str(), word.as_str())));
        let right = spoken.get(i + 1).is_some_and(|next| pairs.contains(&(word.as_str(), next.1.as_str())));
        // A word alone in its piece has no neighbours of its own.
        let placed = left || right || spoken.len() == 1;
        let here = set.contains(word.as_str());
        let reason = kind_of(raw, word, spoken.get(i.wrapping_sub(1)).map(|(_, w)| w.as_str()));
        match reason {
            Reason::WordUnsupported | Reason::MotionUnsupported if here => {}
            _ if here && placed => {}
            _ => against.push(unsupported(reason, raw)),
        }
    }
    for raw in vote.split_whitespace() {
        for word in words(raw) {
            if !set.contains(word.as_str()) && !LABELS.contains(&word.as_str()) {
                against.push(unsupported(kind_of(raw, &word, None), raw));
            }
        }
    }
    against.extend(dropped_negations(&known, &pairs, &spoken));
    against
}

fn kind_of(raw: &str, word: &str, before: Option<&str>) -> Reason {
    if is_negation(raw, word) {
        Reason::NegationAdded
    } else if word.contains(|c: char| c.is_ascii_digit()) {
        match () {
            () if MONEY.is_match(word) => Reason::AmountUnsupported,
            () if DATE.is_match(word) || before.is_some_and(|b| MONTHS.contains(&b)) => {
                Reason::DateUnsupported
            }
            () if TIME.is_match(word) => Reason::TimeUnsupported,
            () => Reason::NumberUnsupported,
        }
    } else if VERBS.contains(&word) {
        Reason::MotionUnsupported
    } else if raw.trim_start_matches(|c: char| !c.is_alphanumeric()).starts_with(char::is_uppercase) {
        Reason::NameUnsupported
    } else {
        Reason::WordUnsupported
    }
}

fn is_negation(raw: &str, word: &str) -> bool {
    match word {
        // `NO.` before a number is `number`.
        "no" => !raw.ends_with('.') && raw != "NO",
        "not" | "never" | "without" | "neither" | "nor" | "cannot" | "none" => true,
        _ => word.ends_with("n't"),
    }
}

/// Where the evidence says `a not b` and never `a b`, a claim that says `a b` has lost the negation.
fn dropped_negations(
    known: &[String],
    pairs: &HashSet<(&str, &str)>,
    spoken: &[(&str, String)],
) -> Vec<Rejection> {
    let lost: HashSet<(&str, &str)> = known
        .windows(3)
        .filter(|w| is_negation(&w[1], &w[1]) && !pairs.contains(&(w[0].as_str(), w[2].as_str())))
        .map(|w| (w[0].as_str(), w[2].as_str()))
        .collect();
    spoken
        .windows(2)
        .filter(|w| lost.contains(&(w[0].1.as_str(), w[1].1.as_str())))
        .map(|w| {
            Rejection::new(
                Reason::NegationDropped,
                format!("The evidence has a negation between “{}” and “{}”.", w[0].0, w[1].0),
            )
        })
        .collect()
}

fn unsupported(reason: Reason, raw: &str) -> Rejection {
    let what = match reason {
        Reason::NumberUnsupported => "The number",
        Reason::AmountUnsupported => "The amount",
        Reason::DateUnsupported => "The date",
        Reason::TimeUnsupported => "The time",
        Reason::NameUnsupported => "The name",
        Reason::NegationAdded => "The negation",
        Reason::MotionUnsupported => "The verb",
        _ => "The word",
    };
    Rejection::new(reason, format!("{what} “{raw}” does not stand so in the evidence."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(claim: &str, evidence: &str) -> Vec<&'static str> {
        check(claim, evidence).iter().map(|r| r.reason.code()).collect()
    }

    const EVIDENCE: &str = "Authorizing a contract with Hammerman &\nGainer, LLC for a one-year period, not to exceed $600,000, from May 3, 2023.\nCONTINUED TO THE MEETING OF 5/11/23.";

    #[test]
    fn the_words_of_the_evidence_pass() {
        assert!(codes("Authorizing a contract with Hammerman & Gainer, LLC. not to exceed $600,000. CONTINUED TO THE MEETING OF 5/11/23.", EVIDENCE).is_empty());
    }

    #[test]
    fn what_the_evidence_does_not_say_is_named() {
        assert_eq!(codes("for a one-year period, not to exceed $900,000", EVIDENCE), ["amount_unsupported"]);
        assert!(codes("from May 4, 2023", EVIDENCE).contains(&"date_unsupported"));
        assert_eq!(codes("CONTINUED TO THE MEETING OF 5/18/23.", EVIDENCE), ["date_unsupported"]);
        assert_eq!(codes("WITHDRAWN TO THE MEETING OF 5/11/23.", EVIDENCE), ["motion_unsupported"]);
        assert_eq!(codes("with Durr & Gainer, LLC", EVIDENCE), ["name_unsupported"]);
        assert_eq!(codes("a one-year period, to exceed $600,000", EVIDENCE), ["negation_dropped"]);
        assert_eq!(codes("Authorizing a contract not with Hammerman &", EVIDENCE), ["negation_added"]);
    }
}
