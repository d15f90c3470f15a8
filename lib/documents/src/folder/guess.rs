//! What a document's own first pages say, where its name is silent.

use std::path::Path;

use chrono::NaiveDate;
use cs_core::document::ArtifactKind;

use super::names;
use crate::error::ExtractError;
use crate::extract;
use crate::limits::MAX_INPUT_BYTES;

/// How far into the text a document is expected to introduce itself, characters.
const INTRODUCTION: usize = 6_000;
/// How many pages that is at most.
const PAGES: usize = 2;

/// The beginning of a document.
#[derive(Clone, Debug, Default)]
pub(super) struct Introduction {
    pub(super) media_type: &'static str,
    text: String,
}

/// Reads the beginning of a document.
pub(super) fn introduction(path: &Path, size: u64) -> Result<Introduction, ExtractError> {
    if size > MAX_INPUT_BYTES {
        return Err(ExtractError::TooLarge(format!(
            "{} MB, at most {} MB are read",
            size >> 20,
            MAX_INPUT_BYTES >> 20
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| ExtractError::Reader(e.to_string()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let read = extract::read(&name, &bytes, PAGES)?;
    Ok(Introduction {
        media_type: read.media_type,
        text: read.text.text.chars().take(INTRODUCTION).collect(),
    })
}

impl Introduction {
    pub(super) fn date(&self) -> Option<NaiveDate> {
        names::date_in_content(&self.text)
    }

    /// The kind its title says: the first line that is little more than the word.
    pub(super) fn kind(&self) -> Option<ArtifactKind> {
        if is_captions(self.media_type) {
            return Some(ArtifactKind::Transcript);
        }
        let lines = self.text.lines().take(60);
        let mut titles = lines.filter(|l| l.split_whitespace().count() <= 6);
        titles.find_map(|l| names::kind(&names::words(l)).filter(|k| *k != ArtifactKind::Packet))
    }

    /// The body its title names.
    pub(super) fn body(&self) -> Option<Option<String>> {
        let mut titles =
            self.text.lines().take(40).filter(|l| (1..=8).contains(&l.split_whitespace().count()));
        // "THE COUNCIL" heads the papers of its committees too.
        let named: Vec<_> = titles.by_ref().filter_map(|l| names::body(&names::words(l))).collect();
        named.iter().find(|b| b.is_some()).or(named.first()).cloned()
    }
}

pub(super) fn is_captions(media_type: &str) -> bool {
    ["text/vtt", "application/x-subrip", "application/json"].contains(&media_type)
}
