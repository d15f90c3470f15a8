//! PDF: what is printed on the pages, in reading order.

mod flow;
mod glyphs;
mod order;
mod runs;

use hayro_interpret::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use hayro_interpret::kurbo::{Affine, Rect};
use hayro_interpret::{Context, InterpreterCache, InterpreterSettings, interpret_page};

use crate::error::ExtractError;
use crate::extract::Read;
use crate::furniture;
use crate::limits::{MAX_CHARACTERS, MAX_PAGES};
use crate::line::Line;

/// Fewer letters than this on a page that carries an image make the page a scan.
const SCAN_LETTERS_PER_PAGE: usize = 16;

/// How far from its end the last cross-reference of a file is looked for, bytes.
const TAIL: usize = 64 << 10;

/// Reads the lines of the first `most` pages.
pub(crate) fn read(bytes: &[u8], most: usize) -> Result<Read, ExtractError> {
    // A library that mends files would read the first half of a document as all of it.
    if !is_complete(bytes) {
        return Err(ExtractError::Damaged("it ends in the middle".into()));
    }
    let pdf = Pdf::new(bytes.to_vec()).map_err(|e| match e {
        LoadPdfError::Decryption(
            DecryptionError::PasswordProtected | DecryptionError::UnsupportedAlgorithm,
        ) => ExtractError::Encrypted,
        LoadPdfError::Decryption(_) => ExtractError::Damaged("its encryption cannot be undone".into()),
        LoadPdfError::Invalid => ExtractError::Damaged("it has no readable page tree".into()),
    })?;
    let pages = pdf.pages();
    if pages.is_empty() {
        return Err(ExtractError::Damaged("it has no pages".into()));
    }
    if pages.len() > MAX_PAGES {
        return Err(ExtractError::TooLarge(format!("{} pages, at most {MAX_PAGES} are read", pages.len())));
    }
    let settings = InterpreterSettings::default();
    let cache = InterpreterCache::new();
    let mut lines: Vec<Line> = Vec::new();
    let mut tally = Tally::default();
    for (number, page) in (1u32..).zip(pages.iter()).take(most) {
        let (width, height) = page.render_dimensions();
        let area = Rect::new(0.0, 0.0, f64::from(width), f64::from(height));
        let upright = Affine::new(page.initial_transform(true).as_coeffs());
        let mut context = Context::new(upright, area, &cache, pdf.xref(), settings.clone());
        let mut page_glyphs = glyphs::Glyphs::new(area);
        interpret_page(page, &mut context, &mut page_glyphs);
        tally.add(&page_glyphs);
        if tally.letters > MAX_CHARACTERS {
            return Err(ExtractError::TooLarge(format!("more than {MAX_CHARACTERS} characters")));
        }
        let blocks = order::reading_order(runs::runs(&page_glyphs.found));
        lines.extend(flow::lines(&blocks, number));
    }
    tally.verdict(pages.len().min(most))?;
    furniture::drop_repeated(&mut lines);
    flow::join_pages(&mut lines);
    Ok(Read { lines, pages: u32::try_from(pages.len()).ok() })
}

/// Whether the file ends as a PDF ends, but for what servers append.
fn is_complete(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
    tail.windows(9).any(|w| w == b"startxref")
}

/// What the pages hold, to tell a scan from an empty document.
#[derive(Default)]
struct Tally {
    letters: usize,
    nameless: usize,
    images: usize,
}

impl Tally {
    fn add(&mut self, page: &glyphs::Glyphs) {
        self.letters += page.found.iter().filter(|g| g.text.chars().any(char::is_alphanumeric)).count();
        self.nameless += page.nameless;
        self.images += page.images;
    }

    fn verdict(&self, pages: usize) -> Result<(), ExtractError> {
        // Glyphs without a character behind them can be seen, not read: as good as a scan.
        let unreadable = self.nameless > self.letters;
        if unreadable || (self.images > 0 && self.letters < SCAN_LETTERS_PER_PAGE * pages) {
            return Err(ExtractError::NeedsOcr);
        }
        if self.letters == 0 { Err(ExtractError::Empty) } else { Ok(()) }
    }
}
