//! Decisions told in sentences: `Moved by Boesen to adopt …; seconded by Voss. Motion carried 6-0.`

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::decisions::Placed;
use super::items::Item;
use super::lines::Page;
use super::tokens::{ends_in_abbreviation, normalise};
use super::{
    ClaimKind, DecisionDetail, Outcome, ProposedClaim, VoteCounts, Votes, compose, numbers, outcomes,
};

const NAME: &str = r"(?:(?:(?i:council\s?(?:member|man|woman|or|person)|commissioner|mayor(?:[ \t]+pro[ \t]+tem(?:pore)?)?|vice[ \t]+(?:mayor|president|chair)|deputy[ \t]+mayor|alder(?:man|woman|person)?|president|chair(?:man|woman|person)?|supervisor|trustee|member|director|cm\.?|mr\.|ms\.|mrs\.|dr\.|selectman|delegate|senator)[ \t]+)?)(?P<NAME>[A-Z][\pL'’-]+(?:[ \t]+(?:[A-Z]\.|(?:[Dd]e|[Vv]an|[Ll]a|[Dd]el)[ \t]+[A-Z][\pL'’-]+|[A-Z][\pL'’-]+)){0,3})";

fn with_name(pattern: &str) -> Regex {
    Regex::new(&pattern.replace("{NAME}", &NAME.replace("NAME", "who"))).expect("a fixed expression")
}

static MOVER: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [
        with_name(
            r"(?i:\b(?:moved|motion(?:\s+was)?(?:\s+made)?|made|offered|introduced)\s+by)\s*:?\s+{NAME}",
        ),
        with_name(r"{NAME}\s+(?i:moved|made\s+(?:a|the)\s+motion|motioned|offered\s+(?:a|the)\s+motion)\b"),
    ]
});
static SECONDER: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [
        with_name(r"(?i:\bsecond(?:ed)?\s+(?:was\s+)?(?:made\s+)?by)\s*:?\s+{NAME}"),
        with_name(r"{NAME}\s+(?i:seconded)\b"),
    ]
});
static COUNT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:carried|passed|approved|adopted|failed|lost|defeated|vote(?:\s+of)?|voted|prevailed)\b[^.;\d]{0,40}?\(?(?P<y>\d{1,2})\s*(?:-|–|to)\s*(?P<n>\d{1,2})\b").expect("a fixed expression")
});
static PASSIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?ix)^(?:the\s+|this\s+|said\s+|and\s+the\s+)?(?:above\s+|foregoing\s+|land\s+use\s+)?(?P<what>item|ordinance|resolution|minutes|consent\s+(?:agenda|calendar)|agenda|request|application|appeal|bill|matter|proposal|contract|report|petition|proclamation|recommendation|appointment|introduction|call-up|communication)s?\b (?P<mid>[^.;]{0,120}?) \b(?:was|were)\s+(?:unanimously\s+|then\s+)?(?:p-c\s+item\s+)?(?P<verb>adopted|approved|passed|enacted|ratified|confirmed|accepted|denied|disapproved|rejected|defeated|tabled|deferred|postponed|continued|withdrawn|(?:re-)?referred\s+to|filed|received\s+and\s+(?:filed|placed\s+on\s+file)|placed\s+on\s+file|laid\s+over)\b").expect("a fixed expression")
});
static HISTORY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:would|could|should|may|might|must|if|unless|until|previously|last\s+(?:year|month|week)|earlier\s+(?:this|that)|at\s+(?:the|its|their)\s+(?:\w+\s+)?meeting\s+of|recommend\w*|(?:was|were)\s+(?:adopted|approved|passed)\s+(?:in|on|by\s+the\s+(?:state|legislature|commission|committee|board|voters))\b)").expect("a fixed expression")
});

/// Who moved, who seconded, what came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub mover: Option<String>,
    pub seconder: Option<String>,
    pub passed: Option<bool>,
    /// What the motion was to do.
    pub action: Option<String>,
    pub counts: Option<(u32, u32)>,
    pub outcome: Option<Outcome>,
}

/// What a passage of prose says about a motion.
pub(crate) fn told(text: &str) -> Told {
    let first =
        |forms: &[Regex]| forms.iter().find_map(|f| Some(person(f.captures(text)?.name("who")?.as_str())));
    let passed = sentences(text)
        .into_iter()
        .filter(|&(a, b)| !HISTORY.is_match(&text[a..b]))
        .filter_map(|(a, b)| outcomes::motion_result(&text[a..b]))
        .next_back();
    let counts = COUNT.captures(text).and_then(|c| Some((c["y"].parse().ok()?, c["n"].parse().ok()?)));
    let mover = first(&*MOVER);
    let action = motion_verb(text);
    let outcome = passed.map(|p| outcomes::of_motion(action.as_deref(), p)).or_else(|| passive(text));
    Told { mover, seconder: first(&*SECONDER), passed, action, counts, outcome }
}

static TITLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^.*\b(?:council\s?(?:member|man|woman|or|person)|commissioner|mayor|alder(?:man|woman|person)?|supervisor|trustee|chair(?:man|woman|person)?|president)\s+").expect("a fixed expression")
});

/// A name without the office, or whatever stood before the office.
fn person(found: &str) -> String {
    TITLE.replace(found, "").trim_end_matches('.').to_owned()
}

fn passive(text: &str) -> Option<Outcome> {
    cut_at_formulas(text, sentences(text)).into_iter().find_map(|(a, b)| {
        let sentence = text[a..b].trim();
        if HISTORY.is_match(sentence) {
            return None;
        }
        let found = PASSIVE.captures(sentence)?;
        outcomes::status(&normalise(&found["verb"]).to_uppercase()).map(|s| s.outcome)
    })
}

/// What the motion was to do: `to continue the item` → `continue the item`.
fn motion_verb(text: &str) -> Option<String> {
    static VERB: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?ix)\b(?:mov(?:ed|es)|motion)\b[^.]{0,160}? \bto\s+(?P<v>(?:adopt|approve|pass|accept|continue|defer|postpone|table|withdraw|refer|receive|file|deny|reject|amend|adjourn|confirm|enact|authorize|recess|suspend|enter|close|open)\b[^.;]*)
            | \b(?:moved|motion)\b[^.]{0,160}? \bthat\b[^.]{0,160}? \bbe\s+(?:p-c\s+item\s+)?(?P<b>(?:adopted|approved|passed|accepted|continued|deferred|postponed|tabled|withdrawn|referred|received|placed\s+on\s+file|filed|laid\s+over|denied|disapproved|rejected|amended|confirmed|enacted)\b[^.;]*)").expect("a fixed expression")
    });
    let found = VERB.captures(text)?;
    Some(normalise(found.name("v").or_else(|| found.name("b"))?.as_str()))
}

/// The motion that the lines before a vote tell: where it begins, and what it says.
pub(crate) fn motion_before(texts: &[&str], range: Range<usize>) -> Option<(usize, Told)> {
    const REACH: usize = 8;
    let from = range.start.max(range.end.saturating_sub(REACH));
    let before = |wanted: fn(&Told) -> bool| {
        (from..range.end).rev().find_map(|start| {
            let told = told(&texts[start..range.end].join("\n"));
            wanted(&told).then_some((start, told))
        })
    };
    // Some records say only what was moved, and not by whom.
    before(|told| told.mover.is_some()).or_else(|| before(|told| told.action.is_some()))
}

/// Sentences as byte ranges.
pub(crate) fn sentences(text: &str) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut start = 0;
    let bytes = text.as_bytes();
    for i in 0..bytes.len() {
        let ends = matches!(bytes[i], b'.' | b'!' | b'?')
            && bytes.get(i + 1).is_none_or(|c| c.is_ascii_whitespace());
        if ends && (bytes[i] != b'.' || !ends_in_abbreviation(&text[..=i])) {
            out.push((start, i + 1));
            start = i + 1;
        }
    }
    if !text[start..].trim().is_empty() {
        out.push((start, text.len()));
    }
    out
}

/// Decisions told in prose, on the lines that no other recogniser has used.
pub(crate) fn read(page: &Page<'_>, items: &[Item], used: &[Range<usize>]) -> Vec<Placed> {
    let mut out = Vec::new();
    let mut taken = vec![false; page.lines.len()];
    for range in used {
        taken[range.clone()].fill(true);
    }
    for item in items {
        let mut start = item.lines().start;
        while start < item.lines().end {
            let end = (start..item.lines().end).find(|&i| taken[i]).unwrap_or(item.lines().end);
            read_run(page, item, start..end, !used.is_empty(), &mut out);
            start = end + 1;
        }
    }
    out
}

/// The sentences by which some records tell every action, on a line of their own below a title without a full stop.
static FORMULA: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^(?:This\s+(?:[A-Z][\w-]*\s+){1,3}was\s+[A-Z]|A\s+motion\s+was\s+made\s+that\s+this\s)")
        .expect("a fixed expression")
});

/// Whether a line begins such a sentence.
pub(crate) fn starts_formula(line: &str) -> bool {
    FORMULA.is_match(line)
}

fn cut_at_formulas(text: &str, sentences: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let cuts: Vec<usize> = FORMULA.find_iter(text).map(|m| m.start()).collect();
    let mut out = Vec::with_capacity(sentences.len() + cuts.len());
    for (mut start, end) in sentences {
        let (first, last) = (start, end);
        for &cut in cuts.iter().filter(|&&cut| first < cut && cut < last) {
            if !text[start..cut].trim().is_empty() {
                out.push((start, cut));
            }
            start = cut;
        }
        out.push((start, end));
    }
    out
}

/// Reads an unbroken run of an item's lines. Where votes are recorded in blocks, their announcement is no second decision.
fn read_run(page: &Page<'_>, item: &Item, lines: Range<usize>, blocks: bool, out: &mut Vec<Placed>) {
    // The text of the run with the line that each byte stands on.
    let mut text = String::new();
    let mut line_of = Vec::new();
    for i in lines {
        text.push_str(page.lines[i].text);
        text.push('\n');
        line_of.resize(text.len(), i);
    }
    let parts = cut_at_formulas(&text, sentences(&text));
    let mut from = 0;
    for (k, &(a, b)) in parts.iter().enumerate() {
        let sentence = text[a..b].trim();
        if HISTORY.is_match(sentence) || (blocks && ANNOUNCEMENT.is_match(sentence)) {
            continue;
        }
        let direct = outcomes::motion_result(sentence);
        let aside = if direct.is_none() { passive(sentence) } else { None };
        if direct.is_none() && aside.is_none() {
            continue;
        }
        // The motion stands in this sentence or in those before it, back to the last result.
        let motion = (from..=k).rev().take(40).find(|&m| told(&text[parts[m].0..b]).mover.is_some());
        let bare = motion.is_none() && !COUNT.is_match(sentence);
        if bare && !FORMULA.is_match(sentence) && (blocks || (direct.is_some() && item.heading.is_empty())) {
            // `The motion carried` without any motion: there is nothing to say what was decided. And a record that keeps
            // its votes in blocks does not decide in an aside.
            continue;
        }
        let begin = parts[motion.unwrap_or(k)].0;
        let begin = begin + (text[begin..].len() - text[begin..].trim_start().len());
        let told = told(&text[begin..b]);
        // Where the motion begins on a line of the heading, the words before it are the heading.
        let begin = if item.heading.contains(&line_of[begin]) && from == 0 { 0 } else { begin };
        out.push(claim(page, item, &text[begin..b], line_of[begin]..line_of[b - 1] + 1, &told, aside));
        from = k + 1;
    }
}

static ANNOUNCEMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)consent\s+agenda\s+was\s+(?:adopted|approved)").expect("a fixed expression")
});

fn claim(
    page: &Page<'_>,
    item: &Item,
    passage: &str,
    lines: Range<usize>,
    told: &Told,
    aside: Option<Outcome>,
) -> Placed {
    let raw = page.lines[item.heading.clone()].iter().map(|l| l.text).collect::<Vec<_>>().join("\n");
    let inside = item.heading.start >= lines.start && !item.heading.is_empty();
    let heading = if inside { String::new() } else { compose::heading(&raw) };
    let words = compose::shorten(&normalise(passage), 900);
    // A shortened passage still says how it ended.
    let result = sentences(passage).last().map(|&(a, b)| normalise(&passage[a..b])).unwrap_or_default();
    let ending = if words.ends_with(&result) { "" } else { result.as_str() };
    let mut ranges = vec![lines];
    if !item.heading.is_empty() && !inside {
        ranges.insert(0, item.heading.clone());
    }
    let number = numbers::file_number(&raw).or_else(|| numbers::file_number(passage));
    let verb = motion_verb(passage);
    let step = verb.filter(|v| v.starts_with("amend") || v.starts_with("suspend"));
    let title = compose::heading(&raw);
    Placed {
        claim: ProposedClaim {
            kind: ClaimKind::Decision,
            text: compose::statement(&[&heading, &words, ending]),
            decision: Some(DecisionDetail {
                outcome: told.outcome.or(aside).unwrap_or(Outcome::Adopted),
                file_number: number.map(|n| normalise(&n)),
                title: (!title.is_empty()).then_some(title),
                motion: step,
                mover: told.mover.clone(),
                seconder: told.seconder.clone(),
                votes: told.counts.map(|(yeas, nays)| Votes {
                    counts: VoteCounts { yeas: Some(yeas), nays: Some(nays), ..VoteCounts::default() },
                    ..Votes::default()
                }),
            }),
            topics: Vec::new(),
            evidence: ranges.iter().flat_map(|r| page.spans_of_lines(r.clone())).collect(),
            confidence: if told.mover.is_some() { 0.85 } else { 0.7 },
        },
        lines: ranges,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn motions_are_read_from_sentences() {
        let t = told("Moved by Boesen to address cold weather conditions. Motion Carried 6-0.");
        assert_eq!(
            (t.mover.as_deref(), t.counts, t.outcome),
            (Some("Boesen"), Some((6, 0)), Some(Outcome::Adopted))
        );
        let t = told(
            "Councilmember Jane Smith moved to continue the item, seconded by Vice Mayor Lee. The motion passed unanimously.",
        );
        assert_eq!(
            (t.mover.as_deref(), t.seconder.as_deref(), t.outcome),
            (Some("Jane Smith"), Some("Lee"), Some(Outcome::Deferred))
        );
        let t = told(
            "A motion was made by Commissioner Fish, seconded by Fritz, that this Resolution be Adopted. The motion failed by the following vote:",
        );
        assert_eq!(
            (t.mover.as_deref(), t.seconder.as_deref(), t.outcome),
            (Some("Fish"), Some("Fritz"), Some(Outcome::Failed))
        );
        assert_eq!(told("The ordinance was adopted in 2010 by the voters.").outcome, None);
        assert_eq!(told("Item 7 was referred to the Planning Commission.").outcome, Some(Outcome::Referred));
    }
}
