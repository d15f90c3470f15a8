//! The glyphs a page draws, with where they stand.

use hayro_interpret::font::{Glyph as Drawn, GlyphRun};
use hayro_interpret::hayro_cmap::BfString;
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect};
use hayro_interpret::{BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, SoftMask};

/// A glyph in page space: points, y downwards.
#[derive(Clone, Debug)]
pub(super) struct Glyph {
    pub(super) text: String,
    pub(super) x0: f64,
    pub(super) x1: f64,
    /// Baseline.
    pub(super) y: f64,
    /// Height of the type.
    pub(super) size: f64,
    pub(super) bold: bool,
}

/// Collects glyphs instead of drawing.
pub(super) struct Glyphs {
    pub(super) found: Vec<Glyph>,
    /// Visible glyphs no character is known for.
    pub(super) nameless: usize,
    pub(super) images: usize,
    area: Rect,
}

impl Glyphs {
    pub(super) fn new(area: Rect) -> Self {
        // A little beyond the paper is still text of the page; far beyond it is a printer's mark.
        Self { found: Vec::new(), nameless: 0, images: 0, area: area.inflate(2.0, 2.0) }
    }

    fn place(&mut self, text: String, transform: Affine, advance: f64, bold: bool) {
        // Glyph space is 1000 units to the em.
        let (from, to) = (transform * Point::ZERO, transform * Point::new(advance, 0.0));
        let up = transform * Point::new(0.0, 1000.0);
        let size = (up - from).hypot();
        // Text that runs up or down the margin is furniture (stamps, watermarks).
        let level = (to.y - from.y).abs() <= 0.3 * (to.x - from.x).abs() + 0.01 * size;
        if !(size > 0.5 && level && self.area.contains(from)) {
            return;
        }
        let repeat = |g: &Glyph| {
            g.text == text && (g.x0 - from.x).abs() < 0.08 * size && (g.y - from.y).abs() < 0.08 * size
        };
        // Bold is sometimes made by printing twice, a shade apart.
        if text.trim().is_empty() || !self.found.iter().rev().take(200).any(repeat) {
            self.found.push(Glyph {
                text,
                x0: from.x.min(to.x),
                x1: to.x.max(from.x),
                y: from.y,
                size,
                bold,
            });
        }
    }
}

impl<'a> Device<'a> for Glyphs {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, _: &DrawMode) {
        let bold = run.glyphs().first().is_some_and(|g| is_bold(g));
        for glyph in run.glyphs() {
            let advance = match &**glyph {
                Drawn::Outline(g) => g.advance_width(),
                Drawn::Type3(g) => g.advance_width(),
            };
            let text = match glyph.as_unicode() {
                Some(BfString::Char(c)) => c.to_string(),
                Some(BfString::String(s)) => s,
                None => String::new(),
            };
            let text = plain_letters(&text);
            if text.is_empty() {
                self.nameless += 1;
                continue;
            }
            self.place(text, props.transform * glyph.transform(), f64::from(advance.unwrap_or(500.0)), bold);
        }
    }

    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {
        self.images += 1;
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {}
    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_clip_rect(&mut self, _: &Rect) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
    fn draw_rect(&mut self, _: &Rect, _: DrawProps<'a>, _: &DrawMode) {}
}

fn is_bold(glyph: &Drawn<'_>) -> bool {
    let Drawn::Outline(glyph) = glyph else { return false };
    glyph.font_data().is_some_and(|font| {
        font.weight.is_some_and(|w| w >= 600)
            || font
                .postscript_name
                .is_some_and(|n| n.contains("Bold") || n.contains("Black") || n.contains("Heavy"))
    })
}

/// Ligatures as the letters they stand for; characters of no meaning (private use, replacement) as nothing.
fn plain_letters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'ﬀ' => out.push_str("ff"),
            'ﬁ' => out.push_str("fi"),
            'ﬂ' => out.push_str("fl"),
            'ﬃ' => out.push_str("ffi"),
            'ﬄ' => out.push_str("ffl"),
            // Symbol fonts put their bullet here.
            '\u{f0b7}' | '\u{f0a7}' | '\u{f0d8}' => out.push('•'),
            '\u{e000}'..='\u{f8ff}' | '\u{fffd}' | '\0' => {}
            c => out.push(c),
        }
    }
    out
}
