//! What every format is reduced to before it becomes a text: lines in reading order.

/// One line (a paragraph, heading, table row or printed line) in reading order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Line {
    /// Its words, without line breaks.
    pub(crate) text: String,
    /// The format itself calls it a heading.
    pub(crate) heading: bool,
    /// Printed in bold from end to end.
    pub(crate) bold: bool,
    /// More room above than between the lines of a paragraph.
    pub(crate) gap: bool,
    /// Wrapped by the printer: it goes on where the line before ends.
    pub(crate) continues: bool,
    /// Page, from 1.
    pub(crate) page: Option<u32>,
    /// Its baseline on the page, points from the top, where the format has a place for it.
    pub(crate) y: Option<i32>,
}

impl Line {
    /// A line of running text.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// Collapses runs of blanks to one, keeps tabs (a cell ends there), drops control characters and soft hyphens.
pub(crate) fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let c = match c {
            '\t' => '\t',
            c if c.is_whitespace() => ' ',
            '\u{ad}' | '\u{200b}' | '\u{feff}' | '\u{2060}' => continue,
            c if c.is_control() => continue,
            c => c,
        };
        match (c, out.chars().next_back()) {
            (' ', None | Some(' ' | '\t')) => {}
            ('\t', Some(' ')) => {
                out.pop();
                out.push('\t');
            }
            _ => out.push(c),
        }
    }
    out.trim_matches([' ', '\t']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn blanks_collapse_and_cells_stay_apart() {
        assert_eq!(tidy("  YEAS:\t \u{a0}Green,\u{200b}  King \u{7}"), "YEAS:\tGreen, King");
        assert_eq!(tidy("one \t two"), "one\ttwo");
    }
}
