//! What can go wrong with one document.

use serde::{Deserialize, Serialize};

/// Why a document could not be read. It concerns this document alone; the other documents of a meeting go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", content = "detail", rename_all = "snake_case")]
pub enum ExtractError {
    /// The content is of no format this crate reads.
    #[error(
        "unsupported format: {0}. Publish it as PDF, DOCX, HTML, RTF, TXT, Markdown, VTT, SRT or caption JSON"
    )]
    UnsupportedFormat(String),
    /// A password is needed to read it.
    #[error("the document is encrypted: remove its password and publish it again")]
    Encrypted,
    /// Pages of images without a text layer.
    #[error("the document is a scan without text: publish a version with a text layer (OCR)")]
    NeedsOcr,
    /// The format is known, its content is broken.
    #[error("the document is damaged ({0}): download or export it again")]
    Damaged(String),
    /// Larger than the limits of [`crate::limits`].
    #[error("the document is too large ({0}): split it into parts")]
    TooLarge(String),
    /// It holds no text at all.
    #[error("the document is empty: publish a version with content")]
    Empty,
    /// Reading took longer than the deadline.
    #[error("reading the document took longer than {0} ms: split it into parts")]
    Timeout(u64),
    /// The process that reads documents could not be started or spoken to. The document itself may be fine.
    #[error("the document reader did not answer ({0}): try again")]
    Reader(String),
}

impl ExtractError {
    /// A stable word for files, JSON and SQL.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedFormat(_) => "unsupported_format",
            Self::Encrypted => "encrypted",
            Self::NeedsOcr => "needs_ocr",
            Self::Damaged(_) => "damaged",
            Self::TooLarge(_) => "too_large",
            Self::Empty => "empty",
            Self::Timeout(_) => "timeout",
            Self::Reader(_) => "reader",
        }
    }

    /// Whether the same bytes may be read on another attempt: only a fault of the machine is worth one.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Reader(_))
    }
}
