//! What the end of a line means: nothing where a paragraph was wrapped, the end of a sentence where a list goes on.

/// The lines of a text and the width it was wrapped at.
pub(super) struct Lines<'t> {
    text: &'t str,
    /// Lines at least this long (bytes) were broken for want of room; `None` where the text is not wrapped.
    full: Option<usize>,
}

/// Wrapped text has lines of about 60 to 130 characters; longer ones are paragraphs on one line.
const WIDEST: usize = 140;

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut lengths: Vec<usize> = text.lines().map(|l| l.trim().len()).filter(|l| *l > 0).collect();
        let place = lengths.len() * 9 / 10;
        let wide = if lengths.is_empty() { 0 } else { *lengths.select_nth_unstable(place).1 };
        // A wrapped line misses the width by at most the word that did not fit.
        Self { text, full: (wide <= WIDEST).then_some((wide * 3 / 5).max(40)) }
    }

    /// Whether the line break at byte `at` ends a sentence.
    pub(super) fn ends_sentence(&self, at: usize) -> bool {
        let line = self.text[..at].rsplit('\n').next().unwrap_or_default().trim();
        let rest = &self.text[at + 1..];
        let next = rest.lines().next().unwrap_or_default().trim();
        if line.is_empty() || next.is_empty() || line.ends_with(':') || is_item(next) || is_label(next) {
            return true;
        }
        if next.starts_with(char::is_lowercase)
            || line.ends_with([',', '-', '&'])
            || (line.ends_with(['.', ')']) && is_item_number(line))
        {
            return false;
        }
        self.full.is_none_or(|full| line.len() < full)
    }
}

/// A short line that names what stands under it: "MOVED BY:".
fn is_label(line: &str) -> bool {
    line.ends_with(':') && line.len() <= 40 && line.starts_with(char::is_alphabetic)
}

/// "1. Roll call", "(a) …", "• …": a line that begins an item of a list.
fn is_item(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    if matches!(first, "•" | "-" | "–" | "—" | "*" | "·" | "o" | "" | "▪") {
        return true;
    }
    let number = first.trim_start_matches('(').trim_end_matches(['.', ')']);
    number.len() < first.len() && is_item_number(number)
}

/// "12", "B", "iv", "2.1": what items are numbered with. A full stop or bracket after it is allowed.
pub(super) fn is_item_number(word: &str) -> bool {
    let word = word.trim_start_matches('(').trim_end_matches(['.', ')']);
    let numbered = |part: &str| {
        !part.is_empty()
            && part.len() <= 5
            && (part.chars().all(|c| c.is_ascii_digit())
                || part.len() == 1 && part.starts_with(|c: char| c.is_ascii_alphabetic())
                || part.chars().all(|c| "ivxIVX".contains(c)))
    };
    !word.is_empty() && word.split('.').all(numbered)
}
