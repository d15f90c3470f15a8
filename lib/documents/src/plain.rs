//! Plain text and Markdown.

use crate::line::{Line, tidy};

/// Lines as they stand; a blank line makes a gap.
pub(crate) fn text_lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut gap = false;
    for raw in text.split(['\n', '\r', '\u{c}', '\u{2028}', '\u{2029}']) {
        let words = tidy(raw);
        if words.is_empty() {
            gap = true;
        } else {
            lines.push(Line { gap: gap && !lines.is_empty(), ..Line::plain(words) });
            gap = false;
        }
    }
    lines
}

/// Markdown: `#` and underlined headings; the words as written, since quotes are taken from them.
pub(crate) fn markdown_lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut gap, mut fenced) = (false, false);
    for raw in text.lines() {
        let words = tidy(raw);
        if words.starts_with("```") || words.starts_with("~~~") {
            fenced = !fenced;
            continue;
        }
        if words.is_empty() {
            gap = true;
            continue;
        }
        let hashes = words.bytes().take_while(|b| *b == b'#').count();
        let underline =
            words.len() >= 3 && (words.bytes().all(|b| b == b'=') || words.bytes().all(|b| b == b'-'));
        if underline && !fenced {
            match lines.last_mut() {
                Some(last) if !gap => last.heading = true,
                _ => gap = true,
            }
            continue;
        }
        let mut line = Line { gap: gap && !lines.is_empty(), ..Line::plain(words.clone()) };
        if !fenced && (1..=6).contains(&hashes) && words[hashes..].starts_with(' ') {
            words[hashes..].trim().trim_end_matches('#').trim_end().clone_into(&mut line.text);
            line.heading = true;
        } else if !fenced {
            line.text = cells(&words);
        }
        if !line.text.is_empty() {
            lines.push(line);
            gap = false;
        }
    }
    lines
}

/// A table row with tabs between its cells; the rule under a table's head is dropped.
fn cells(words: &str) -> String {
    let Some(inner) = words.strip_prefix('|') else { return words.to_owned() };
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    if inner.chars().all(|c| "|-: ".contains(c)) {
        return String::new();
    }
    inner.split('|').map(str::trim).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_headings_and_tables() {
        let lines = markdown_lines(
            "# Minutes\n\nCalled to order.\n\nRoll call\n---------\n| YEAS | 5 |\n|---|---|\n| NAYS | 0 |\n",
        );
        let seen: Vec<_> = lines.iter().map(|l| (l.text.as_str(), l.heading)).collect();
        assert_eq!(
            seen,
            [
                ("Minutes", true),
                ("Called to order.", false),
                ("Roll call", true),
                ("YEAS\t5", false),
                ("NAYS\t0", false)
            ]
        );
    }
}
