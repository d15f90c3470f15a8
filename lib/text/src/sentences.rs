//! Where sentences end in the language of councils: "Ord. No. 29,650 M.C.S. was adopted at 5:30 p.m." is one.

mod abbreviations;
mod lines;

use std::ops::Range;

use crate::CodePoints;
use abbreviations::Ending;
use lines::Lines;

/// A piece of a text, code points, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First code point.
    pub start: u32,
    /// One past the last code point.
    pub end: u32,
}

/// Bytes after which a bracket is taken for one that nobody closes. Until then "(Rule 34. Deadline 5/5/23)" is whole.
const LONGEST_ASIDE: usize = 200;

/// The sentences of a text in order, each without the white space around it. Between them is white space alone, so
/// together they hold every other character.
pub fn sentences(text: &str) -> Vec<Span> {
    let index = CodePoints::new(text);
    sentence_ranges(text)
        .into_iter()
        .filter_map(|r| Some(Span { start: index.cp_of(r.start)?, end: index.cp_of(r.end)? }))
        .collect()
}

/// As [`sentences`], in bytes.
pub fn sentence_ranges(text: &str) -> Vec<Range<usize>> {
    let lines = Lines::new(text);
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut close = |start: usize, end: usize| {
        let piece = &text[start..end];
        let first = start + (piece.len() - piece.trim_start().len());
        let last = first + piece.trim().len();
        if first < last {
            ranges.push(first..last);
        }
    };
    let mut bracket = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let end = match char {
            '(' => {
                bracket = Some(at);
                continue;
            }
            ')' => {
                bracket = None;
                continue;
            }
            '\n' if lines.ends_sentence(at) => at,
            '.' | '!' | '?' | '…' => {
                let after = text[at..].find(|c| !is_tail(c)).map_or(text.len(), |n| at + n);
                // The whole tail ("...", "?!", ".”") is looked at once.
                while chars.next_if(|(next, _)| *next < after).is_some() {}
                let inside = bracket.is_some_and(|b| b >= start && at - b < LONGEST_ASIDE);
                if text[at..after].contains(')') {
                    bracket = None;
                } else if inside {
                    continue;
                }
                if !ends_sentence(text, start, at, after) {
                    continue;
                }
                after
            }
            // Scripts that put no space after a full stop.
            '。' | '！' | '？' | '؟' | '।' => at + char.len_utf8(),
            _ => continue,
        };
        close(start, end);
        start = end;
    }
    close(start, text.len());
    ranges
}

/// What may stand between the end of a sentence and the space after it.
fn is_tail(char: char) -> bool {
    matches!(char, '.' | '!' | '?' | '…' | '"' | '\'' | '”' | '’' | '»' | ')' | ']')
}

/// Whether the punctuation at `at..after` ends the sentence that began at `start`.
fn ends_sentence(text: &str, start: usize, at: usize, after: usize) -> bool {
    let rest = &text[after..];
    if rest.is_empty() {
        return true;
    }
    if !rest.starts_with(char::is_whitespace) {
        return false;
    }
    let next = rest.trim_start();
    if next.starts_with(char::is_lowercase) {
        return false;
    }
    if !text[at..].starts_with('.') || text[at..after].starts_with("..") {
        return true;
    }
    let sentence = &text[start..at];
    let word = sentence.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '“')).next();
    let word = word.unwrap_or_default();
    // "12." or "B." in front of an item is its number.
    if sentence.trim_start().len() == word.len() && lines::is_item_number(word) {
        return false;
    }
    match abbreviations::ending(word) {
        Ending::Word => true,
        Ending::Never => false,
        Ending::BeforeNumber => !next.starts_with(|c: char| c.is_ascii_digit()) && !starts_with_code(next),
        Ending::Maybe => abbreviations::starts_sentence(next),
    }
}

/// "R-23-4", "M-23": a letter or two, then a digit or a hyphen.
fn starts_with_code(next: &str) -> bool {
    let rest = next.trim_start_matches(|c: char| c.is_ascii_uppercase());
    next.len() - rest.len() <= 3
        && rest.len() < next.len()
        && rest.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random_texts;

    fn split(text: &str) -> Vec<&str> {
        sentence_ranges(text).into_iter().map(|r| &text[r]).collect()
    }

    #[test]
    fn abbreviations_of_councils_do_not_end_sentences() {
        for one in [
            "Ord. No. 29,650 M.C.S. was adopted.",
            "Cal. No. 33,902 by Councilmember J. P. Morrell was read.",
            "The meeting began at 10:00 a.m. in the chamber at 1300 Perdido St. with Mr. Green presiding.",
            "Motion No. M-23-4 authorizes $2.5 million for Barrasso Usdin Kupperman Freeman & Sarver, L.L.C. of Louisiana.",
            "Res. No. R-23-7 cites La. R.S. 33:4720.",
            "It was referred (Council Rule 34. Postponement Deadline 5/5/23).",
            "See Sec. 26-13 and Art. XX, p. 12.",
            "Helena N. Moreno and Dr. Avegno (Dept. Director) spoke.",
            "Docket ZD No. 85/22 at 501 N. Rampart St. Extension.",
        ] {
            assert_eq!(split(one), [one]);
        }
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(
            split(
                "The motion passed. Mr. King moved to adjourn at 6 p.m. The council rose! Was it late? \"No.\" He left."
            ),
            [
                "The motion passed.",
                "Mr. King moved to adjourn at 6 p.m.",
                "The council rose!",
                "Was it late?",
                "\"No.\"",
                "He left."
            ]
        );
        assert_eq!(
            split("It cost $4.50. Item 12. Wait... Yes."),
            ["It cost $4.50.", "Item 12.", "Wait...", "Yes."]
        );
        assert_eq!(split("市議会は採択した。次に進む。"), ["市議会は採択した。", "次に進む。"]);
    }

    #[test]
    fn numbered_items_keep_their_number() {
        assert_eq!(
            split("1. CALL TO ORDER\n2. ROLL CALL\na. Members present\n(3) Other"),
            ["1. CALL TO ORDER", "2. ROLL CALL", "a. Members present", "(3) Other"]
        );
    }

    #[test]
    fn a_bracket_that_nobody_closes_holds_nothing_together() {
        let text = format!("He said (again. {}The end. Really.", "and so on ".repeat(30));
        assert_eq!(split(&text)[1..], ["Really."]);
    }

    #[test]
    fn wrapped_lines_are_joined_and_labels_stand_alone() {
        let text = "Submitting the transmittal document for communications related to electric and gas utility\n\
            Matters to be received by the Council of the City of New Orleans at its meeting.\n\
            Annotation:\nELECTRONICALLY SUBMITTED.\nMOVED BY:\nGiarrusso\nSECONDED BY:\nMorrell\n\
            Requesting to appeal the parking requirement of the University Area Off-Street Parking\n\
            Interim Zoning District.";
        let split = split(text);
        assert_eq!(
            split[1..7],
            ["Annotation:", "ELECTRONICALLY SUBMITTED.", "MOVED BY:", "Giarrusso", "SECONDED BY:", "Morrell"]
        );
        assert_eq!(split.len(), 8, "{split:#?}");
    }

    #[test]
    fn together_they_hold_all_but_white_space() {
        for text in random_texts(400) {
            let chars: Vec<char> = text.chars().collect();
            let mut last = 0;
            for span in sentences(&text) {
                assert!(span.start < span.end && span.start >= last, "{text:?}");
                assert!(
                    chars[last as usize..span.start as usize].iter().all(|c| c.is_whitespace()),
                    "{text:?}"
                );
                assert!(
                    !chars[span.start as usize].is_whitespace()
                        && !chars[span.end as usize - 1].is_whitespace()
                );
                last = span.end;
            }
            assert!(chars[last as usize..].iter().all(|c| c.is_whitespace()), "{text:?}");
        }
    }
}
