//! The words by which a record says how a matter left the meeting.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::Outcome;
use super::tokens::capitals;

/// A status that stands by itself, in the order in which they are tried: the particular before the general.
static STATUSES: LazyLock<Vec<(Regex, Outcome)>> = LazyLock::new(|| {
    [
        (r"^(?:substitute\s+|as\s+amended,?\s+)?passed\s+to\s+(?:its\s+|a\s+|the\s+)?(?:second|third|next)\s+reading", Outcome::Deferred),
        (r"^(?:the\s+)?petition\s+dies|^d(?:ies|ied)\s+for\s+(?:lack|want)\b|^not\s+(?:adopted|approved|passed)\b", Outcome::Failed),
        (r"^(?:failed|defeated|rejected|denied|lost|disapproved|overruled|vetoed)\b(?:\s+to\s+pass)?", Outcome::Failed),
        (r"^(?:withdrawn|withdrew)\b", Outcome::Withdrawn),
        (r"^received(?:\s+and|,)\s+referred\b|^(?:re-?)?referred\b|^sent\s+to\b|^committed\s+to\b", Outcome::Referred),
        (
            r"^continued\b|^(?:postponed|tabled|deferred|carried\s+over|held\s+over)\b|^(?:introduced\s+and\s+)?l\s?aid\s+(?:over|on\s+the\s+table)\b|^held\s+(?:in\s+committee|for)\b|^rescheduled\b",
            Outcome::Deferred,
        ),
        (r"^(?:accepted\s+and\s+)?placed\s+on\s+file\b|^(?:received|noted|filed|read)\b(?:,?\s+(?:and\s+)?(?:noted|filed|placed\s+on\s+file))*", Outcome::Received),
        (
            r"^(?:unanimously\s+)?(?:adopted|approved|passed|confirmed|enacted|ratified|accepted|granted|carried|appointed|authorized|affirmed|upheld)\b(?:,?\s+as\s+(?:amended|presented|substituted))?",
            Outcome::Adopted,
        ),
    ]
    .into_iter()
    .map(|(form, outcome)| (Regex::new(&format!("(?i){form}")).expect("a fixed expression"), outcome))
    .collect()
});

/// Not a decision although it begins like one.
static NOT_FINAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)until\s+later\s+in\s+th(?:e|is)\s+meeting|^received\s+(?:by|from|on|at)\b")
        .expect("a fixed expression")
});

static PREFIX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:(?:elec\w+\s+su\w+|submitted\s+electronically)\s*\.\s*|annotation:\s*|disposition:\s*|result:\s*|status:\s*|action(?:\s+taken)?:\s*|\([^()]*\)\s*\.?\s*)*")
        .expect("a fixed expression")
});

/// A status phrase: the outcome, and where its words begin in the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Status {
    pub outcome: Outcome,
    pub at: usize,
}

/// The status that a line states by itself: in capitals, or alone on the line.
pub(crate) fn status(line: &str) -> Option<Status> {
    let at = PREFIX.find(line).map_or(0, |m| m.end());
    let rest = spelled_right(&line[at..]);
    let rest = rest.as_ref();
    if NOT_FINAL.is_match(rest) {
        return None;
    }
    for (form, outcome) in STATUSES.iter() {
        if let Some(found) = form.find(rest) {
            let sentence = rest.split_inclusive(". ").next().unwrap_or(rest);
            let sentence = sentence.split('(').next().unwrap_or(sentence);
            let shouted = capitals(sentence) > 0.8 && found.end() >= 4;
            let alone = rest[found.end()..].trim_matches(|c: char| !c.is_alphanumeric()).is_empty()
                && rest.starts_with(char::is_uppercase);
            return (shouted || alone).then_some(Status { outcome: *outcome, at });
        }
    }
    None
}

/// The words in capitals that clerks mistype: `CONTIINUED TO THE MEETING OF 1/5/23.`
const SPELLED: [&str; 12] = [
    "CONTINUED",
    "WITHDRAWN",
    "RECEIVED",
    "REFERRED",
    "POSTPONED",
    "DEFERRED",
    "INTRODUCED",
    "APPROVED",
    "REJECTED",
    "CONFIRMED",
    "ACCEPTED",
    "RESCHEDULED",
];

/// The text with its first word as it was meant, where that is one slip of the pen away and in capitals.
fn spelled_right(text: &str) -> Cow<'_, str> {
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    let word = &text[..end];
    if word.len() < 8 || !word.bytes().all(|c| c.is_ascii_uppercase()) || SPELLED.contains(&word) {
        return Cow::Borrowed(text);
    }
    // An ending of another kind makes another word: an approver approves.
    let same_end = |meant: &str| word.as_bytes().ends_with(&meant.as_bytes()[meant.len() - 2..]);
    match SPELLED.iter().find(|meant| same_end(meant) && strsim::osa_distance(word, meant) == 1) {
        Some(meant) => Cow::Owned(format!("{meant}{}", &text[end..])),
        None => Cow::Borrowed(text),
    }
}

/// Whether a line states a status.
pub(crate) fn is_status(line: &str) -> bool {
    status(line).is_some()
}

/// What the result of a motion means for the matter: a motion to continue that passed defers it.
pub(crate) fn of_motion(action: Option<&str>, passed: bool) -> Outcome {
    if !passed {
        return Outcome::Failed;
    }
    let action = action.unwrap_or_default().trim_start().to_lowercase();
    let first = action.trim_start_matches("to ").trim_start_matches("motion to ");
    for (stems, outcome) in [
        (
            &["continu", "defer", "postpone", "table", "lay over", "lay on", "laid", "hold over"][..],
            Outcome::Deferred,
        ),
        (&["withdraw"][..], Outcome::Withdrawn),
        (&["refer"][..], Outcome::Referred),
        (&["receive", "place on file", "placed on file", "file"][..], Outcome::Received),
        (&["deny", "denied", "denial", "reject", "disapprove"][..], Outcome::Failed),
    ] {
        if stems.iter().any(|stem| first.starts_with(stem)) {
            return outcome;
        }
    }
    Outcome::Adopted
}

static PASSED: LazyLock<Regex> = LazyLock::new(|| {
    let verb = r"(?P<verb>carried|carries|passed|passes|approved|adopted|prevailed|failed|fails|lost|defeated|died|dies)\b";
    let matter = r"(?:resolution|ordinance|item|amendment|agenda|minutes|substitute|bill|appeal|request)s?";
    Regex::new(&format!(
        r"(?i)\b(?:(?:motion|vote|question)\b[^.;]{{0,60}}?\b{verb}|{matter}\s+(?:(?:was|were|be|is)\s+)?(?:not\s+)?(?:unanimously\s+)?{})",
        verb.replace("verb", "of")
    ))
    .expect("a fixed expression")
});

/// Whether a sentence says that a motion passed (`Some(true)`) or failed.
pub(crate) fn motion_result(sentence: &str) -> Option<bool> {
    let found = PASSED.captures_iter(sentence).last()?;
    let verb = found.name("verb").or_else(|| found.name("of"))?;
    let before = sentence[..verb.start()].trim_end().to_lowercase();
    let negated = before.ends_with(" not") || before.ends_with("n't");
    let passed = matches!(
        verb.as_str().to_lowercase().as_str(),
        "carried" | "carries" | "passed" | "passes" | "approved" | "adopted" | "prevailed"
    );
    Some(passed != negated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_whatever_stands_before_them() {
        for (line, outcome) in [
            ("ADOPTED.", Some(Outcome::Adopted)),
            ("ELECTRONICALLY SUBMITTED. WITHDRAWN.", Some(Outcome::Withdrawn)),
            ("WITHDRAWN. (At the applicant's request).", Some(Outcome::Withdrawn)),
            ("RECEIVED. (Hearing Date Set For 5/11/23).", Some(Outcome::Received)),
            ("RECEIVED AND REFERRED TO THE BUDGET COMMITTEE.", Some(Outcome::Referred)),
            ("CONTINUED TO THE MEETING OF 5/11/23 AND REFERRED TO THE BUDGET", Some(Outcome::Deferred)),
            ("COTINUED TO THE MEETING OF 5/11/23.", Some(Outcome::Deferred)),
            ("CONTIINUED TO THE MEETING OF 1/5/23.", Some(Outcome::Deferred)),
            ("INTRODUCED AND L AID OVER AS REQUIRED BY LAW.", Some(Outcome::Deferred)),
            ("APPROVER OF THE PLAN", None),
            ("INTRODUCED AND LAID OVER AS REQUIRED BY LAW.", Some(Outcome::Deferred)),
            ("PASSED TO SECOND READING JANUARY 19, 2011 AT 9:30 AM", Some(Outcome::Deferred)),
            ("PLACED ON FILE", Some(Outcome::Received)),
            ("PETITION DIES.", Some(Outcome::Failed)),
            ("Continued until later in the meeting.", None),
            ("(Referred to the Budget Committee).", None),
            ("Received in the mail by the clerk on Monday.", None),
            ("(Report received at the meeting of 3/23/23).", None),
            ("HEARING HELD.", None),
        ] {
            assert_eq!(status(line).map(|s| s.outcome), outcome, "{line}");
        }
    }

    #[test]
    fn a_motion_to_continue_that_passed_defers() {
        assert_eq!(of_motion(Some("Adopt"), true), Outcome::Adopted);
        assert_eq!(of_motion(Some("Continue to 5/11"), true), Outcome::Deferred);
        assert_eq!(of_motion(Some("Adopt as Amended"), false), Outcome::Failed);
    }

    #[test]
    fn results_of_motions() {
        assert_eq!(motion_result("AND THE MOTION PASSED."), Some(true));
        assert_eq!(motion_result("AND THE MOTION FAILED."), Some(false));
        assert_eq!(motion_result("Motion Carried 6-0."), Some(true));
        assert_eq!(motion_result("The motion was not carried."), Some(false));
        assert_eq!(motion_result("Mr. Collins spoke."), None);
    }
}
