//! What a document is, by its content; its name only decides between plain text and Markdown.

use crate::captions::looks_like_captions;
use crate::decode;
use crate::error::ExtractError;

/// A format this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Pdf,
    Docx,
    Html,
    Rtf,
    Text,
    Markdown,
    Vtt,
    Srt,
    CaptionJson,
}

impl Format {
    pub(crate) const ALL: [Self; 9] = [
        Self::Pdf,
        Self::Docx,
        Self::Html,
        Self::Rtf,
        Self::Text,
        Self::Markdown,
        Self::Vtt,
        Self::Srt,
        Self::CaptionJson,
    ];

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Html => "text/html",
            Self::Rtf => "application/rtf",
            Self::Text => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Vtt => "text/vtt",
            Self::Srt => "application/x-subrip",
            Self::CaptionJson => "application/json",
        }
    }
}

/// How far into a file its kind is looked for, bytes.
const HEAD: usize = 4096;

/// Names the format of the bytes, or says what they are instead.
pub(crate) fn detect(name: &str, bytes: &[u8]) -> Result<Format, ExtractError> {
    let head = &bytes[..bytes.len().min(HEAD)];
    if head.iter().all(u8::is_ascii_whitespace) && bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ExtractError::Empty);
    }
    // Readers accept a PDF that begins late, within the first kilobyte.
    if find(&head[..head.len().min(1024)], b"%PDF-") {
        return Ok(Format::Pdf);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return zip_kind(bytes);
    }
    if head.starts_with(b"{\\rtf") {
        return Ok(Format::Rtf);
    }
    if let Some(what) = foreign(head) {
        return Err(match what {
            "an OLE file" if find_utf16(bytes, "EncryptedPackage") => ExtractError::Encrypted,
            what => ExtractError::UnsupportedFormat(what.into()),
        });
    }
    if !decode::is_text(head) {
        return Err(ExtractError::UnsupportedFormat("binary data of no known kind".into()));
    }
    textual(name, bytes)
}

fn textual(name: &str, bytes: &[u8]) -> Result<Format, ExtractError> {
    let head = decode::text(&bytes[..bytes.len().min(HEAD)]);
    let head = head.trim_start();
    let lower = head.get(..head.floor_char_boundary(1024)).unwrap_or(head).to_ascii_lowercase();
    if head.starts_with("WEBVTT") {
        return Ok(Format::Vtt);
    }
    if head.starts_with(['{', '[']) {
        match serde_json::from_str::<serde_json::Value>(&decode::text(bytes)) {
            Ok(value) if looks_like_captions(&value) => return Ok(Format::CaptionJson),
            Ok(_) => return Err(ExtractError::UnsupportedFormat("JSON that holds no captions".into())),
            Err(e) if ends_with(name, &["json"]) => return Err(ExtractError::Damaged(format!("JSON: {e}"))),
            Err(_) => {}
        }
    }
    if head
        .lines()
        .take(6)
        .any(|l| l.contains("-->") && l.trim_start().starts_with(|c: char| c.is_ascii_digit()))
    {
        return Ok(Format::Srt);
    }
    let tags =
        ["<!doctype html", "<html", "<head", "<body", "<title", "<table", "<div", "<p>", "<p ", "<h1", "<h2"];
    if lower.starts_with('<') && tags.iter().any(|t| lower.contains(t)) {
        return Ok(Format::Html);
    }
    if lower.starts_with("<?xml") || (lower.starts_with('<') && ends_with(name, &["xml", "svg", "rss"])) {
        return Err(ExtractError::UnsupportedFormat("XML".into()));
    }
    for (ends, what) in [
        (&["csv", "tsv"][..], "a table of separated values"),
        (&["ics"], "a calendar"),
        (&["toml", "yaml", "yml", "ini"], "a settings file"),
    ] {
        if ends_with(name, ends) {
            return Err(ExtractError::UnsupportedFormat(what.into()));
        }
    }
    Ok(if ends_with(name, &["md", "markdown"]) { Format::Markdown } else { Format::Text })
}

fn zip_kind(bytes: &[u8]) -> Result<Format, ExtractError> {
    let archive = zip::ZipArchive::new(std::io::Cursor::new(bytes))
        .map_err(|e| ExtractError::Damaged(format!("its container cannot be opened: {e}")))?;
    let holds = |name: &str| archive.index_for_name(name).is_some();
    let what = if holds("word/document.xml")
        || (holds("[Content_Types].xml") && holds("_rels/.rels") && holds("word/styles.xml"))
    {
        return Ok(Format::Docx);
    } else if holds("xl/workbook.xml") {
        "an Excel workbook"
    } else if holds("ppt/presentation.xml") {
        "a PowerPoint presentation"
    } else if holds("content.xml") && holds("mimetype") {
        "an OpenDocument file"
    } else {
        "a ZIP archive"
    };
    Err(ExtractError::UnsupportedFormat(what.into()))
}

/// Kinds recognized in order to name them.
fn foreign(head: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 13] = [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE file"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"II*\0", "a TIFF image"),
        (b"MM\0*", "a TIFF image"),
        (b"ID3", "an MP3 recording"),
        (b"OggS", "an Ogg recording"),
        (b"RIFF", "a RIFF recording"),
        (b"\x1a\x45\xdf\xa3", "a Matroska recording"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"Rar!", "a RAR archive"),
        (b"7z\xbc\xaf", "a 7z archive"),
    ];
    if head.get(4..8) == Some(b"ftyp") {
        return Some("an MP4 recording");
    }
    kinds.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what)
}

pub(crate) fn ends_with(name: &str, extensions: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| extensions.iter().any(|e| end.eq_ignore_ascii_case(e)))
}

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

fn find_utf16(haystack: &[u8], needle: &str) -> bool {
    let needle: Vec<u8> = needle.encode_utf16().flat_map(u16::to_le_bytes).collect();
    find(haystack, &needle)
}
