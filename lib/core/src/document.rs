//! The text kept for a published document, and the places in it.
//!
//! Offsets everywhere count Unicode code points, half-open, as in the W3C Web Annotation text position selector.

use serde::{Deserialize, Serialize};

/// What a city calls a document; `kind` in a meeting's `meeting.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// What the body means to do.
    Agenda,
    /// What the body did.
    Minutes,
    /// The bundle of papers behind an agenda.
    Packet,
    /// What was said, by caption or stenographer.
    Transcript,
    /// Anything else that was published with the meeting.
    Attachment,
}

impl ArtifactKind {
    /// The word used in files, JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agenda => "agenda",
            Self::Minutes => "minutes",
            Self::Packet => "packet",
            Self::Transcript => "transcript",
            Self::Attachment => "attachment",
        }
    }
}

impl std::str::FromStr for ArtifactKind {
    type Err = UnknownArtifactKind;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "agenda" => Ok(Self::Agenda),
            "minutes" => Ok(Self::Minutes),
            "packet" => Ok(Self::Packet),
            "transcript" => Ok(Self::Transcript),
            "attachment" => Ok(Self::Attachment),
            other => Err(UnknownArtifactKind(other.to_owned())),
        }
    }
}

/// A kind that is none of the five.
#[derive(Debug, thiserror::Error)]
#[error("unknown artifact kind {0:?}: use agenda, minutes, packet, transcript or attachment")]
pub struct UnknownArtifactKind(pub String);

/// An ordered piece of a text version. Sections do not overlap and stand in reading order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Position among the sections of the text version, from 0.
    pub ordinal: u32,
    /// The heading it stands under, in the official words.
    pub heading: Option<String>,
    /// First code point.
    pub start: u32,
    /// One past the last code point.
    pub end: u32,
    /// Page on which it begins, from 1, where the format has pages.
    pub page: Option<u32>,
    /// Time at which it begins, milliseconds from the start of the recording, where there is one.
    pub time_ms: Option<u64>,
}

/// From `at` on (until the next mark), text stands on `page` or was said at `time_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Code point offset.
    pub at: u32,
    /// Page, from 1.
    pub page: Option<u32>,
    /// Milliseconds from the start of the recording.
    pub time_ms: Option<u64>,
}

/// The text of an artifact as one extractor version read it: immutable, named by its sha256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedText {
    /// The whole text. Offsets point into it.
    pub text: String,
    /// Its sections, in order.
    pub sections: Vec<Section>,
    /// Its page and time anchors, sorted by `at`.
    pub marks: Vec<Mark>,
}

impl ExtractedText {
    /// The mark in force at a code point offset.
    pub fn mark_at(&self, offset: u32) -> Option<Mark> {
        mark_at(&self.marks, offset)
    }
}

/// The mark in force at a code point offset; `marks` is sorted by `at`.
pub fn mark_at(marks: &[Mark], offset: u32) -> Option<Mark> {
    marks[..marks.partition_point(|m| m.at <= offset)].last().copied()
}

/// The part of `text` between two code point offsets, or `None` where they do not lie in it.
pub fn slice_code_points(text: &str, start: u32, end: u32) -> Option<&str> {
    if end < start {
        return None;
    }
    let (start, len) = (start as usize, (end - start) as usize);
    let mut boundaries = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
    let first = boundaries.nth(start)?;
    let last = if len == 0 { first } else { boundaries.nth(len - 1)? };
    text.get(first..last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_count_code_points_not_bytes() {
        let text = "Année 🏛 vote";
        assert_eq!(slice_code_points(text, 0, 5), Some("Année"));
        assert_eq!(slice_code_points(text, 6, 7), Some("🏛"));
        assert_eq!(slice_code_points(text, 8, 12), Some("vote"));
        assert_eq!(slice_code_points(text, 12, 12), Some(""));
        assert_eq!(slice_code_points(text, 8, 13), None);
        assert_eq!(slice_code_points(text, 5, 4), None);
    }

    #[test]
    fn the_mark_in_force_is_the_last_at_or_before() {
        let marks = [1, 2].map(|page| Mark { at: (page - 1) * 10, page: Some(page), time_ms: None });
        assert_eq!(mark_at(&marks, 9).and_then(|m| m.page), Some(1));
        assert_eq!(mark_at(&marks, 10).and_then(|m| m.page), Some(2));
        assert_eq!(mark_at(&[], 3), None);
    }
}
