//! Passages: the pieces of a document that are embedded, indexed and shown as search hits.

mod words;

use std::ops::Range;

use cs_core::document::{ExtractedText, Mark, Section};

use crate::CodePoints;
use crate::sentences::sentence_ranges;

/// Changes whenever other passages come out, so that an index knows it is of another cut.
pub const CHUNKER_VERSION: &str = "sentences-100/1";

/// How long passages are, in words. A run of more than 16 characters without a space counts as several words, so
/// that scripts without spaces are cut too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassageOptions {
    /// Length aimed at.
    pub words: usize,
    /// A sentence is still taken in if the passage stays at most this long.
    pub most: usize,
    /// A last passage of a section shorter than this goes to the one before it.
    pub least: usize,
}

impl Default for PassageOptions {
    /// About 100 words, which was measured to be best and which the model reads whole.
    fn default() -> Self {
        Self { words: 100, most: 120, least: 25 }
    }
}

/// A run of sentences of one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Ordinal of the section it stands in.
    pub section: u32,
    /// First code point in the text version.
    pub start: u32,
    /// One past the last code point.
    pub end: u32,
    /// Position among the passages of the text version, from 0.
    pub ordinal: u32,
    /// Page on which it begins, from 1, where the format has pages.
    pub page: Option<u32>,
    /// Time at which it begins, milliseconds from the start of the recording, where there is one.
    pub time_ms: Option<u64>,
    /// Title of the document and heading of the section, a line each: it stands before the text where the passage is
    /// embedded or indexed by keyword, and is no part of the span.
    pub context: String,
}

impl Passage {
    /// What is embedded: the context, then the passage's own text (`body`, which the caller cuts out by the span).
    pub fn with_context(&self, body: &str) -> String {
        if self.context.is_empty() { body.to_owned() } else { format!("{}\n{body}", self.context) }
    }
}

/// Cuts a document into passages. They stand in order and do not overlap; within a section only white space lies
/// between them, and none reaches into another section. A text without sections is one section.
pub fn passages(text: &ExtractedText, title: &str, options: PassageOptions) -> Vec<Passage> {
    let index = CodePoints::new(&text.text);
    let whole;
    let sections = if text.sections.is_empty() {
        whole =
            [Section { ordinal: 0, heading: None, start: 0, end: index.len(), page: None, time_ms: None }];
        &whole[..]
    } else {
        &text.sections[..]
    };
    let mut passages = Vec::new();
    for section in sections {
        let (Some(first), Some(last)) = (index.byte_of(section.start), index.byte_of(section.end)) else {
            continue;
        };
        let Some(body) = text.text.get(first..last) else { continue };
        let context = context(title, section.heading.as_deref());
        for range in cut(body, options) {
            let offsets = index.cp_of(first + range.start).zip(index.cp_of(first + range.end));
            let Some((start, end)) = offsets else { continue };
            let (page, time_ms) = place(&text.marks, section, start);
            passages.push(Passage {
                section: section.ordinal,
                start,
                end,
                ordinal: u32::try_from(passages.len()).unwrap_or(u32::MAX),
                page,
                time_ms,
                context: context.clone(),
            });
        }
    }
    passages
}

fn context(title: &str, heading: Option<&str>) -> String {
    let heading = heading.map(str::trim).filter(|h| !h.is_empty() && *h != title.trim());
    [Some(title.trim()), heading]
        .into_iter()
        .flatten()
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Page and time in force at `start`: those of the last marks inside the section, else those of the section.
fn place(marks: &[Mark], section: &Section, start: u32) -> (Option<u32>, Option<u64>) {
    let from = marks.partition_point(|m| m.at < section.start);
    let until = marks.partition_point(|m| m.at <= start);
    let inside = marks.get(from..until).unwrap_or_default();
    let page = inside.iter().rev().find_map(|m| m.page).or(section.page);
    let time_ms = inside.iter().rev().find_map(|m| m.time_ms).or(section.time_ms);
    (page, time_ms)
}

/// Byte ranges of the passages of one section.
fn cut(body: &str, options: PassageOptions) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut length = 0;
    for (piece, words) in pieces(body, options) {
        match ranges.last_mut() {
            Some(open) if length < options.words && length + words <= options.most => {
                open.end = piece.end;
                length += words;
            }
            _ => {
                ranges.push(piece);
                length = words;
            }
        }
    }
    if let [.., before, last] = &mut ranges[..]
        && length < options.least
    {
        before.end = last.end;
        ranges.pop();
    }
    ranges
}

/// Sentences with their number of words; those longer than a passage may be, cut into equal parts between words.
fn pieces(body: &str, options: PassageOptions) -> Vec<(Range<usize>, usize)> {
    let mut pieces = Vec::new();
    for sentence in sentence_ranges(body) {
        let words = words::words(&body[sentence.clone()]);
        if words.len() <= options.most.max(1) {
            pieces.push((sentence, words.len()));
            continue;
        }
        let parts = words.len().div_ceil(options.words.max(1));
        for part in words.chunks(words.len().div_ceil(parts)) {
            if let [first, .., last] | [first @ last] = part {
                pieces.push((sentence.start + first.start..sentence.start + last.end, part.len()));
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests;
