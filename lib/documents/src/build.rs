//! Lines to a text version: words, sections and marks with offsets that agree.

use cs_core::document::{ExtractedText, Mark, Section};

use crate::heading::is_heading;
use crate::line::Line;

/// Grows a text and counts its code points once.
#[derive(Default)]
pub(crate) struct TextBuilder {
    text: String,
    at: u32,
    sections: Vec<Section>,
    marks: Vec<Mark>,
}

impl TextBuilder {
    /// Code points so far.
    pub(crate) fn at(&self) -> u32 {
        self.at
    }

    /// Appends words as they are.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.at = self.at.saturating_add(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
    }

    /// From here on, text stands on `page` or was said at `time_ms`.
    pub(crate) fn mark(&mut self, page: Option<u32>, time_ms: Option<u64>) {
        let mark = Mark { at: self.at, page, time_ms };
        match self.marks.last_mut() {
            // A page without text leaves no mark: the later one holds at this offset.
            Some(last) if last.at == mark.at => *last = mark,
            _ => self.marks.push(mark),
        }
    }

    /// Begins a section here; the one before ends here.
    pub(crate) fn section(&mut self, heading: Option<String>) {
        self.close();
        let now = self.marks.last().copied();
        self.sections.push(Section {
            ordinal: u32::try_from(self.sections.len()).unwrap_or(u32::MAX),
            heading,
            start: self.at,
            end: self.at,
            page: now.and_then(|m| m.page),
            time_ms: now.and_then(|m| m.time_ms),
        });
    }

    fn close(&mut self) {
        if let Some(last) = self.sections.last_mut() {
            last.end = self.at;
        }
    }

    /// The finished text. Section ends leave out the blank lines that part them from the next.
    pub(crate) fn finish(mut self) -> ExtractedText {
        self.close();
        let chars: Vec<char> = self.text.chars().collect();
        for section in &mut self.sections {
            while section.end > section.start && chars[section.end as usize - 1].is_whitespace() {
                section.end -= 1;
            }
        }
        self.sections.retain(|s| s.end > s.start);
        for (i, section) in self.sections.iter_mut().enumerate() {
            section.ordinal = u32::try_from(i).unwrap_or(u32::MAX);
        }
        ExtractedText { text: self.text, sections: self.sections, marks: self.marks }
    }
}

/// Joins lines: wrapped ones by a blank, others by a newline, paragraphs apart by an empty line.
pub(crate) fn text_of(lines: &[Line]) -> ExtractedText {
    let mut builder = TextBuilder::default();
    let mut page = None;
    for (i, line) in lines.iter().enumerate() {
        if line.text.is_empty() {
            continue;
        }
        let first = builder.at() == 0;
        // A hyphen at the end of a printed line is left as printed: only the writer knows whether it belongs to the word.
        let hyphenated = i > 0 && lines[i - 1].text.ends_with('-') && !lines[i - 1].text.ends_with(" -");
        if !first {
            builder.push(match (line.continues, hyphenated, line.gap) {
                (true, false, _) => " ",
                (true, true, _) | (false, _, false) => "\n",
                (false, _, true) => "\n\n",
            });
        }
        if line.page.is_some() && line.page != page {
            page = line.page;
            builder.mark(page, None);
        }
        if !line.continues {
            let whole = paragraph(lines, i);
            if line.heading || is_heading(&whole, line.bold) {
                builder.section(Some(whole));
            } else if first {
                builder.section(None);
            }
        }
        builder.push(&line.text);
    }
    builder.finish()
}

/// The words of the paragraph that begins at a line.
fn paragraph(lines: &[Line], first: usize) -> String {
    let mut whole = lines[first].text.clone();
    for line in lines[first + 1..].iter().take_while(|l| l.continues) {
        whole.push(' ');
        whole.push_str(&line.text);
    }
    whole.replace('\t', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cs_core::document::slice_code_points;

    #[test]
    fn offsets_agree_with_the_words() {
        let mut lines = vec![
            Line { page: Some(1), ..Line::plain("Année 🏛 of the Council") },
            Line { page: Some(1), gap: true, ..Line::plain("1. ROLL CALL OF THE") },
            Line { page: Some(2), continues: true, ..Line::plain("MEMBERS") },
            Line { page: Some(2), ..Line::plain("All were present.") },
        ];
        lines[3].gap = true;
        let text = text_of(&lines);
        assert_eq!(text.text, "Année 🏛 of the Council\n\n1. ROLL CALL OF THE MEMBERS\n\nAll were present.");
        assert_eq!(text.sections.len(), 2);
        let item = &text.sections[1];
        assert_eq!(item.heading.as_deref(), Some("1. ROLL CALL OF THE MEMBERS"));
        assert_eq!(
            slice_code_points(&text.text, item.start, item.end),
            Some("1. ROLL CALL OF THE MEMBERS\n\nAll were present.")
        );
        let members = u32::try_from(text.text.chars().take_while(|c| *c != 'M').count()).unwrap();
        let at = text.marks[1].at;
        assert!(slice_code_points(&text.text, at, at + 7) == Some("MEMBERS"), "{members} {at}");
    }
}
