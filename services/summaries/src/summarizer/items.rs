//! Where one item of business ends and the next begins.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::lines::Line;
use super::tokens::capitals;
use super::{numbers, outcomes, votes};

/// One item of the record. All ranges count lines of the page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    /// Its number or letter, as printed.
    pub number: Option<String>,
    /// The heading.
    pub heading: Range<usize>,
    /// What it is about, where the record says so below the heading.
    pub brief: Range<usize>,
    /// Everything after that: status, speakers, votes.
    pub rest: Range<usize>,
}

impl Item {
    /// All of its lines.
    pub(crate) fn lines(&self) -> Range<usize> {
        self.heading.start..self.rest.end
    }
}

static NUMBERED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:\d{2}-\d{4}\s+)?(?:(?:(?P<n>\d{1,3}[a-zA-Z]{0,3}|[A-Z]|[IVX]{1,5})[.)]|(?P<s>\d{1,3}\.[a-z]{1,3})\.?)\s+(?P<rest>\S.*)|(?P<m>\d{1,3}[a-z]?)\.(?P<tight>[A-Z][A-Za-z]+\s.*))$",
    )
    .expect("a fixed expression")
});
/// Records that number every action put that number first.
static FILED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:19|20)?\d{2}-\d{3,5}\s+\S").expect("a fixed expression"));
static LONE_NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:\d{1,3}[a-z]{0,3}|[A-Z])\.$").expect("a fixed expression"));
static KEYWORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^[-–.\s]*(?:ORD\.?\s+CAL|CAL(?:ENDAR)?\.?\s+NO|ORDINANCES?\b|RESOLUTIONS?\b|MOTION\b|COMMUNICAT\w*\b|REPORTS?\b|ZONING\s+DOCKET|AMENDMENTS?\s+TO|SUBSTITUTE\s|
        APPROVAL\s+OF|\w+\s+APPEAL\b|APPEAL\b|DEMOLITION\s+REQUEST|EXTENSION\s+REQUEST|PETITION\b|PRESENTATION\b|PROPERTY\s+DISPOSITION|RESTORATION\s+TAX|RTA\b|
        (?:FIRST|SECOND|THIRD|FOURTH|FIFTH|SIXTH|SEVENTH|EIGHTH|NINTH|TENTH)\s+ORDER|SPECIAL\s+ORDERS?|EX\w+TIVE\s+SESSION|LEGISLATIVE\s+GROUPING|CONSENT\s+AGENDA|REGULAR\s+AGENDA|
        ROLL\s+CALL|MEETING\s+ADJOURNED|ADJOURN|POTENTIAL\s+RECON|OLD\s+BUSINESS|NEW\s+BUSINESS|PUBLIC\s+(?:HEARING|COMMENT)|LAND\s+USE|CALL\s+TO\s+ORDER|UNFINISHED\s+BUSINESS|PROCLAMATION|
        IZD\s+APPEAL|BILL\s+NO|COUNCIL\s+BILL|POINTS?\s+OF\s+(?:PERSONAL\s+PRIVILEGE|ORDER)|STREET\s+NAME|AFFORDABLE\s+HOUSING|MORATORIUM|CPC\s|HDLC\s|VCC\s)",
    )
    .expect("a fixed expression")
});
static BRIEF: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:Brief|Summary|Description|Synopsis)\s*:").expect("a fixed expression"));
static NOTES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:Annotation|Action|Disposition|Notes?)\s*:\s*$").expect("a fixed expression")
});

/// Heads of a part of the meeting: what follows them at once is the first item of the part.
static PART: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:\w{1,4}[.)]\s+)?(?:legislative\s+grouping|(?:consent|regular)\s+agenda|special\s+orders|national\s+anthem|old\s+business|new\s+business|e-comment|public\s+e-comment)").expect("a fixed expression")
});

/// The words by which a matter names itself, where the record keeps them on a line of their own below the heading.
static ENTITLED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^an?\s+(?:ordinance|resolution|motion|act|order|bill|proclamation)\s+(?:to|for|of|that|\w+ing)\b")
        .expect("a fixed expression")
});

/// A numbered line as its number and its words.
fn numbered(line: &str) -> Option<(&str, &str)> {
    let found = NUMBERED.captures(line)?;
    let number = found.name("n").or_else(|| found.name("s")).or_else(|| found.name("m"))?.as_str();
    Some((number, found.name("rest").or_else(|| found.name("tight"))?.as_str()))
}

/// A line that holds nothing but the number of an item.
pub(crate) fn is_lone_number(line: &str) -> bool {
    LONE_NUMBER.is_match(line)
}

/// A heading that needs nothing around it to be known as one.
pub(crate) fn starts_item(line: &str) -> bool {
    if votes::is_vote_line(line) || outcomes::is_status(line) {
        return false;
    }
    match numbered(line) {
        Some((_, rest)) => {
            let letters = rest.chars().filter(|c| c.is_alphabetic()).count();
            (capitals(rest) > 0.7 && letters >= 4) || heads_matter(rest)
        }
        None => heads_matter(line),
    }
}

/// Names and dates in mixed case may follow the words in capitals that make a heading.
fn heads_matter(line: &str) -> bool {
    let opening: String = line.chars().take(24).collect();
    KEYWORD.is_match(line) && (capitals(line) > 0.5 || capitals(&opening) > 0.9)
}

fn starts_weakly(line: &str) -> bool {
    !votes::is_vote_line(line)
        && numbered(line).is_some_and(|(number, rest)| {
            rest.starts_with(|c: char| c.is_uppercase() || c == '“' || c == '"')
                && number.starts_with(|c: char| c.is_ascii_digit())
        })
}

/// The items of a record, in its order; what stands before the first is an item without a heading.
pub(crate) fn split(lines: &[Line<'_>]) -> Vec<Item> {
    let texts: Vec<&str> = lines.iter().map(|l| l.text).collect();
    let with_briefs = texts.iter().filter(|t| BRIEF.is_match(t)).count() >= 3;
    let by_file = texts.iter().filter(|t| FILED.is_match(t)).count() >= 3;
    let in_vote = vote_mask(&texts);
    let mut starts: Vec<usize> = Vec::new();
    let mut in_brief = false;
    let mut open_heading: Option<usize> = None;
    for (i, text) in texts.iter().enumerate() {
        if in_vote[i] || NOTES.is_match(text) {
            in_brief = false;
            continue;
        }
        if BRIEF.is_match(text) {
            (in_brief, open_heading) = (true, None);
            continue;
        }
        let starts_here = if in_brief {
            interrupts_brief(&texts, i)
        } else if with_briefs {
            (starts_item(text) || heads_brief(&texts, i)) && !continues_heading(&texts, i, open_heading)
        } else if by_file {
            FILED.is_match(text)
        } else if starts_item(text) || starts_weakly(text) {
            true
        } else {
            // Extraction may put the number of an item below the first line of its heading, or on a line above it.
            let lone = |line: Option<&&str>| {
                line.is_some_and(|t| LONE_NUMBER.is_match(t) && t.starts_with(|c: char| c.is_ascii_digit()))
            };
            let below = lone(texts.get(i + 1));
            let above = i.checked_sub(1).is_some_and(|j| {
                // The number below a first line is that line's own.
                lone(texts.get(j)) && starts.last().is_none_or(|&s| s + 1 != j) && !goes_on(&texts, i)
            });
            (below || above) && text.starts_with(|c: char| c.is_uppercase()) && !outcomes::is_status(text)
        };
        if starts_here {
            starts.push(i);
            open_heading = Some(i);
            in_brief = false;
        }
    }
    assemble(&texts, &starts, &in_vote, with_briefs)
}

/// Whether a heading breaks into a brief that no note has ended.
fn interrupts_brief(texts: &[&str], i: usize) -> bool {
    let text = texts[i];
    if !starts_item(text) {
        return false;
    }
    let by_number =
        numbered(text).is_some_and(|(number, _)| number.starts_with(|c: char| c.is_ascii_digit()));
    let has_file_number = numbers::file_number(text).is_some();
    // A line that goes on from prose is prose, however it is printed.
    let goes_on = i > 0 && !by_number && texts[i - 1].ends_with([',', '-']);
    ((by_number || has_file_number) && brief_follows(texts, i) && !goes_on)
        || (by_number && has_file_number && capitals(text) > 0.8)
}

/// Whether a line in capitals is another line of the heading above it.
fn continues_heading(texts: &[&str], i: usize, open: Option<usize>) -> bool {
    let Some(start) = open else { return false };
    // The head of a part ends whatever heading stood open.
    !PART.is_match(texts[i])
        && numbered(texts[i]).is_none()
        && i - start <= 4
        && !PART.is_match(texts[start])
        && brief_follows(texts, i)
        && numbers::file_number(texts[i]).is_none()
}

/// Whether a line in capitals without number or keyword is a heading, since nothing but capitals stands between it and a brief.
fn heads_brief(texts: &[&str], i: usize) -> bool {
    let shouted =
        |t: &str| capitals(t) > 0.8 && t.len() > 8 && !votes::is_vote_line(t) && !outcomes::is_status(t);
    if !shouted(texts[i]) || !texts[i].contains(' ') || texts[i].contains("://") {
        return false;
    }
    // Below a line in capitals it is that heading's next line, unless that was the head of a part.
    let above = texts[..i].iter().rev().find(|t| !LONE_NUMBER.is_match(t));
    if above.is_some_and(|t| {
        capitals(t) > 0.8 && !votes::is_vote_line(t) && !outcomes::is_status(t) && !PART.is_match(t)
    }) {
        return false;
    }
    for line in texts[i + 1..].iter().take(6) {
        if BRIEF.is_match(line) {
            return true;
        }
        if !LONE_NUMBER.is_match(line) && (!shouted(line) || starts_item(line)) {
            return false;
        }
    }
    false
}

fn vote_mask(texts: &[&str]) -> Vec<bool> {
    let mut mask = vec![false; texts.len()];
    for block in votes::find(texts) {
        mask[block].fill(true);
    }
    mask
}

/// Whether the heading that begins here is followed by its brief before anything else.
fn brief_follows(texts: &[&str], from: usize) -> bool {
    texts[from + 1..]
        .iter()
        .take(10)
        .take_while(|t| !NOTES.is_match(t) && !outcomes::is_status(t))
        .any(|t| BRIEF.is_match(t))
}

fn assemble(texts: &[&str], starts: &[usize], in_vote: &[bool], with_briefs: bool) -> Vec<Item> {
    let mut items = Vec::with_capacity(starts.len() + 1);
    let first = starts.first().copied().unwrap_or(texts.len());
    if first > 0 {
        items.push(Item { number: None, heading: 0..0, brief: 0..0, rest: 0..first });
    }
    for (k, &start) in starts.iter().enumerate() {
        let end = starts.get(k + 1).copied().unwrap_or(texts.len());
        let mut number = numbered(texts[start]).map(|(number, _)| number.to_owned());
        let mut at = start + 1;
        // The heading goes on in capitals (or to its brief); a lone number among its lines is the item's own.
        let mut heading_end = at;
        while at < end
            && !in_vote[at]
            && !BRIEF.is_match(texts[at])
            && !NOTES.is_match(texts[at])
            && !outcomes::is_status(texts[at])
        {
            if LONE_NUMBER.is_match(texts[at]) {
                number = number.or_else(|| Some(texts[at].trim_end_matches('.').to_owned()));
            } else if !texts[at].contains(char::is_alphabetic) && brief_follows(texts, at) {
                // A stray mark of the page inside a heading.
            } else if match with_briefs {
                true => capitals(texts[at]) < 0.7 && !brief_follows_in(texts, at, end),
                false => at - start > 14 || !goes_on(texts, at),
            } {
                break;
            }
            at += 1;
            heading_end = at;
        }
        let has_brief = at < end && BRIEF.is_match(texts[at]);
        // The label may stand on a line of its own or before the first words.
        let brief_start = if has_brief && texts[at].ends_with(':') { at + 1 } else { at };
        let mut brief_end = brief_start;
        if has_brief {
            while brief_end < end
                && !in_vote[brief_end]
                && !NOTES.is_match(texts[brief_end])
                && (!outcomes::is_status(texts[brief_end]) || capitals(texts[brief_end]) <= 0.8)
            {
                brief_end += 1;
            }
        }
        if !has_brief && !with_briefs {
            while brief_end < end && !in_vote[brief_end] && entitles(texts, brief_start, brief_end) {
                brief_end += 1;
            }
        }
        items.push(Item {
            number,
            heading: start..heading_end,
            brief: brief_start..brief_end,
            rest: brief_end..end,
        });
    }
    items
}

/// Whether the sentence in which a matter names itself begins at a line, or goes on there.
fn entitles(texts: &[&str], start: usize, at: usize) -> bool {
    let line = texts[at];
    let told = || super::prose::told(line).mover.is_some() || outcomes::motion_result(line).is_some();
    let begins = ENTITLED.is_match(line) || at > start && !texts[at - 1].ends_with('.');
    begins
        && !NOTES.is_match(line)
        && !outcomes::is_status(line)
        && !super::decisions::is_caption(line)
        && !told()
}

fn brief_follows_in(texts: &[&str], from: usize, end: usize) -> bool {
    texts[from..end].iter().take(4).any(|t| BRIEF.is_match(t))
}

/// Whether a heading in mixed case goes on here: the line above was full or this one begins inside a sentence, and nobody
/// moves anything yet.
fn goes_on(texts: &[&str], at: usize) -> bool {
    const FULL: usize = 55;
    let above = texts[..at].iter().rev().find(|t| !LONE_NUMBER.is_match(t)).copied().unwrap_or_default();
    let line = texts[at];
    let ended = above.ends_with(['.', ':']) && !super::tokens::ends_in_abbreviation(above);
    let inside = above.len() >= FULL || line.starts_with(char::is_lowercase) || capitals(line) > 0.8;
    !ended
        && inside
        && !super::decisions::is_caption(line)
        && !super::prose::starts_formula(line)
        && super::prose::told(line).mover.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String, String)> {
        let lines: Vec<Line<'_>> = text.lines().map(|text| Line { start: 0, end: 0, text }).collect();
        let join = |r: Range<usize>| lines[r].iter().map(|l| l.text).collect::<Vec<_>>().join(" | ");
        split(&lines).into_iter().map(|i| (join(i.heading), join(i.brief), join(i.rest))).collect()
    }

    #[test]
    fn numbered_changes_inside_a_brief_are_not_items() {
        let items = read(
            "18b. AMENDMENT TO ORDINANCE CAL. NO. 34,113 - BY: COUNCILMEMBERS\nMORRELL AND THOMAS\nBrief:\n1) On page 2, insert “Office”.\n2. On page 3, delete it.\nAnnotation:\nADOPTED.\n19.     CAL. NO. 34,117 - BY: COUNCILMEMBER GREEN\nBrief:\nAn Ordinance to amend.\nAnnotation:\nWITHDRAWN.\n20. CAL. NO. 34,118 - BY: KING\nBrief:\nAn Ordinance.\nAnnotation:\nWITHDRAWN.",
        );
        assert_eq!(items.len(), 3);
        assert_eq!(
            items[0].0,
            "18b. AMENDMENT TO ORDINANCE CAL. NO. 34,113 - BY: COUNCILMEMBERS | MORRELL AND THOMAS"
        );
        assert_eq!(items[0].1, "1) On page 2, insert “Office”. | 2. On page 3, delete it.");
        assert_eq!(items[1].2, "Annotation: | WITHDRAWN.");
    }

    #[test]
    fn what_a_matter_calls_itself_below_its_heading_is_its_brief() {
        let items = read(
            "1. CAL. NO. 34,001 - BY: COUNCILMEMBER BANKS\nAn Ordinance to appropriate $250,000 for the repair\nof the streets of Riverside.\nMr. Ito asked for the cost.\nMOVED BY: Banks\nSECONDED BY: Osei\nYEAS: Banks, Osei - 2\nNAYS: 0\nAND THE ORDINANCE WAS PASSED.\n2. MOTION - NO. M-23-2 - BY: COUNCILMEMBER MOREAU\nA motion was made by Moreau.\n3. CAL. NO. 34,002 - BY: COUNCILMEMBER OSEI\nA motion to hear it failed 2-3.",
        );
        assert_eq!(
            items[0].1,
            "An Ordinance to appropriate $250,000 for the repair | of the streets of Riverside."
        );
        assert!(items[0].2.starts_with("Mr. Ito"), "{:?}", items[0]);
        assert_eq!((items[1].1.as_str(), items[2].1.as_str()), ("", ""));
    }

    #[test]
    fn headings_in_mixed_case_count_where_the_record_has_no_briefs() {
        let items = read(
            "1. Roll Call\nQuorum established.\n2. Approval of the minutes from the December 14, 2022 meeting\nMOVED BY: Moreno\nSECONDED BY: Harris\nACTION: Approve\nYEAS: Moreno, Harris - 2\nNAYS: 0\nAND THE MOTION PASSED\n12. Adjourn",
        );
        assert_eq!(items.len(), 3);
        assert!(items[1].0.starts_with("2. Approval of the minutes"));
    }
}
