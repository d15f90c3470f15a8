//! Words to terms: the same for passages and queries, or they would not meet.
//!
//! Word boundaries are those of UAX #29 (what Lucene's standard tokenizer follows), letters are lowered and lose their
//! diacritics, marks inside a word (`29,650`, `U.S.`, `council's`) go away, and English endings are cut as Porter does.

use std::borrow::Cow;

use frostem::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// A term longer than this (in bytes) is cut: nobody types it, and an index refuses endless ones.
const LONGEST_TERM: usize = 120;

/// One word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What is indexed.
    pub(crate) term: String,
    /// First byte in the text.
    pub(crate) from: usize,
    /// One past the last byte.
    pub(crate) to: usize,
    /// A word so common that it says little.
    pub(crate) common: bool,
}

/// The words of a text, in order.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let stemmer = Stemmer::new(Algorithm::Porter);
    text.unicode_word_indices()
        .filter_map(|(from, word)| {
            let folded = plain(word);
            if folded.is_empty() {
                return None;
            }
            let common = is_common(&folded);
            let term = if common || !folded.is_ascii() { folded } else { stemmer.stem(&folded).into_owned() };
            Some(Token { term: cut(term), from, to: from + word.len(), common })
        })
        .collect()
}

/// The terms that are scored, in order, and the pairs of neighbours among them.
pub(crate) fn scored(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    tokens.iter().filter(|token| !token.common)
}

/// Lower case without diacritics and without marks inside the word.
fn plain(word: &str) -> String {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    cs_text::fold(word)
        .chars()
        .filter(|c| c.is_alphanumeric() || !c.is_ascii() && !c.is_whitespace() && !c.is_control())
        .collect()
}

fn cut(term: String) -> String {
    if term.len() <= LONGEST_TERM {
        return term;
    }
    let end = (0..=LONGEST_TERM).rev().find(|&i| term.is_char_boundary(i)).unwrap_or(0);
    Cow::from(&term[..end]).into_owned()
}

/// English function words, folded. They are indexed, for phrases, and count in a search only where nothing else is asked.
fn is_common(folded: &str) -> bool {
    COMMON.binary_search(&folded).is_ok()
}

#[rustfmt::skip]
const COMMON: &[&str] = &[
    "a", "about", "above", "after", "again", "against", "all", "also", "am", "an", "and", "any", "are", "as", "at",
    "be", "because", "been", "before", "being", "below", "between", "both", "but", "by", "can", "could", "did", "do",
    "does", "doing", "down", "during", "each", "few", "for", "from", "further", "had", "has", "have", "having", "he",
    "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "me", "more", "most", "my",
    "no", "nor", "not", "of", "off", "on", "once", "only", "or", "other", "our", "ours", "out", "over", "own", "same",
    "she", "should", "so", "some", "such", "than", "that", "the", "their", "theirs", "them", "then", "there", "these",
    "they", "this", "those", "through", "to", "too", "under", "until", "up", "very", "was", "we", "were", "what",
    "when", "where", "which", "while", "who", "whom", "why", "will", "with", "would", "you", "your", "yours",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|t| t.term).collect()
    }

    #[test]
    fn common_words_are_sorted_for_the_search_in_them() {
        assert!(COMMON.is_sorted());
    }

    #[test]
    fn endings_case_and_diacritics_do_not_matter() {
        assert_eq!(terms("Zoning ordinances"), terms("zone ORDINANCE"));
        assert_eq!(terms("Peña résumé"), ["pena", "resum"]);
        assert_eq!(terms("council's"), terms("council"));
    }

    #[test]
    fn numbers_lose_their_commas() {
        assert_eq!(terms("Ord. 29,650"), ["ord", "29650"]);
        assert_eq!(terms("M-23-126"), ["m", "23", "126"]);
    }

    #[test]
    fn any_script_gives_terms_and_places() {
        let tokens = tokens("市議会 совет 🏛 मतदान");
        assert!(tokens.len() >= 3);
        for token in tokens {
            assert!("市議会 совет 🏛 मतदान".get(token.from..token.to).is_some());
        }
    }

    #[test]
    fn an_endless_word_is_cut() {
        assert!(terms(&"é".repeat(5_000))[0].len() <= LONGEST_TERM);
    }
}
