//! The words of a claim: the official ones, shortened at a boundary of the sentence.

use std::sync::LazyLock;

use regex::Regex;

use super::Votes;
use super::tokens::{ends_in_abbreviation, normalise};
use super::votes::Block;

/// Characters of a matter's own words that a claim may hold.
const LONGEST_TITLE: usize = 700;

static ITEM_NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:(?:\d{1,3}[a-zA-Z]{0,3}|[A-Z]|[IVX]{1,5})[.)]\s+|\d{1,3}\.[a-z]{1,3}\.?\s+|\d{1,3}[a-z]?\.(?P<keep>[A-Z]))").expect("a fixed expression")
});
static STOCK_ENDING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)[;,]?\s*and\s+(?:otherwise\s+to\s+provide|to\s+(?:otherwise\s+)?provide(?:\s+otherwise)?|to\s+otherwise\s+provide)\s+with\s+respect\s+thereto\.?").expect("a fixed expression")
});
static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:Brief|Summary|Description|Synopsis)\s*:\s*").expect("a fixed expression")
});

/// Extraction may leave the number of an item on a line inside its heading.
fn without_lone_numbers(lines: &str) -> String {
    lines.lines().filter(|line| !super::items::is_lone_number(line)).collect::<Vec<_>>().join("\n")
}

/// A heading without the item's number.
pub(crate) fn heading(lines: &str) -> String {
    let text = normalise(&without_lone_numbers(lines));
    let text = ITEM_NUMBER.replace(&text, "$keep").into_owned();
    shorten(text.trim(), LONGEST_TITLE)
}

/// What a matter is about, without the formula that ends every ordinance.
pub(crate) fn title(lines: &str) -> String {
    let text = normalise(&without_lone_numbers(lines));
    let text = LABEL.replace(&text, "").into_owned();
    let text = match STOCK_ENDING.find(&text) {
        // Keep what the formula leaves; a docket number after it is kept with the whole.
        Some(found) if found.start() > 20 => text[..found.start()].to_owned(),
        _ => text,
    };
    shorten(text.trim(), LONGEST_TITLE)
}

/// Cuts at the last end of a sentence or clause before the limit.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut hard = limit;
    while !text.is_char_boundary(hard) {
        hard -= 1;
    }
    let head = &text[..hard];
    let sentence = head
        .rmatch_indices(". ")
        .map(|(i, _)| i)
        .find(|&i| i > limit / 3 && !ends_in_abbreviation(&head[..=i]));
    let clause = || head.rmatch_indices("; ").map(|(i, _)| i).find(|&i| i > limit / 3);
    let comma = || head.rmatch_indices(", ").map(|(i, _)| i).find(|&i| i > limit / 3);
    let word = || head.rfind(' ');
    match sentence {
        Some(i) => head[..=i].to_owned(),
        None => {
            let at = clause().or_else(comma).or_else(word).unwrap_or(hard);
            format!("{} …", head[..at].trim_end())
        }
    }
}

/// Joins pieces into a statement; each keeps its own words.
pub(crate) fn statement(pieces: &[&str]) -> String {
    let mut out = String::new();
    for piece in pieces.iter().map(|p| p.trim()).filter(|p| !p.is_empty()) {
        if !out.is_empty() {
            out.push_str(if out.ends_with(['.', ':', ';', '!', '?', '…']) { " " } else { ". " });
        }
        out.push_str(piece);
    }
    out
}

/// A vote in the words of its labels.
pub(crate) fn vote(block: &Block, ending: Option<&str>) -> String {
    let mut out = Vec::new();
    for (label, value) in
        [("MOVED BY:", &block.mover), ("SECONDED BY:", &block.seconder), ("ACTION:", &block.action)]
    {
        if let Some(value) = value {
            out.push(format!("{label} {value}"));
        }
    }
    if let Some(votes) = &block.votes {
        let Votes { yeas, nays, abstain, absent, recused, counts } = votes;
        for (label, names, count) in [
            ("YEAS:", yeas, counts.yeas),
            ("NAYS:", nays, counts.nays),
            ("ABSTAIN:", abstain, counts.abstain),
            ("ABSENT:", absent, counts.absent),
            ("RECUSED:", recused, counts.recused),
        ] {
            match (names.is_empty(), count) {
                (false, Some(n)) => out.push(format!("{label} {} - {n}", names.join(", "))),
                (false, None) => out.push(format!("{label} {}", names.join(", "))),
                (true, Some(n)) if n > 0 || label == "NAYS:" => out.push(format!("{label} {n}")),
                _ => {}
            }
        }
    }
    if let Some(ending) = ending {
        out.push(ending.to_owned());
    }
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_lose_the_formula_and_keep_the_matter() {
        assert_eq!(
            title("An Ordinance to rename Cadillac Street; and otherwise\nto provide with respect thereto."),
            "An Ordinance to rename Cadillac Street"
        );
        assert_eq!(
            heading("23b. MOTION - NO. M-23-160 - BY: COUNCILMEMBER MORRELL"),
            "MOTION - NO. M-23-160 - BY: COUNCILMEMBER MORRELL"
        );
        assert_eq!(
            heading("ZONING DOCKET NO. 100/22 - CITY COUNCIL\n4a.\nMOTION"),
            "ZONING DOCKET NO. 100/22 - CITY COUNCIL MOTION"
        );
    }

    #[test]
    fn long_titles_end_at_a_clause() {
        let text = format!("{}; and the rest {}", "a ".repeat(100), "b ".repeat(400));
        assert_eq!(shorten(&text, 500).chars().last(), Some('…'));
        assert!(shorten(&text, 500).len() < 320);
    }
}
