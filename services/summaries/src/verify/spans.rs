//! Excerpts against the text at their offsets.

use super::{Reason, Rejection};
use crate::summarizer::{EvidenceSpan, SourceText};

/// Distance of the code points whose byte offset is remembered.
const STRIDE: usize = 256;

/// The texts of a meeting, ready to be cut at code point offsets.
pub struct Verifier<'a> {
    texts: &'a [SourceText],
    marks: Vec<Vec<usize>>,
}

impl<'a> Verifier<'a> {
    /// Indexes the texts.
    pub fn new(texts: &'a [SourceText]) -> Self {
        let marks = texts
            .iter()
            .map(|t| t.text.text.char_indices().step_by(STRIDE).map(|(byte, _)| byte).collect())
            .collect();
        Self { texts, marks }
    }

    /// The text between two code point offsets.
    fn slice(&self, text: usize, start: u32, end: u32) -> Option<&'a str> {
        let whole = self.texts[text].text.text.as_str();
        let byte = |offset: u32| -> Option<usize> {
            let offset = offset as usize;
            let base = self.marks[text].get(offset / STRIDE).copied().unwrap_or(whole.len());
            let rest = whole.get(base..)?;
            let (mut at, mut left) = (base, offset % STRIDE);
            let mut chars = rest.chars();
            while left > 0 {
                at += chars.next()?.len_utf8();
                left -= 1;
            }
            Some(at)
        };
        if end < start {
            return None;
        }
        whole.get(byte(start)?..byte(end)?)
    }

    pub(super) fn check_spans(&self, spans: &[EvidenceSpan]) -> Vec<Rejection> {
        let mut against = Vec::new();
        if spans.is_empty() {
            against.push(Rejection::new(Reason::NoEvidence, "The claim points at no place in any document."));
        }
        for span in spans {
            let Some(source) = self.texts.get(span.text_index) else {
                against.push(Rejection::new(
                    Reason::UnknownText,
                    format!("The meeting has no text number {}.", span.text_index),
                ));
                continue;
            };
            if source.artifact_id != span.artifact_id || source.text_sha256 != span.text_sha256 {
                against.push(Rejection::new(
                    Reason::UnknownText,
                    format!(
                        "The evidence names text version {} of artifact {}, which is not the one read.",
                        span.text_sha256, span.artifact_id
                    ),
                ));
                continue;
            }
            match self.slice(span.text_index, span.start, span.end) {
                Some(text) if text == span.excerpt && !text.trim().is_empty() => {}
                _ => against.push(Rejection::new(
                    Reason::ExcerptMismatch,
                    format!("The excerpt is not the text at {}..{}.", span.start, span.end),
                )),
            }
            let sections = &source.text.sections;
            let inside = sections
                .iter()
                .any(|s| s.ordinal == span.section && s.start <= span.start && span.end <= s.end);
            if !sections.is_empty() && !inside {
                against.push(Rejection::new(
                    Reason::OutsideSection,
                    format!("The span {}..{} leaves section {}.", span.start, span.end, span.section),
                ));
            }
        }
        against
    }
}
