//! Captions: what was said, when.

mod join;
mod json;
mod timed;

pub(crate) use json::looks_like_captions;

use crate::error::ExtractError;
use cs_core::document::ExtractedText;

/// One caption as published.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cue {
    /// Milliseconds from the start of the recording.
    pub(crate) start: u64,
    /// What was said, as published.
    pub(crate) text: String,
    /// Who said it, where the format has a place for it.
    pub(crate) speaker: Option<String>,
}

/// WebVTT.
pub(crate) fn vtt(text: &str) -> Result<ExtractedText, ExtractError> {
    finish(&timed::cues(text))
}

/// SubRip.
pub(crate) fn srt(text: &str) -> Result<ExtractedText, ExtractError> {
    finish(&timed::cues(text))
}

/// Caption JSON.
pub(crate) fn json(value: &serde_json::Value) -> Result<ExtractedText, ExtractError> {
    let cues = json::cues(value)
        .ok_or_else(|| ExtractError::UnsupportedFormat("JSON that holds no captions".into()))?;
    finish(&cues)
}

fn finish(cues: &[Cue]) -> Result<ExtractedText, ExtractError> {
    let text = join::join(cues);
    if text.text.trim().is_empty() { Err(ExtractError::Empty) } else { Ok(text) }
}
