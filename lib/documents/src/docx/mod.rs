//! DOCX: the paragraphs and tables of a Word document, its text boxes and its notes.

mod body;
mod styles;

use std::io::{Cursor, Read as _};

use zip::ZipArchive;

use crate::error::ExtractError;
use crate::limits::{MAX_RATIO, MAX_UNPACKED_BYTES};
use crate::line::Line;

/// Reads the lines of the body, then those of foot- and endnotes.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Line>, ExtractError> {
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|e| ExtractError::Damaged(e.to_string()))?;
    let styles = part(&mut archive, "word/styles.xml")?;
    let headings = styles.map(|xml| styles::headings(&xml)).transpose()?.unwrap_or_default();
    let body = part(&mut archive, "word/document.xml")?
        .ok_or_else(|| ExtractError::Damaged("it has no main document part".into()))?;
    let mut lines = body::lines(&body, &headings)?;
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(xml) = part(&mut archive, notes)? {
            let mut found = body::lines(&xml, &headings)?;
            if let Some(first) = found.first_mut() {
                first.gap = true;
            }
            lines.extend(found);
        }
    }
    Ok(lines)
}

/// Unpacks one part, within bounds: a part may claim any size, so the bytes are counted as they come.
fn part(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Option<Vec<u8>>, ExtractError> {
    let file = match archive.by_name(name) {
        Ok(file) => file,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(zip::result::ZipError::UnsupportedArchive(why)) if why.contains("assword") => {
            return Err(ExtractError::Encrypted);
        }
        Err(e) => return Err(ExtractError::Damaged(format!("{name}: {e}"))),
    };
    let packed = file.compressed_size().max(1);
    let most = MAX_UNPACKED_BYTES.min(packed.saturating_mul(MAX_RATIO).max(1 << 20));
    let mut unpacked = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut unpacked)
        .map_err(|e| ExtractError::Damaged(format!("{name}: {e}")))?;
    if unpacked.len() as u64 > most {
        return Err(ExtractError::TooLarge(format!("{name} unpacks to more than {} MB", most >> 20)));
    }
    Ok(Some(unpacked))
}
