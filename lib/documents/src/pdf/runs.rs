//! Glyphs to runs: words that stand on one baseline without a gap wide enough to part cells.

use super::glyphs::Glyph;

/// Words printed one after the other on one baseline.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) x0: f64,
    pub(super) x1: f64,
    pub(super) y: f64,
    pub(super) size: f64,
    pub(super) bold: bool,
    /// Width of the first word.
    pub(super) first_word: f64,
}

impl Run {
    pub(super) fn top(&self) -> f64 {
        self.y - 0.75 * self.size
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + 0.2 * self.size
    }

    pub(super) fn same_baseline(&self, other: &Run) -> bool {
        (self.y - other.y).abs() < 0.35 * self.size.min(other.size)
    }
}

/// A gap wider than this parts cells of a table, in heights of the type. Justified text stays below.
pub(super) const CELL_GAP: f64 = 1.8;
/// A gap wider than this parts words where no blank is printed.
pub(super) const WORD_GAP: f64 = 0.17;

/// Groups glyphs, in the order they are drawn, into runs.
pub(super) fn runs(glyphs: &[Glyph]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut open: Option<Open> = None;
    for glyph in glyphs {
        let blank = glyph.text.chars().all(char::is_whitespace);
        if let Some(run) = open.as_mut() {
            if run.takes(glyph) {
                run.add(glyph, blank);
                continue;
            }
            runs.extend(open.take().and_then(Open::close));
        }
        if !blank {
            open = Some(Open::new(glyph));
        }
    }
    runs.extend(open.and_then(Open::close));
    runs
}

struct Open {
    run: Run,
    /// End of the last visible glyph.
    edge: f64,
    blank: bool,
    in_first_word: bool,
    letters: usize,
    bold_letters: usize,
}

impl Open {
    fn new(glyph: &Glyph) -> Self {
        let run = Run {
            text: String::new(),
            x0: glyph.x0,
            x1: glyph.x1,
            y: glyph.y,
            size: glyph.size,
            bold: false,
            first_word: 0.0,
        };
        let mut open =
            Self { run, edge: glyph.x0, blank: false, in_first_word: true, letters: 0, bold_letters: 0 };
        open.add(glyph, false);
        open
    }

    fn takes(&self, glyph: &Glyph) -> bool {
        let size = self.run.size.max(glyph.size);
        let rise = (glyph.y - self.run.y).abs();
        // Raised or lowered small type (notes, ordinals) belongs to its line.
        let level = rise < 0.25 * size || (rise < 0.55 * size && glyph.size < 0.8 * self.run.size);
        let gap = glyph.x0 - self.edge;
        level && gap > -0.6 * size && gap < CELL_GAP * size
    }

    fn add(&mut self, glyph: &Glyph, blank: bool) {
        if blank {
            self.blank = true;
            return;
        }
        let gap = glyph.x0 - self.edge;
        let apart = gap > WORD_GAP * self.run.size;
        // A printed blank that takes no room was moved back over: letter-spaced or overprinted text.
        let blank = self.blank && gap > 0.02 * self.run.size;
        if !self.run.text.is_empty() && (apart || blank) {
            self.run.text.push(' ');
            self.in_first_word = false;
        }
        self.run.text.push_str(&glyph.text);
        self.blank = false;
        self.edge = self.edge.max(glyph.x1);
        self.run.x1 = self.edge;
        if self.in_first_word {
            self.run.first_word = self.edge - self.run.x0;
        }
        if glyph.text.chars().any(char::is_alphanumeric) {
            self.letters += 1;
            self.bold_letters += usize::from(glyph.bold);
        }
    }

    fn close(mut self) -> Option<Run> {
        self.run.bold = self.letters > 0 && self.bold_letters * 10 >= self.letters * 9;
        (!self.run.text.trim().is_empty()).then_some(self.run)
    }
}
