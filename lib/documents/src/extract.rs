//! Bytes to a text version.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cs_core::document::ExtractedText;
use serde::Serialize;

use crate::detect::{Format, detect};
use crate::error::ExtractError;
use crate::limits::{MAX_CHARACTERS, MAX_INPUT_BYTES};
use crate::line::Line;
use crate::{build, captions, decode, docx, furniture, html, pdf, plain, rtf};

/// Names the rules by which text versions are made: a change in them is a new name.
pub const EXTRACTOR_VERSION: &str = "documents/1";

/// A document, read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extracted {
    /// What the bytes are, whatever the name says.
    pub media_type: &'static str,
    /// The text version.
    pub text: ExtractedText,
    /// How many pages, where the format has them (or prints their numbers).
    pub pages: Option<u32>,
}

/// Lines of a format, before they become a text.
pub(crate) struct Read {
    pub(crate) lines: Vec<Line>,
    pub(crate) pages: Option<u32>,
}

/// Reads a document. `name` is its file name and decides only between formats that look alike (plain text and Markdown).
pub fn extract(name: &str, bytes: &[u8]) -> Result<Extracted, ExtractError> {
    read(name, bytes, usize::MAX)
}

/// How far into the text a document is expected to introduce itself, characters.
const INTRODUCTION: usize = 6_000;
/// How many pages that is at most.
const PAGES: usize = 2;

/// Reads how a document introduces itself: the text of its first pages, without sections and marks.
pub(crate) fn introduction(name: &str, bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let mut read = read(name, bytes, PAGES)?;
    let text = read.text.text.chars().take(INTRODUCTION).collect();
    read.text = ExtractedText { text, sections: Vec::new(), marks: Vec::new() };
    Ok(read)
}

/// Reads the first `pages` pages of a document, where the format has pages.
fn read(name: &str, bytes: &[u8], pages: usize) -> Result<Extracted, ExtractError> {
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(ExtractError::TooLarge(format!(
            "{} MB, at most {} MB are read",
            bytes.len() >> 20,
            MAX_INPUT_BYTES >> 20
        )));
    }
    let format = detect(name, bytes)?;
    // The libraries below read what strangers publish; a panic in one is a fault of that document alone.
    let read = catch_unwind(AssertUnwindSafe(|| by_format(format, bytes, pages)))
        .map_err(|_| ExtractError::Damaged("its content contradicts its format".into()))??;
    let (text, pages) = read;
    if text.text.trim().is_empty() {
        return Err(ExtractError::Empty);
    }
    if text.text.len() > MAX_CHARACTERS && text.text.chars().count() > MAX_CHARACTERS {
        return Err(ExtractError::TooLarge(format!("more than {MAX_CHARACTERS} characters")));
    }
    Ok(Extracted { media_type: format.media_type(), text, pages })
}

fn by_format(
    format: Format,
    bytes: &[u8],
    pages: usize,
) -> Result<(ExtractedText, Option<u32>), ExtractError> {
    let text = || decode::text(bytes);
    let read = match format {
        Format::Pdf => pdf::read(bytes, pages)?,
        Format::Docx => numbered(docx::read(bytes)?),
        Format::Html => Read { lines: html::lines(&decode::html(bytes)), pages: None },
        Format::Rtf => Read { lines: rtf::lines(bytes)?, pages: None },
        Format::Text => numbered(plain::text_lines(&text())),
        Format::Markdown => Read { lines: plain::markdown_lines(&text()), pages: None },
        Format::Vtt => return Ok((captions::vtt(&text())?, None)),
        Format::Srt => return Ok((captions::srt(&text())?, None)),
        Format::CaptionJson => {
            let value = serde_json::from_str(&text()).map_err(|e| ExtractError::Damaged(e.to_string()))?;
            return Ok((captions::json(&value)?, None));
        }
    };
    Ok((build::text_of(&read.lines), read.pages))
}

/// Finds printed page numbers and takes the paper's furniture away.
fn numbered(mut lines: Vec<Line>) -> Read {
    let pages = furniture::number_pages(&mut lines);
    if pages.is_some() {
        furniture::drop_repeated(&mut lines);
    }
    Read { lines, pages }
}
