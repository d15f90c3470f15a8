//! Blocks of labels and values: `MOVED BY: … SECONDED BY: … ACTION: … YEAS: … NAYS: … AND THE MOTION PASSED.`
//!
//! Extraction from a page may put a value before its label, or all labels before all values, and may lose a zero. Labels
//! and values keep their order, though, so the cheapest order-preserving assignment is looked for.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{Votes, outcomes};

/// What a label announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Mover,
    Seconder,
    Action,
    Result,
    Yeas,
    Nays,
    Abstain,
    Absent,
    Recused,
}

/// A vote as recorded. Ranges count lines of the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block {
    pub mover: Option<String>,
    pub seconder: Option<String>,
    pub action: Option<String>,
    pub votes: Option<Votes>,
    pub passed: Option<bool>,
    pub result: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Zero,
    List(Vec<String>, Option<u32>),
    Action(String),
    Words(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Label(Label),
    Value(Value),
}

const NAMES: &str = r"MOVED\s+BY|MOVER|MOTION\s+BY|MOTION\s+MADE\s+BY|SECONDED\s+BY|SECONDER|SECOND\s+BY|2ND\s+BY|ACTION|RESULT|YEAS?|AYES?|AFFIRMATIVE|IN\s+FAVOR|NAYS?|NOES|NEGATIVE|OPPOSED|ABSTAIN(?:ED|ING)?|ABSTENTIONS?|ABSENT|EXCUSED|RECUSED?|RECUSALS?|NOT\s+VOTING";
static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(r"(?i)\b(?P<l>{NAMES})\s*(?:\(\d+\)\s*)?:")).expect("a fixed expression")
});
static BARE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"^(?P<l>{NAMES})$")).expect("a fixed expression"));
static END: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:and\s+)?the\s+motion\s+(?:was\s+)?\w+").expect("a fixed expression")
});
static COUNT_LAST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?P<who>.*?)\s*[-–—]\s*(?P<n>\d{1,3})\.?$").expect("a fixed expression"));
static COUNT_FIRST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?P<n>\d{1,3})\s*(?:[-–—:]\s*)?(?P<who>\D*)$").expect("a fixed expression")
});
static ACTION_WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:to\s+)?(?:adopt|approv|amend|as\s+amended|suspend|adjourn|reconsider|withdraw|continu|defer|refer|receiv|den[yi]|grant|overrul|uphold|affirm|enter|exit|return|recess|add\b|table|postpone|accept|ratif|confirm|substitut|introduc|motion|concur|close|open|waive|extend|call|elect|appoint|direct|authori|conven|go\s+into|override|sustain|separat|divide|remove|vote)").expect("a fixed expression")
});

/// How many lines a block may reach without its end; beyond, it is not one.
const REACH: usize = 45;

fn label(name: &str) -> Label {
    let name = name.to_uppercase();
    match name.as_bytes() {
        [b'M', ..] => Label::Mover,
        [b'S', ..] | [b'2', ..] => Label::Seconder,
        [b'A', b'C', ..] => Label::Action,
        [b'R', b'E', b'S', ..] => Label::Result,
        [b'Y', ..] | [b'A', b'Y' | b'F', ..] | [b'I', ..] => Label::Yeas,
        [b'N', b'O', b'T', ..] | [b'A', b'B', b'S', b'T', ..] => Label::Abstain,
        [b'N', ..] | [b'O', ..] => Label::Nays,
        [b'R', ..] => Label::Recused,
        _ => Label::Absent,
    }
}

/// Whether a line belongs to a vote block by its look.
pub(crate) fn is_vote_line(line: &str) -> bool {
    BARE.is_match(line)
        || LABEL.find(line).is_some_and(|m| m.start() == 0)
        || END.is_match(line)
        || line == "0"
}

fn first_label(line: &str) -> Option<Label> {
    let at_start = LABEL.captures(line).filter(|c| c.get(0).is_some_and(|m| m.start() == 0));
    at_start.or_else(|| BARE.captures(line)).map(|c| label(&c["l"]))
}

/// The blocks among lines, as ranges of them.
pub(crate) fn find(lines: &[&str]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < lines.len() {
        let starts = matches!(
            first_label(lines[i]),
            Some(Label::Mover | Label::Result | Label::Yeas | Label::Seconder)
        );
        if !starts {
            i += 1;
            continue;
        }
        let mut end = i + 1;
        let mut last = i;
        let mut seen: Vec<Label> = first_label(lines[i]).into_iter().collect();
        while end < lines.len() && end - i < REACH {
            let line = lines[end];
            if END.is_match(line) {
                last = end;
                break;
            }
            // A label that comes again belongs to the next vote, unless extraction has doubled it.
            let label = first_label(line);
            let again = label.is_some_and(|l| seen.contains(&l) && seen.last() != Some(&l));
            if again || super::items::starts_item(line) {
                break;
            }
            seen.extend(label);
            if is_vote_line(line) {
                last = end;
            }
            end += 1;
        }
        // The value of the last label may stand on the line below it.
        if !END.is_match(lines[last])
            && last + 1 < lines.len()
            && BARE_OR_EMPTY.is_match(lines[last])
            && looks_like_value(lines[last + 1])
        {
            last += 1;
        }
        found.push(mover_above(lines, i, last).unwrap_or(i)..last + 1);
        i = last + 1;
    }
    found
}

/// The line above a block that begins with `MOVED BY:` and nothing after it, where extraction has put the mover there: the
/// label's own place is taken by the next label, and a member of that name votes below.
fn mover_above(lines: &[&str], start: usize, last: usize) -> Option<usize> {
    let above = start.checked_sub(1)?;
    let name = lines[above];
    let is_label = |i: usize| i <= last && BARE_OR_EMPTY.is_match(lines[i]);
    if !is_label(start) || first_label(lines[start]) != Some(Label::Mover) || !is_name(name) {
        return None;
    }
    let votes_below = lines[start + 1..=last]
        .iter()
        .any(|line| matches!(value(line), Value::List(names, Some(_)) if names.iter().any(|n| n == name)));
    // `MOVED BY: | SECONDED BY: | Green`, or with both names above their labels.
    let second = |i: usize| is_label(i) && first_label(lines[i]) == Some(Label::Seconder);
    let beside = second(start + 1) && start + 2 <= last && is_name(lines[start + 2]);
    let shifted = second(start + 2) && is_name(lines[start + 1]) && is_label(start + 3);
    (votes_below && (beside || shifted)).then_some(above)
}

/// Whether a line holds a person's name and nothing else.
fn is_name(line: &str) -> bool {
    line.len() < 40
        && line.split_whitespace().count() <= 4
        && line.split_whitespace().all(|w| w.starts_with(char::is_uppercase))
        && line.chars().all(|c| c.is_alphabetic() || " .'’-".contains(c))
        && !ACTION_WORD.is_match(line)
        && !outcomes::is_status(line)
}

static BARE_OR_EMPTY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"(?i)^(?:{NAMES})\s*:?$")).expect("a fixed expression"));

fn looks_like_value(line: &str) -> bool {
    matches!(value(line), Value::Zero | Value::List(_, Some(_)))
}

fn value(text: &str) -> Value {
    let text = text.trim();
    let bare = text.trim_end_matches(['.', ';', ',']);
    if matches!(bare.to_lowercase().as_str(), "0" | "none" | "o" | "ø" | "n/a") {
        return Value::Zero;
    }
    if let Some(found) = COUNT_LAST.captures(bare)
        && found["who"].chars().any(char::is_alphabetic)
    {
        return counted(&found["who"], &found["n"]);
    }
    if let Some(found) = COUNT_FIRST.captures(bare) {
        return counted(&found["who"], &found["n"]);
    }
    if ACTION_WORD.is_match(bare) { Value::Action(bare.to_owned()) } else { Value::Words(bare.to_owned()) }
}

/// A list with its number; where it names more than it counts, the offices behind the names are no people of their own.
fn counted(who: &str, number: &str) -> Value {
    let (mut names, count) = (people(who), number.parse::<u32>().ok());
    if count.is_some_and(|n| names.len() > n as usize) {
        names.retain(|name| !OFFICE.is_match(name));
    }
    Value::List(names, count)
}

static OFFICE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:chair(?:man|woman|person)?|president|mayor|pro\s+tem(?:pore)?|presiding|director|secretary)$")
        .expect("a fixed expression")
});
static SUFFIX: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i),\s*(jr|sr|ii|iii|iv)\b\.?").expect("a fixed expression"));
static SEPARATOR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r",\s*(?:and\s+)?|;\s*|\s+and\s+").expect("a fixed expression"));

/// The names of a list.
pub(crate) fn people(list: &str) -> Vec<String> {
    let list = super::tokens::normalise(list);
    let list = SUFFIX.replace_all(&list, " $1");
    SEPARATOR
        .split(list.trim())
        .map(|name| name.trim().trim_matches(['.', ':', '-', '–']).trim().to_owned())
        .filter(|name| name.chars().any(char::is_alphabetic) && name.len() < 60)
        .collect()
}

fn tokens(lines: &[&str]) -> (Vec<Token>, Option<bool>) {
    let mut out: Vec<Token> = Vec::new();
    let mut passed = None;
    let mut pending: Option<String> = None;
    for line in lines {
        if let Some(at) = end_phrase(line) {
            passed = outcomes::motion_result(&line[at..]).or(passed);
        }
        let line = end_phrase(line).map_or(*line, |at| &line[..at]);
        if line.trim().is_empty() {
            continue;
        }
        if let Some(bare) = BARE.captures(line) {
            out.push(Token::Label(label(&bare["l"])));
            continue;
        }
        let marks: Vec<_> = LABEL
            .captures_iter(line)
            .filter_map(|c| Some((c.get(0)?.range(), label(c.name("l")?.as_str()))))
            .collect();
        let head = marks.first().map_or(line.len(), |(range, _)| range.start);
        if !line[..head].trim().is_empty() {
            let text = match pending.take() {
                Some(before) => format!("{before} {}", line[..head].trim()),
                None => line[..head].trim().to_owned(),
            };
            // A list of names goes on below: its line ends with a comma or with the dash before the count.
            let goes_on = text.ends_with(',') || text.ends_with(['-', '–']);
            if goes_on && marks.is_empty() {
                pending = Some(text);
            } else if let (Some(Token::Value(Value::Action(action))), Value::Words(more)) =
                (out.last_mut(), value(&text))
            {
                if more.starts_with(char::is_lowercase) {
                    action.push(' ');
                    action.push_str(&more);
                } else {
                    out.push(Token::Value(Value::Words(more)));
                }
            } else {
                out.push(Token::Value(value(&text)));
            }
        }
        for (i, (range, kind)) in marks.iter().enumerate() {
            let stop = marks.get(i + 1).map_or(line.len(), |(next, _)| next.start);
            let text = line[range.end..stop].trim();
            // A label said twice is one label.
            if out.last() != Some(&Token::Label(*kind)) {
                out.push(Token::Label(*kind));
            }
            if text.is_empty() {
                continue;
            }
            if text.ends_with(',') || text.ends_with(['-', '–']) {
                pending = Some(text.to_owned());
            } else if *kind == Label::Action {
                out.push(Token::Value(Value::Action(text.trim_end_matches('.').to_owned())));
            } else {
                out.push(Token::Value(value(text)));
            }
        }
    }
    if let Some(text) = pending {
        out.push(Token::Value(value(text.trim_end_matches(['-', '–', ',', ' ']))));
    }
    (out, passed)
}

fn end_phrase(line: &str) -> Option<usize> {
    static PHRASE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)(?:\band\s+)?\b(?:the\s+)?motion\s+(?:was\s+)?(?:not\s+)?(?:carried|carries|passed|passes|approved|adopted|failed|fails|lost|defeated|died)").expect("a fixed expression")
    });
    PHRASE.find(line).map(|m| m.start())
}

/// Reads a block.
pub(crate) fn parse(lines: &[&str]) -> Block {
    let (tokens, passed) = tokens(lines);
    let mut block = Block { passed, ..Block::default() };
    let mut votes = Votes::default();
    let mut voted = false;
    for (label, value) in super::align::assign(&tokens) {
        match (label, value) {
            (Label::Mover, v) => block.mover = person(v),
            (Label::Seconder, v) => block.seconder = person(v),
            (Label::Action, Value::Action(text) | Value::Words(text)) => {
                block.action = Some(super::tokens::normalise(text))
            }
            (Label::Result, Value::Action(text) | Value::Words(text)) => block.result = Some(text.clone()),
            (Label::Result, Value::List(words, _)) => block.result = words.first().cloned(),
            (Label::Yeas | Label::Nays | Label::Abstain | Label::Absent | Label::Recused, v) => {
                let (list, count) = match v {
                    Value::Zero => (Vec::new(), Some(0)),
                    Value::List(names, count) => (names.clone(), *count),
                    // Names without a number: the record gives none, so neither do we.
                    Value::Words(text) | Value::Action(text) => (people(text), None),
                };
                voted = true;
                let (names, counted) = match label {
                    Label::Yeas => (&mut votes.yeas, &mut votes.counts.yeas),
                    Label::Nays => (&mut votes.nays, &mut votes.counts.nays),
                    Label::Abstain => (&mut votes.abstain, &mut votes.counts.abstain),
                    Label::Absent => (&mut votes.absent, &mut votes.counts.absent),
                    _ => (&mut votes.recused, &mut votes.counts.recused),
                };
                *names = list;
                *counted = count;
            }
            _ => {}
        }
    }
    if voted {
        block.votes = Some(votes);
    }
    if block.passed.is_none()
        && let Some(result) = &block.result
    {
        block.passed = outcomes::status(&result.to_uppercase()).map(|s| s.outcome != super::Outcome::Failed);
    }
    block
}

fn person(value: &Value) -> Option<String> {
    match value {
        Value::Words(text) | Value::Action(text) => people(text).into_iter().next(),
        Value::List(names, None) => names.first().cloned(),
        _ => None,
    }
}

/// Where the labelled part of a statement begins.
pub(crate) fn first_label_at(text: &str) -> Option<usize> {
    LABEL.find(text).map(|m| m.start())
}
