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
        r"^(?:(?P<file>\d{2}-\d{4})\s+)?(?P<n>\d{1,3}[a-zA-Z]{0,3}|[A-Z]|[IVX]{1,5})[.)]\s+(?P<rest>\S.*)$",
    )
    .expect("a fixed expression")
});
static LONE_NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:\d{1,3}[a-z]{0,3}|[A-Z])\.$").expect("a fixed expression"));
static KEYWORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^[-–\s]*(?:ORD\.?\s+CAL|CAL(?:ENDAR)?\.?\s+NO|ORDINANCES?\b|RESOLUTIONS?\b|MOTION\b|COMMUNICAT\w*\b|REPORTS?\b|ZONING\s+DOCKET|AMENDMENTS?\s+TO|SUBSTITUTE\s|
        APPROVAL\s+OF|\w+\s+APPEAL\b|APPEAL\b|DEMOLITION\s+REQUEST|EXTENSION\s+REQUEST|PETITION\b|PRESENTATION\b|PROPERTY\s+DISPOSITION|RESTORATION\s+TAX|RTA\b|
        (?:FIRST|SECOND|THIRD|FOURTH|FIFTH|SIXTH|SEVENTH|EIGHTH|NINTH|TENTH)\s+ORDER|SPECIAL\s+ORDERS?|EX\w+TIVE\s+SESSION|LEGISLATIVE\s+GROUPING|CONSENT\s+AGENDA|REGULAR\s+AGENDA|
        ROLL\s+CALL|MEETING\s+ADJOURNED|ADJOURN|POTENTIAL\s+RECON|OLD\s+BUSINESS|NEW\s+BUSINESS|PUBLIC\s+(?:HEARING|COMMENT)|LAND\s+USE|CALL\s+TO\s+ORDER|UNFINISHED\s+BUSINESS|PROCLAMATION|
        IZD\s+APPEAL|BILL\s+NO|COUNCIL\s+BILL|STREET\s+NAME|AFFORDABLE\s+HOUSING|MORATORIUM|CPC\s|HDLC\s|VCC\s)",
    )
    .expect("a fixed expression")
});
static BRIEF: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:Brief|Summary|Description|Synopsis)\s*:").expect("a fixed expression"));
static NOTES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:Annotation|Action|Disposition|Notes?)\s*:\s*$").expect("a fixed expression")
});

/// A heading that needs nothing around it to be known as one.
pub(crate) fn starts_item(line: &str) -> bool {
    if votes::is_vote_line(line) || outcomes::is_status(line) {
        return false;
    }
    match NUMBERED.captures(line) {
        Some(found) => {
            (capitals(&found["rest"]) > 0.7
                && found["rest"].chars().filter(|c| c.is_alphabetic()).count() >= 4)
                || heads_matter(&found["rest"])
        }
        None => heads_matter(line),
    }
}

fn heads_matter(line: &str) -> bool {
    KEYWORD.is_match(line) && capitals(line) > 0.6
}

fn starts_weakly(line: &str) -> bool {
    if votes::is_vote_line(line) {
        return false;
    }
    NUMBERED.captures(line).is_some_and(|c| {
        c["rest"].starts_with(|c: char| c.is_uppercase() || c == '“' || c == '"')
            && c["n"].starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The items of a record, in its order; what stands before the first is an item without a heading.
pub(crate) fn split(lines: &[Line<'_>]) -> Vec<Item> {
    let texts: Vec<&str> = lines.iter().map(|l| l.text).collect();
    let with_briefs = texts.iter().filter(|t| BRIEF.is_match(t)).count() >= 3;
    let in_vote = vote_mask(&texts);
    let mut starts = Vec::new();
    let mut in_brief = false;
    let mut heading_since = None;
    for (i, text) in texts.iter().enumerate() {
        if in_vote[i] {
            in_brief = false;
            continue;
        }
        if BRIEF.is_match(text) {
            (in_brief, heading_since) = (true, None);
            continue;
        }
        if NOTES.is_match(text) {
            in_brief = false;
            continue;
        }
        let numbered = NUMBERED.is_match(text);
        let strong = starts_item(text);
        let starts_here = if in_brief {
            strong
                && (numbered || numbers::file_number(text).is_some())
                && brief_follows(&texts, i)
                && !after_prose(&texts, i)
                || strong && numbered && closes_brief(&texts, i)
        } else if with_briefs {
            strong
                && (numbered
                    || heading_since.is_none_or(|h: usize| {
                        i - h > 4 || !brief_follows(&texts, i) || numbers::file_number(text).is_some()
                    }))
        } else {
            strong || starts_weakly(text)
        };
        if starts_here {
            // `AND KING AND THOMAS` after a heading is its second line, not a heading.
            starts.push(i);
            heading_since = Some(i);
            in_brief = false;
        }
    }
    assemble(&texts, &starts, &in_vote, with_briefs)
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

/// Inside a brief, a line that goes on from prose is prose, however it is printed.
fn after_prose(texts: &[&str], i: usize) -> bool {
    i > 0 && !NUMBERED.is_match(texts[i]) && texts[i - 1].ends_with([',', '-'])
}

/// A numbered heading in capitals that a status or a vote follows closes the brief before it, although no note came between.
fn closes_brief(texts: &[&str], i: usize) -> bool {
    capitals(texts[i]) > 0.8 && numbers::file_number(texts[i]).is_some()
}

fn assemble(texts: &[&str], starts: &[usize], in_vote: &[bool], with_briefs: bool) -> Vec<Item> {
    let mut items = Vec::with_capacity(starts.len() + 1);
    let first = starts.first().copied().unwrap_or(texts.len());
    if first > 0 {
        items.push(Item { number: None, heading: 0..0, brief: 0..0, rest: 0..first });
    }
    for (k, &start) in starts.iter().enumerate() {
        let end = starts.get(k + 1).copied().unwrap_or(texts.len());
        let mut number = NUMBERED.captures(texts[start]).map(|c| c["n"].to_owned());
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
            } else if with_briefs && capitals(texts[at]) < 0.7 && !brief_follows_in(texts, at, end) {
                break;
            } else if !with_briefs && (at - start > 14 || ends_paragraph(texts, at - 1)) {
                break;
            }
            at += 1;
            heading_end = at;
        }
        let brief_start = if at < end && BRIEF.is_match(texts[at]) { at + 1 } else { at };
        let mut brief_end = brief_start;
        if brief_start > at {
            while brief_end < end
                && !in_vote[brief_end]
                && !NOTES.is_match(texts[brief_end])
                && !(outcomes::is_status(texts[brief_end]) && capitals(texts[brief_end]) > 0.8)
            {
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

fn brief_follows_in(texts: &[&str], from: usize, end: usize) -> bool {
    texts[from..end].iter().take(4).any(|t| BRIEF.is_match(t))
}

fn ends_paragraph(texts: &[&str], i: usize) -> bool {
    texts[i].ends_with(['.', ':']) && !super::tokens::ends_in_abbreviation(texts[i])
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
    fn headings_in_mixed_case_count_where_the_record_has_no_briefs() {
        let items = read(
            "1. Roll Call\nQuorum established.\n2. Approval of the minutes from the December 14, 2022 meeting\nMOVED BY: Moreno\nSECONDED BY: Harris\nACTION: Approve\nYEAS: Moreno, Harris - 2\nNAYS: 0\nAND THE MOTION PASSED\n12. Adjourn",
        );
        assert_eq!(items.len(), 3);
        assert!(items[1].0.starts_with("2. Approval of the minutes"));
    }
}
