//! The flow of a WordprocessingML part (ECMA-376 part 1, chapter 17).

use std::collections::HashSet;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::error::ExtractError;
use crate::limits::MAX_DEPTH;
use crate::line::{Line, tidy};

/// A paragraph being read.
#[derive(Default)]
struct Paragraph {
    text: String,
    heading: bool,
    letters: usize,
    bold_letters: usize,
}

/// A table being read; cells hold finished paragraphs.
#[derive(Default)]
struct Table {
    rows: Vec<Vec<Vec<Line>>>,
}

#[derive(Default)]
struct Reading {
    lines: Vec<Line>,
    paragraphs: Vec<Paragraph>,
    tables: Vec<Table>,
    /// Lines of text boxes, which follow the paragraph they are anchored in.
    boxes: Vec<Line>,
    bold: bool,
    in_text: bool,
    in_run_properties: bool,
}

pub(super) fn lines(xml: &[u8], headings: &HashSet<String>) -> Result<Vec<Line>, ExtractError> {
    let mut reader = Reader::from_reader(xml);
    let mut reading = Reading::default();
    let mut buffer = Vec::new();
    let mut depth = 0usize;
    loop {
        match reader.read_event_into(&mut buffer).map_err(damaged)? {
            Event::Start(e) => {
                // Left out: the second copy of a drawing for old readers, and what a reviewer has struck.
                if matches!(e.local_name().as_ref(), "Fallback" | "del" | "moveFrom") {
                    let end = e.to_end().into_owned();
                    reader.read_to_end_into(end.name(), &mut Vec::new()).map_err(damaged)?;
                    continue;
                }
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ExtractError::Damaged("it nests too deep".into()));
                }
                reading.open(&e, headings);
            }
            Event::Empty(e) => reading.empty(&e, headings),
            Event::End(e) => {
                depth = depth.saturating_sub(1);
                reading.close(e.local_name().as_ref());
            }
            Event::Text(e) if reading.in_text => reading.words(&e),
            Event::GeneralRef(e) if reading.in_text => {
                let name: &str = &e;
                let word = match e.resolve_char_ref() {
                    Ok(Some(c)) => c.to_string(),
                    _ => quick_xml::escape::resolve_predefined_entity(name).unwrap_or_default().to_owned(),
                };
                reading.words(&word);
            }
            Event::CData(e) if reading.in_text => reading.words(&e),
            Event::Eof => break,
            _ => {}
        }
        buffer.clear();
    }
    Ok(reading.lines)
}

impl Reading {
    fn open(&mut self, e: &BytesStart<'_>, headings: &HashSet<String>) {
        match e.local_name().as_ref() {
            "p" => self.paragraphs.push(Paragraph::default()),
            "tbl" => self.tables.push(Table::default()),
            "tr" => {
                if let Some(table) = self.tables.last_mut() {
                    table.rows.push(Vec::new());
                }
            }
            "tc" => {
                if let Some(row) = self.tables.last_mut().and_then(|t| t.rows.last_mut()) {
                    row.push(Vec::new());
                }
            }
            "r" => self.bold = false,
            "rPr" => self.in_run_properties = true,
            "t" => self.in_text = true,
            _ => self.empty(e, headings),
        }
    }

    fn empty(&mut self, e: &BytesStart<'_>, headings: &HashSet<String>) {
        match e.local_name().as_ref() {
            "tab" if !self.in_properties(e) => self.words("\t"),
            "br" | "cr" => self.words("\n"),
            "noBreakHyphen" => self.words("-"),
            "b" if self.in_run_properties => {
                self.bold = attribute(e, "val").is_none_or(|v| !matches!(v.as_str(), "0" | "false" | "off"));
            }
            "pStyle" => {
                let style = attribute(e, "val").unwrap_or_default();
                if let Some(p) = self.paragraphs.last_mut() {
                    p.heading |= headings.contains(&style);
                }
            }
            "outlineLvl" => {
                if let Some(p) = self.paragraphs.last_mut() {
                    p.heading |= attribute(e, "val").is_some_and(|v| v != "9");
                }
            }
            _ => {}
        }
    }

    /// A `tab` in paragraph properties is a tab stop, not a character.
    fn in_properties(&self, e: &BytesStart<'_>) -> bool {
        attribute(e, "pos").is_some() || attribute(e, "val").is_some()
    }

    fn words(&mut self, text: &str) {
        if let Some(p) = self.paragraphs.last_mut() {
            let letters = text.chars().filter(|c| c.is_alphanumeric()).count();
            p.letters += letters;
            p.bold_letters += if self.bold { letters } else { 0 };
            p.text.push_str(text);
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "t" => self.in_text = false,
            "rPr" => self.in_run_properties = false,
            "p" => self.end_paragraph(),
            "tbl" => self.end_table(),
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        let Some(p) = self.paragraphs.pop() else { return };
        let bold = p.letters > 0 && p.bold_letters * 10 >= p.letters * 9;
        let mut lines: Vec<Line> = Vec::new();
        // A paragraph may hold printed lines parted by breaks; two breaks part paragraphs within it.
        let mut gap = false;
        for raw in p.text.split('\n') {
            let text = tidy(raw);
            if text.is_empty() {
                gap = true;
            } else {
                lines.push(Line { text, heading: p.heading, bold, gap, ..Line::default() });
                gap = false;
            }
        }
        if p.heading && lines.len() > 1 {
            // One heading on several lines.
            for line in &mut lines[1..] {
                line.continues = true;
            }
        }
        if !self.paragraphs.is_empty() {
            self.boxes.extend(lines);
            return;
        }
        lines.append(&mut self.boxes);
        if p.heading
            && let Some(first) = lines.first_mut()
        {
            first.gap = true;
        }
        self.put(lines);
    }

    fn put(&mut self, lines: Vec<Line>) {
        match self.tables.last_mut().and_then(|t| t.rows.last_mut()).and_then(|r| r.last_mut()) {
            Some(cell) => cell.extend(lines),
            None => self.lines.extend(lines),
        }
    }

    fn end_table(&mut self) {
        let Some(table) = self.tables.pop() else { return };
        let mut lines = Vec::new();
        for row in table.rows {
            lines.extend(row_lines(row));
        }
        if self.paragraphs.is_empty() { self.put(lines) } else { self.boxes.extend(lines) }
    }
}

/// A row: cells parted by tabs; further paragraphs of a cell on lines of their own.
fn row_lines(cells: Vec<Vec<Line>>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut blank = 0;
    for cell in cells {
        if cell.is_empty() {
            blank += 1;
            continue;
        }
        let mut cell = cell.into_iter();
        if let Some(last) = lines.last_mut() {
            let first = cell.next().unwrap_or_default();
            last.text.push_str(&"\t".repeat(1 + blank));
            last.text.push_str(&first.text);
            last.bold &= first.bold;
            last.heading |= first.heading;
        }
        lines.extend(cell);
        blank = 0;
    }
    lines
}

pub(super) fn attribute(e: &BytesStart<'_>, name: &str) -> Option<String> {
    e.attributes().flatten().find(|a| a.key.local_name().as_ref() == name).map(|a| a.value.into_owned())
}

pub(super) fn damaged(e: impl std::fmt::Display) -> ExtractError {
    ExtractError::Damaged(format!("its XML is broken: {e}"))
}
