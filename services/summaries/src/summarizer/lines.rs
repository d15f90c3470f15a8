//! A text as lines with places: what the recognisers read, and the way back from a line to an evidence span.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{EvidenceSpan, SourceText};

/// A line without its surrounding white space. `start` and `end` are bytes of the whole text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub start: usize,
    pub end: usize,
    pub text: &'a str,
}

/// A text ready to be read: its lines without the furniture of the page (running heads, addresses, page numbers).
pub(crate) struct Page<'a> {
    pub source: &'a SourceText,
    pub text_index: usize,
    pub lines: Vec<Line<'a>>,
    code_points: Vec<u32>,
}

static FURNITURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)^(?: https?://\S+ (?:\s+\d+\s*/\s*\d+)?
        | (?:\d{1,2}/\d{1,2}/\d{2,4},?\s+\d{1,2}:\d{2}\s*[AP]M\s*)? [\w.-]+\.(?:com|gov|org|net|us)/\S+ (?:\s+\d{1,2}/\d{1,2}/\d{2,4},?\s+\d{1,2}:\d{2}\s*[AP]M)?
        | \d{1,2}/\d{1,2}/\d{2,4},?\s+\d{1,2}:\d{2}\s*[AP]M
        | \d{1,4}\s*/\s*\d{1,4} (?:\s+https?://\S+)?
        | (?:page\s+)?\d{1,4}\s+of\s+\d{1,4} | page\s+\d{1,4} | -\s*\d{1,4}\s*- )$",
    )
    .expect("a fixed expression")
});

/// A line this long was never broken by the page: the extractor gave a paragraph, or the whole page, as one line.
const LONG_LINE: usize = 600;

impl<'a> Page<'a> {
    pub(crate) fn read(source: &'a SourceText, text_index: usize) -> Self {
        let text = source.text.text.as_str();
        let mut code_points = vec![0u32; text.len() + 1];
        let mut count = 0;
        for (byte, c) in text.char_indices() {
            code_points[byte..byte + c.len_utf8()].fill(count);
            count += 1;
        }
        code_points[text.len()] = count;
        let mut lines = Vec::new();
        let mut at = 0;
        for raw in text.split('\n') {
            for (start, end) in sentences_if_long(raw) {
                let piece = &raw[start..end];
                let trimmed = piece.trim();
                if !trimmed.is_empty() {
                    let start = at + start + (piece.len() - piece.trim_start().len());
                    lines.push(Line { start, end: start + trimmed.len(), text: trimmed });
                }
            }
            at += raw.len() + 1;
        }
        lines.retain(|line| !FURNITURE.is_match(line.text));
        Self { source, text_index, lines, code_points }
    }

    /// The evidence spans of a run of lines: one for each unbroken stretch inside one section.
    pub(crate) fn spans_of_lines(&self, lines: Range<usize>) -> Vec<EvidenceSpan> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for line in &self.lines[lines] {
            match runs.last_mut() {
                Some(last) if self.source.text.text[last.1..line.start].trim().is_empty() => {
                    last.1 = line.end
                }
                _ => runs.push((line.start, line.end)),
            }
        }
        runs.into_iter().flat_map(|(start, end)| self.spans(start, end)).collect()
    }

    /// The evidence spans of a stretch of bytes, cut where a section ends.
    pub(crate) fn spans(&self, start: usize, end: usize) -> Vec<EvidenceSpan> {
        let text = &self.source.text.text;
        let (first, last) = (self.code_points[start], self.code_points[end]);
        let sections = &self.source.text.sections;
        if sections.is_empty() {
            return vec![self.span(0, start, end)];
        }
        let mut spans = Vec::new();
        let from = sections.partition_point(|s| s.end <= first);
        for section in sections[from..].iter().take_while(|s| s.start < last) {
            let (a, b) = (self.byte_at(section.start.max(first)), self.byte_at(section.end.min(last)));
            let piece = &text[a..b];
            let trimmed = piece.trim();
            if !trimmed.is_empty() {
                let a = a + (piece.len() - piece.trim_start().len());
                spans.push(self.span(section.ordinal, a, a + trimmed.len()));
            }
        }
        spans
    }

    fn span(&self, section: u32, start: usize, end: usize) -> EvidenceSpan {
        EvidenceSpan {
            text_index: self.text_index,
            artifact_id: self.source.artifact_id,
            text_sha256: self.source.text_sha256.clone(),
            section,
            start: self.code_points[start],
            end: self.code_points[end],
            excerpt: self.source.text.text[start..end].to_owned(),
        }
    }

    fn byte_at(&self, code_point: u32) -> usize {
        self.code_points.partition_point(|&c| c < code_point)
    }
}

/// The whole of an ordinary line; the sentences of one that holds a paragraph or a page.
fn sentences_if_long(raw: &str) -> Vec<(usize, usize)> {
    if raw.len() <= LONG_LINE {
        return vec![(0, raw.len())];
    }
    let mut cuts = vec![0];
    let bytes = raw.as_bytes();
    for (i, pair) in bytes.windows(2).enumerate() {
        let double_space = pair == b"  ";
        let sentence_end = pair == b". " && !super::tokens::ends_in_abbreviation(&raw[..=i]);
        if (double_space || sentence_end) && cuts.last().is_some_and(|&c| i > c) {
            cuts.push(i + 1);
        }
    }
    cuts.push(raw.len());
    cuts.windows(2).map(|w| (w[0], w[1])).collect()
}
