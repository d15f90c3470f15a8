//! Errors planted into verified claims, to measure whether the verifier finds them.
//!
//! Each is told coherently, in the statement and in the structure, as a careless writer would: a vote too many, another
//! day, another member as mover, a negation gone or added, another sum.

use std::sync::LazyLock;

use regex::Regex;

use crate::summarizer::ProposedClaim;

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Planted {
    /// The number of votes.
    VoteCount,
    /// A date.
    Date,
    /// The mover.
    Mover,
    /// A negation, put in or taken out.
    Negation,
    /// A sum of money.
    Amount,
}

impl Planted {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VoteCount => "vote_count",
            Self::Date => "date",
            Self::Mover => "mover",
            Self::Negation => "negation",
            Self::Amount => "amount",
        }
    }
}

static SLASHED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(\d{1,2})/(\d{1,2})/(\d{2,4})\b").expect("a fixed expression"));
static SPELLED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b((?i:january|february|march|april|may|june|july|august|september|october|november|december)\s+)(\d{1,2})\b").expect("a fixed expression")
});
static AMOUNT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\s?\d[\d,.]*\d|\$\d").expect("a fixed expression"));
static DENIAL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:not|never|without)\s+").expect("a fixed expression"));
static PLACE_FOR_DENIAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:to|was|were|be|shall|will|is|are)\s+[a-z]|\b(?:MOTION|AND)\s+[A-Z]|\b[A-Z]{7,}\b")
        .expect("a fixed expression")
});
static TALLY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?P<a>\b(?:YEAS|Y)\b[^:]*?:?[^:]*? - |\(Y-|\b(?i:carried|passed|failed|approved)\s+)(?P<n>\d{1,2})\b").expect("a fixed expression")
});

/// Every error that fits the claim, each in a copy of its own. The same claim gives the same copies.
pub fn plant(claim: &ProposedClaim) -> Vec<(Planted, ProposedClaim)> {
    [
        (Planted::VoteCount, vote_count(claim)),
        (Planted::Date, date(claim)),
        (Planted::Mover, mover(claim)),
        (Planted::Negation, negation(claim)),
        (Planted::Amount, amount(claim)),
    ]
    .into_iter()
    .filter_map(|(kind, changed)| Some((kind, changed?)))
    .filter(|(_, changed)| changed != claim)
    .collect()
}

fn with_text(claim: &ProposedClaim, text: String) -> ProposedClaim {
    let mut changed = claim.clone();
    changed.text = text;
    changed
}

fn vote_count(claim: &ProposedClaim) -> Option<ProposedClaim> {
    let counts = claim.decision.as_ref()?.votes.as_ref()?.counts.yeas?;
    let mut changed = claim.clone();
    if let Some(votes) = changed.decision.as_mut().and_then(|d| d.votes.as_mut()) {
        votes.counts.yeas = Some(counts + 1);
    }
    if let Some(found) = TALLY.captures(&claim.text).and_then(|c| c.name("n")) {
        changed.text.replace_range(found.range(), &(counts + 1).to_string());
    }
    Some(changed)
}

fn date(claim: &ProposedClaim) -> Option<ProposedClaim> {
    let next = |day: &str| day.parse::<u32>().map(|d| if d >= 28 { d - 1 } else { d + 1 }.to_string()).ok();
    if let Some(found) = SLASHED.captures(&claim.text) {
        let day = found.get(2)?;
        let mut text = claim.text.clone();
        text.replace_range(day.range(), &next(day.as_str())?);
        return Some(with_text(claim, text));
    }
    let day = SPELLED.captures(&claim.text)?.get(2)?;
    let mut text = claim.text.clone();
    text.replace_range(day.range(), &next(day.as_str())?);
    Some(with_text(claim, text))
}

/// Another member of the same body: a name that the evidence has, where there is one.
fn mover(claim: &ProposedClaim) -> Option<ProposedClaim> {
    let detail = claim.decision.as_ref()?;
    let mover = detail.mover.as_ref()?;
    let others = detail
        .votes
        .iter()
        .flat_map(|v| v.yeas.iter().chain(&v.nays).chain(&v.absent))
        .chain(&detail.seconder);
    let other =
        others.into_iter().find(|name| *name != mover).cloned().unwrap_or_else(|| "Robinson".to_owned());
    let mut changed = claim.clone();
    let at = claim.text.find("MOVED BY:").or_else(|| claim.text.to_lowercase().find("moved by")).unwrap_or(0);
    if let Some(found) = claim.text.get(at..).and_then(|rest| rest.find(mover.as_str())) {
        changed.text.replace_range(at + found..at + found + mover.len(), &other);
    }
    if let Some(detail) = changed.decision.as_mut() {
        detail.mover = Some(other);
    }
    Some(changed)
}

fn negation(claim: &ProposedClaim) -> Option<ProposedClaim> {
    let mut text = claim.text.clone();
    if let Some(found) = DENIAL.find(&claim.text) {
        text.replace_range(found.range(), "");
        return Some(with_text(claim, text));
    }
    let found = PLACE_FOR_DENIAL.find_iter(&claim.text).last()?;
    let matched = found.as_str();
    let (at, word) = match matched.find(char::is_whitespace) {
        Some(space) => {
            (found.start() + space, if matched.chars().any(char::is_lowercase) { " not" } else { " NOT" })
        }
        None => (found.start(), "NOT "),
    };
    text.insert_str(at, word);
    Some(with_text(claim, text))
}

fn amount(claim: &ProposedClaim) -> Option<ProposedClaim> {
    let found = AMOUNT.find(&claim.text)?;
    let digit = found.as_str().char_indices().find(|(_, c)| c.is_ascii_digit())?;
    let other = char::from_digit(digit.1.to_digit(10)? % 9 + 1, 10)?;
    let mut text = claim.text.clone();
    let at = found.start() + digit.0;
    text.replace_range(at..at + 1, &other.to_string());
    Some(with_text(claim, text))
}
