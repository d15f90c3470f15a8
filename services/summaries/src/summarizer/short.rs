//! The few claims that a resident would want to read first.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::{ClaimKind, Outcome, ProposedClaim};

/// The most claims in a short summary.
const MOST: usize = 6;
/// The most of one subject.
const MOST_OF_SUBJECT: usize = 2;
/// As many are shown even when none of them is remarkable.
const LEAST: usize = 3;
/// Below this a claim is shown only to reach the least.
const REMARKABLE: f32 = 4.0;

static MONEY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\s?\d[\d,.]*(?:\s*(?:million|billion))?").expect("a fixed expression"));
static POLICY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:amend\w*\s+and\s+re-?ordain|code\s+of\s+the\s+city|comprehensive\s+zoning\s+ordinance|home\s+rule\s+charter|tax|taxes|rates?|fees?|ban|prohibit\w*|require\w*|eliminat\w*|establish\w*|collective\s+bargaining|affordable\s+housing|short-term\s+rental|surveillance|minimum\s+wage|moratorium|task\s+force|elections?|bonds?|investigat\w*|renam\w+|chang\w+\s+the\s+name|public\s+defender|evict\w*|right\s+to\s+counsel|tenants?|short\s+term\s+rentals?|renewable|climate|portfolio\s+standard|penalt\w+|millage|charter|franchise|settlement|annex\w*|rezon\w*|homeless\w*|superintendent|cost\s+of\s+living|pay\s+plan)\b").expect("a fixed expression")
});
static ROUTINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:approval\s+of\s+the\s+minutes|adjourn\w*|suspend\s+the\s+rules|suspend\s+rule|consent\s+agenda|honorary\s+street|recogniz\w+|celebrat\w+|honoring|commend\w*|congratulat\w+|condolence|temporar\w+\s+waiv\w+|waiv\w+\s+(?:of\s+)?certain\s+fees|facility\s+rental\s+fee|proclaim\w*|calling\s+an\s+election|intention\s+to\s+consider|first\s+reading|communication|transmitting|presentation|executive\s+session|reappointment|appointment|quorum|signatory)\b").expect("a fixed expression")
});

/// What every meeting does, whatever it is about.
static PROCEDURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:\S+\s+){0,3}?(?:adjourn\w*|meeting\s+adjourned|motion\s+(?:to|for)\s+adjourn\w*|public\s+(?:e-)?comments?\b|roll\s+call|suspend\s+(?:the\s+)?rules?|approv\w+\s+(?:of\s+(?:the\s+)?)?(?:minutes|agenda)|executive\s+session|present\s*:)|\bAGENDA\s+WAS\b|\bquorum\b|\b(?:agenda\s+is\s+being\s+read|comments?\s+(?:should|will)\s+be|(?:joined|arrived|left)\b.{0,30}\bmeeting)\b").expect("a fixed expression")
});
/// One property's permit matters to its neighbours; a rule matters to all.
static SINGLE_PROPERTY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)municipal\s+address|conditional\s+use").expect("a fixed expression"));

/// Chooses three to six claims; equal scores keep the order of the record.
pub(crate) fn choose(claims: &[ProposedClaim]) -> Vec<usize> {
    let mut ranked: Vec<(f32, usize)> =
        claims.iter().enumerate().map(|(i, c)| (score(c), i)).filter(|(s, _)| *s > 0.0).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = Vec::new();
    for (score, i) in ranked {
        if chosen.len() == MOST || (score < REMARKABLE && chosen.len() >= LEAST) {
            break;
        }
        // One claim a matter, and no twins: budgets come as an ordinance of revenues and one of expenditures. And no subject
        // takes it all.
        let subject = claims[i].topics.first();
        let of_subject = chosen.iter().filter(|&&c| claims[c].topics.first() == subject).count();
        if subject.is_some() && of_subject >= MOST_OF_SUBJECT {
            continue;
        }
        if !chosen.iter().any(|&c| same_matter(&claims[c], &claims[i])) {
            chosen.push(i);
        }
    }
    chosen
}

fn score(claim: &ProposedClaim) -> f32 {
    let text = claim.text.as_str();
    if PROCEDURE.is_match(text) {
        return 0.0;
    }
    let mut score = match claim.kind {
        ClaimKind::Decision => 2.0,
        ClaimKind::Action => 1.0,
        // What was introduced or presented says more of a meeting than who was there, and less than what it decided.
        ClaimKind::Topic => 0.8,
        ClaimKind::Fact => 0.2,
    };
    if let Some(detail) = &claim.decision {
        score += match detail.outcome {
            Outcome::Adopted => 2.0,
            Outcome::Failed => 2.5,
            Outcome::Withdrawn => 0.5,
            Outcome::Deferred | Outcome::Referred => 0.0,
            Outcome::Received => -1.5,
        };
        if detail.motion.is_some() {
            score -= 3.0;
        }
        let lower = text.to_lowercase();
        if lower.contains("ordinance") {
            score += 1.0;
        }
        if let Some(votes) = &detail.votes {
            score += 0.5;
            // What divided the body is what people ask about.
            score += votes.counts.nays.unwrap_or(0).min(3) as f32;
        }
    }
    score += MONEY
        .find_iter(text)
        .take(1)
        .map(|m| if amount(m.as_str()) >= 100_000.0 { 2.0 } else { 1.0 })
        .sum::<f32>();
    // How many different signs there are; the same word said again is no other sign.
    let signs: BTreeSet<String> = POLICY.find_iter(text).map(|m| m.as_str().to_lowercase()).collect();
    score += (signs.len().min(3) as f32) * 0.7;
    if SINGLE_PROPERTY.is_match(text) {
        score -= 1.0;
    }
    if ROUTINE.is_match(text) {
        score -= 3.0;
    }
    score
}

/// An amount in dollars.
fn amount(text: &str) -> f64 {
    let digits: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let number: f64 = digits.trim_end_matches('.').parse().unwrap_or(0.0);
    let lower = text.to_lowercase();
    number
        * if lower.contains("billion") {
            1e9
        } else if lower.contains("million") {
            1e6
        } else {
            1.0
        }
}

fn same_matter(a: &ProposedClaim, b: &ProposedClaim) -> bool {
    let number = |c: &ProposedClaim| c.decision.as_ref().and_then(|d| d.file_number.clone());
    if number(a).is_some() && number(a) == number(b) {
        return true;
    }
    let title = |c: &ProposedClaim| {
        c.decision.as_ref().and_then(|d| d.title.clone()).unwrap_or_else(|| c.text.clone())
    };
    overlap(&title(a), &title(b)) > 0.7
}

/// The share of the shorter text's words that the other has, from 0 to 1.
fn overlap(a: &str, b: &str) -> f32 {
    let words =
        |t: &str| super::tokens::words(t).into_iter().filter(|w| w.len() > 3).collect::<BTreeSet<_>>();
    let (a, b) = (words(a), words(b));
    let least = a.len().min(b.len());
    if least == 0 { 0.0 } else { a.intersection(&b).count() as f32 / least as f32 }
}
