//! Decisions of a record kept as items with statuses and vote blocks.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::items::Item;
use super::lines::Page;
use super::outcomes::{self, Status};
use super::votes::{self, Block};
use super::{ClaimKind, DecisionDetail, Outcome, ProposedClaim, Votes, compose, numbers, prose};

/// A claim with its place in the record.
pub(crate) struct Placed {
    /// Lines that it rests on; what other recognisers leave alone.
    pub lines: Vec<Range<usize>>,
    pub claim: ProposedClaim,
}

impl Placed {
    /// The number of the matter, as numbers are compared.
    fn number(&self) -> Option<String> {
        self.claim.decision.as_ref()?.file_number.as_deref().map(numbers::key)
    }
}

/// A step on the way to a matter, not the matter.
static STEP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)suspend|reconsider|^(?:to\s+)?amend(?:ment)?s?\b|add\s+(?:the\s+)?item|executive\s+session|receive\s+the|waive|substitute\s+amendment|^call\s+the\s+question|^(?:add|receive)$").expect("a fixed expression")
});
static AMENDMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:substitute\s+)?amendments?\s+(?:\S+\s+)?to\b|^substitute\s+amendment")
        .expect("a fixed expression")
});
static AS_AMENDED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\bas\s+(?:amended|substituted)\b").expect("a fixed expression"));
static ANNOUNCEMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)consent\s+agenda\s+was\s+(?:adopted|approved)").expect("a fixed expression")
});
static CAPTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:motion\b|suspend|amend|\S+\s+(?:substitute\s+)?amendment|reconsider)")
        .expect("a fixed expression")
});
/// The number of the matter beside the one under which it was enacted: `33978 - 29286 M.C.S.`
static ENACTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?P<own>\d{4,6})\s*[-–]\s*\d{4,6}\s+(?:[A-Z]\.){2,4}$").expect("a fixed expression")
});
static RECOMMENDED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)recommend").expect("a fixed expression"));

/// Whether a line names the motion whose vote stands below it.
pub(super) fn is_caption(line: &str) -> bool {
    CAPTION.is_match(line)
}

/// Reads the decisions of the items.
pub(crate) fn read(page: &Page<'_>, items: &[Item]) -> Vec<Placed> {
    let texts: Vec<&str> = page.lines.iter().map(|l| l.text).collect();
    let mut out = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let matter = Matter::of(page, item);
        if ANNOUNCEMENT.is_match(&matter.heading) {
            continue;
        }
        let body = item.heading.end..item.rest.end;
        let from = if item.heading.is_empty() { item.rest.start } else { body.start };
        let blocks = blocks(&texts, from..item.rest.end);
        let statuses = statuses(&texts, item.brief.end.max(from)..item.rest.end, &blocks);
        let last_final = blocks.iter().rposition(|b| !b.is_step());
        for (k, block) in blocks.iter().enumerate() {
            let earlier_of_same = last_final.is_some_and(|last| k < last && !block.is_step());
            let decided_here = Some(k) == last_final || earlier_of_same;
            let amended =
                matter.amendment && block.block.action.as_deref().is_some_and(|a| AS_AMENDED.is_match(a));
            let parent = if amended { parent_of(page, &items[..i], &matter) } else { None };
            let step = (!decided_here || (matter.amendment && !amended)).then(|| block.motion(&matter));
            let status = statuses.iter().find(|s| decided_here && s.status.outcome == block.outcome());
            out.push(claim(page, parent.as_ref().unwrap_or(&matter), Some(block), status, step));
        }
        for status in &statuses {
            let told_by_vote = last_final.is_some_and(|k| blocks[k].outcome() == status.status.outcome);
            if !told_by_vote && !matter.heading.is_empty() {
                let step = matter.amendment.then(|| "Amendment".to_owned());
                out.push(claim(page, &matter, None, Some(status), step));
            }
        }
    }
    out.extend(enacted_by_consent(page, items, &out));
    told_once(&mut out);
    out
}

/// Items of the consent agenda that the record gives the number of their enactment and no word of their own: the adoption
/// of the consent agenda is what adopted them.
fn enacted_by_consent(page: &Page<'_>, items: &[Item], told: &[Placed]) -> Vec<Placed> {
    let heading = |item: &Item| {
        compose::heading(
            &page.lines[item.heading.clone()].iter().map(|l| l.text).collect::<Vec<_>>().join("\n"),
        )
    };
    let Some(last) = items.iter().position(|item| ANNOUNCEMENT.is_match(&heading(item))) else {
        return Vec::new();
    };
    let adopted = Stated {
        status: Status { outcome: Outcome::Adopted, at: 0 },
        lines: items[last].heading.clone(),
        words: heading(&items[last]),
    };
    let mut out = Vec::new();
    for item in &items[..last] {
        let matter = Matter::of(page, item);
        let Some(key) = matter.number.as_deref().map(numbers::key).filter(|_| !matter.amendment) else {
            continue;
        };
        let numbered = item
            .rest
            .clone()
            .find(|&i| ENACTED.captures(page.lines[i].text).is_some_and(|found| found["own"] == *key));
        let known = told.iter().any(|p| p.number().is_some_and(|n| n == key));
        if let Some(line) = numbered.filter(|_| !known) {
            let mut claim = claim(page, &matter, None, Some(&adopted), None);
            claim.lines.insert(2.min(claim.lines.len() - 1), line..line + 1);
            claim.claim.evidence = claim.lines.iter().flat_map(|r| page.spans_of_lines(r.clone())).collect();
            // In the order of the record it stands where the item stands, not where the agenda was adopted.
            claim.lines.truncate(claim.lines.len() - 1);
            claim.claim.confidence = 0.9;
            out.push(claim);
        }
    }
    out
}

/// Where the record states an outcome at the item and takes the vote on it further down, that is one decision.
fn told_once(placed: &mut Vec<Placed>) {
    let detail = |p: &Placed| p.claim.decision.clone();
    let keep: Vec<bool> = (0..placed.len())
        .map(|i| {
            let Some(here) = detail(&placed[i]).filter(|d| d.votes.is_none() && d.motion.is_none()) else {
                return true;
            };
            let number = placed[i].number();
            number.is_none()
                || !placed[i + 1..].iter().any(|later| {
                    later.number() == number
                        && detail(later).is_some_and(|d| {
                            d.votes.is_some() && d.motion.is_none() && d.outcome == here.outcome
                        })
                })
        })
        .collect();
    let mut keep = keep.into_iter();
    placed.retain(|_| keep.next().unwrap_or(true));
}

/// What an item is about.
struct Matter {
    heading: String,
    title: String,
    number: Option<String>,
    amendment: bool,
    heading_lines: Range<usize>,
    brief_lines: Range<usize>,
}

impl Matter {
    fn of(page: &Page<'_>, item: &Item) -> Self {
        let join = |r: Range<usize>| page.lines[r].iter().map(|l| l.text).collect::<Vec<_>>().join("\n");
        let heading_raw = join(item.heading.clone());
        let heading = compose::heading(&heading_raw);
        let title = compose::title(&join(item.brief.clone()));
        // Only as much of a long brief as the title quotes.
        let mut end = item.brief.start;
        let mut quoted = 0;
        while end < item.brief.end && quoted < title.len() + 40 {
            quoted += super::tokens::normalise(page.lines[end].text).len() + 1;
            end += 1;
        }
        Self {
            number: numbers::file_number(&heading_raw)
                .map(|n| super::tokens::normalise(&n))
                .or_else(|| item.number.as_ref().and(None)),
            amendment: AMENDMENT.is_match(&heading),
            heading,
            title,
            heading_lines: item.heading.clone(),
            brief_lines: item.brief.start..end,
        }
    }
}

struct Voted {
    block: Block,
    /// What the sentence before the vote says that the motion was to do.
    told_action: Option<String>,
    lines: Range<usize>,
    caption: Option<usize>,
}

impl Voted {
    fn is_step(&self) -> bool {
        self.block.action.as_deref().is_some_and(|a| STEP.is_match(a) && !AS_AMENDED.is_match(a))
    }

    fn outcome(&self) -> Outcome {
        outcomes::of_motion(
            self.block.action.as_deref().or(self.told_action.as_deref()),
            self.block.passed.unwrap_or(true),
        )
    }

    fn motion(&self, matter: &Matter) -> String {
        match &self.block.action {
            Some(action) => action.clone(),
            None if matter.amendment => "Amendment".to_owned(),
            None => "Motion".to_owned(),
        }
    }
}

fn blocks(texts: &[&str], range: Range<usize>) -> Vec<Voted> {
    let mut out: Vec<Voted> = Vec::new();
    for found in votes::find(&texts[range.clone()]) {
        let lines = range.start + found.start..range.start + found.end;
        let mut block = votes::parse(&texts[lines.clone()]);
        if block.votes.is_none() && block.mover.is_none() || block.votes.is_none() && block.passed.is_none() {
            continue;
        }
        let before = range.start.max(lines.start.saturating_sub(1));
        let mut caption = (before < lines.start
            && CAPTION.is_match(texts[before])
            && !super::items::starts_item(texts[before]))
        .then_some(before);
        let mut told_action = None;
        if block.mover.is_none() {
            // A committee's vote, quoted where its recommendation is.
            if before < lines.start && RECOMMENDED.is_match(texts[before]) {
                continue;
            }
            if let Some((start, told)) = prose::motion_before(texts, range.start..lines.start) {
                caption = Some(start);
                block.mover = told.mover;
                block.seconder = told.seconder;
                told_action = told.action;
                block.passed = block.passed.or(told.passed);
            }
        }
        block.passed = block.passed.or_else(|| block.votes.as_ref().and_then(Votes::carried));
        if block.passed.is_none() {
            continue;
        }
        out.push(Voted { block, told_action, lines, caption });
    }
    let some_have_movers = out.iter().any(|b| b.block.mover.is_some());
    out.retain(|b| b.block.mover.is_some() || !some_have_movers);
    out
}

struct Stated {
    status: Status,
    lines: Range<usize>,
    words: String,
}

fn statuses(texts: &[&str], range: Range<usize>, blocks: &[Voted]) -> Vec<Stated> {
    let mut out: Vec<Stated> = Vec::new();
    let mut i = range.start;
    while i < range.end {
        if blocks.iter().any(|b| b.lines.contains(&i)) {
            i += 1;
            continue;
        }
        let Some(status) = outcomes::status(texts[i]) else {
            i += 1;
            continue;
        };
        let mut end = i + 1;
        let mut words = texts[i][status.at..].to_owned();
        // A status in capitals that runs over the end of the line goes on in capitals.
        while end < range.end
            && end - i < 3
            && !words.trim_end().ends_with(['.', ')', ']'])
            && goes_on(texts[end])
            && !blocks.iter().any(|b| b.lines.contains(&end))
        {
            words.push('\n');
            words.push_str(texts[end]);
            end += 1;
        }
        let words = super::tokens::normalise(&words);
        if out.iter().all(|s| s.status.outcome != status.outcome) {
            out.push(Stated { status, lines: i..end, words });
        }
        i = end;
    }
    out
}

fn goes_on(line: &str) -> bool {
    super::tokens::capitals(line) > 0.9
        && !super::items::starts_item(line)
        && !outcomes::is_status(line)
        && !line.contains(':')
        && line.chars().any(|c| c.is_ascii_lowercase() || c.is_ascii_uppercase())
        && numbers::file_number(line).is_none()
}

fn parent_of(page: &Page<'_>, earlier: &[Item], amendment: &Matter) -> Option<Matter> {
    let key = numbers::key(amendment.number.as_deref()?);
    earlier
        .iter()
        .rev()
        .take(12)
        .map(|item| Matter::of(page, item))
        .find(|m| !m.amendment && m.number.as_deref().is_some_and(|n| numbers::key(n) == key))
}

fn claim(
    page: &Page<'_>,
    matter: &Matter,
    vote: Option<&Voted>,
    status: Option<&Stated>,
    step: Option<String>,
) -> Placed {
    let mut lines = vec![matter.heading_lines.clone(), matter.brief_lines.clone()];
    let mut pieces = vec![matter.heading.clone()];
    // A step is told by its heading; the matter's own words stay with the matter.
    if step.is_none() || matter.amendment {
        pieces.push(matter.title.clone());
    } else {
        lines.truncate(1);
    }
    if let Some(status) = status {
        pieces.push(status.words.clone());
        lines.push(status.lines.clone());
    }
    let mut outcome = status.map(|s| s.status.outcome);
    let (mut mover, mut seconder, mut recorded) = (None, None, None);
    if let Some(vote) = vote {
        let start = vote.caption.unwrap_or(vote.lines.start);
        let inside = |r: &Range<usize>| r.contains(&start);
        if let Some(caption) = vote.caption.filter(|_| !lines.iter().any(inside)) {
            pieces.push(super::tokens::normalise(
                &page.lines[caption..vote.lines.start].iter().map(|l| l.text).collect::<Vec<_>>().join("\n"),
            ));
        }
        lines.push(start..vote.lines.end);
        outcome = Some(vote.outcome());
        pieces.push(vote_words(page, vote));
        (mover, seconder, recorded) =
            (vote.block.mover.clone(), vote.block.seconder.clone(), vote.block.votes.clone());
    }
    let refs: Vec<&str> = pieces.iter().map(String::as_str).collect();
    lines.retain(|r| !r.is_empty());
    let evidence = lines.iter().flat_map(|r| page.spans_of_lines(r.clone())).collect();
    let title = if matter.title.is_empty() || !pieces.contains(&matter.title) {
        &matter.heading
    } else {
        &matter.title
    };
    Placed {
        claim: ProposedClaim {
            kind: ClaimKind::Decision,
            text: compose::statement(&refs),
            decision: Some(DecisionDetail {
                outcome: outcome.unwrap_or(Outcome::Adopted),
                file_number: matter.number.clone(),
                title: (!title.is_empty()).then(|| title.clone()),
                motion: step,
                mover,
                seconder,
                votes: recorded,
            }),
            topics: Vec::new(),
            evidence,
            confidence: if vote.is_some() { 0.97 } else { 0.95 },
        },
        lines,
    }
}

/// The vote in the order of its labels, and the words that end it.
fn vote_words(page: &Page<'_>, vote: &Voted) -> String {
    let last = page.lines[vote.lines.clone()].last().map(|l| l.text).unwrap_or_default();
    let ending = outcomes::motion_result(last).map(|_| super::tokens::normalise(last));
    let ending = ending.map(|words| {
        match words.to_lowercase().find("and the motion").or_else(|| words.to_lowercase().find("motion ")) {
            Some(at) => words[at..].to_owned(),
            None => words,
        }
    });
    let result = vote.block.result.as_ref().map(|r| format!("RESULT: {}", super::tokens::normalise(r)));
    compose::vote(&vote.block, ending.or(result).as_deref())
}
