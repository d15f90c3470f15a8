//! Where the query's words stand in a passage.

use std::collections::HashSet;

use unicode_segmentation::UnicodeSegmentation;

use super::analysis::{Token, tokens};
use crate::index::Span;

/// The words of a query, found again in one text.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Where, in code points; neighbours separated by blanks alone are one span.
    pub(crate) spans: Vec<Span>,
    /// Which terms.
    pub(crate) terms: HashSet<String>,
}

/// Finds `terms` in `text`.
pub(crate) fn find(text: &str, terms: &HashSet<&str>) -> Found {
    let mut found = Found::default();
    let mut points = CodePoints::new(text);
    let mut last_byte = 0;
    for Token { term, from, to, .. } in tokens(text) {
        if !terms.contains(term.as_str()) {
            continue;
        }
        let (start, end) = (points.at(from), points.at(to));
        let joins = !found.spans.is_empty() && text[last_byte..from].chars().all(char::is_whitespace);
        match found.spans.last_mut() {
            Some(last) if joins => last.end = end,
            _ => found.spans.push(Span { start, end }),
        }
        last_byte = to;
        found.terms.insert(term);
    }
    found
}

/// The sentence that shares most with the query's words by their letters: what a passage found by meaning alone shows.
pub(crate) fn telling_sentence<'a>(text: &str, terms: impl Iterator<Item = &'a str>) -> Vec<Span> {
    let wanted: HashSet<[char; 3]> = terms.flat_map(|term| trigrams(term).collect::<Vec<_>>()).collect();
    let mut points = CodePoints::new(text);
    let mut best: Option<(f32, Span)> = None;
    for (from, sentence) in text.split_sentence_bound_indices() {
        let trimmed = sentence.trim();
        let from = from + (sentence.len() - sentence.trim_start().len());
        let span = Span { start: points.at(from), end: points.at(from + trimmed.len()) };
        let own: HashSet<[char; 3]> = trigrams(&trimmed.to_lowercase()).collect();
        let shared = own.intersection(&wanted).count() as f32 / (own.len() as f32 + 20.0).sqrt();
        if span.start < span.end && best.is_none_or(|(most, _)| shared > most) {
            best = Some((shared, span));
        }
    }
    best.map(|(_, span)| span).into_iter().collect()
}

fn trigrams(text: &str) -> impl Iterator<Item = [char; 3]> {
    let letters: Vec<char> = text.chars().collect();
    (2..letters.len()).map(move |i| [letters[i - 2], letters[i - 1], letters[i]])
}

/// Turns growing byte offsets into code point offsets in one walk.
struct CodePoints<'a> {
    text: &'a str,
    byte: usize,
    point: u32,
}

impl<'a> CodePoints<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, byte: 0, point: 0 }
    }

    fn at(&mut self, byte: usize) -> u32 {
        self.point += self.text[self.byte..byte].chars().count() as u32;
        self.byte = byte;
        self.point
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_code_points_and_neighbours_join() {
        let text = "🏛 The zoning ordinance of Peña: zoned.";
        let terms = tokens("zoning ordinance pena");
        let found = find(text, &terms.iter().map(|t| t.term.as_str()).collect());
        let words: Vec<String> = found
            .spans
            .iter()
            .map(|s| text.chars().skip(s.start as usize).take((s.end - s.start) as usize).collect())
            .collect();
        assert_eq!(words, ["zoning ordinance", "Peña", "zoned"]);
        assert_eq!(found.terms.len(), 3);
    }
}
