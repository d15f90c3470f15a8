//! HTML: the words a reader sees, block by block.

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

use crate::limits::MAX_DEPTH;
use crate::line::{Line, tidy};

pub(crate) fn lines(html: &str) -> Vec<Line> {
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(html);
    let mut page = Page::default();
    page.walk(&dom.document, 0);
    page.end_block(false);
    page.lines
}

#[derive(Default)]
struct Page {
    lines: Vec<Line>,
    text: String,
    gap: bool,
    heading: bool,
    preformatted: bool,
    /// Where the lines of the row being read begin.
    row_from: Option<usize>,
    letters: usize,
    bold_letters: usize,
    bold: usize,
}

/// Never shown, or no part of the document's own words.
const SILENT: [&str; 10] =
    ["script", "style", "noscript", "template", "head", "svg", "math", "nav", "iframe", "select"];
const BLOCKS: [&str; 30] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hr",
    "html",
    "legend",
    "li",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "ul",
];

impl Page {
    fn walk(&mut self, node: &Handle, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match &node.data {
            NodeData::Text { contents } => self.words(&contents.borrow()),
            NodeData::Element { name, .. } => self.element(&name.local, node, depth),
            _ => self.children(node, depth),
        }
    }

    fn children(&mut self, node: &Handle, depth: usize) {
        for child in node.children.borrow().iter() {
            self.walk(child, depth + 1);
        }
    }

    fn element(&mut self, name: &str, node: &Handle, depth: usize) {
        match name {
            _ if SILENT.contains(&name) => {}
            "br" => self.end_block(false),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_block(true);
                self.heading = true;
                self.children(node, depth);
                self.end_block(true);
                self.heading = false;
            }
            "tr" => {
                self.end_block(false);
                let outer = self.row_from.replace(self.lines.len());
                self.children(node, depth);
                self.row_from = outer;
                self.end_block(false);
            }
            "td" | "th" => {
                self.begin_cell();
                self.children(node, depth);
            }
            "b" | "strong" => {
                self.bold += 1;
                self.children(node, depth);
                self.bold -= 1;
            }
            "pre" | "textarea" => {
                self.end_block(true);
                self.preformatted = true;
                self.children(node, depth);
                self.preformatted = false;
                self.end_block(true);
            }
            _ if BLOCKS.contains(&name) => {
                let gap = matches!(name, "p" | "table" | "ul" | "ol" | "blockquote" | "section" | "article")
                    && self.row_from.is_none();
                self.end_block(gap);
                self.children(node, depth);
                self.end_block(gap);
            }
            _ => self.children(node, depth),
        }
    }

    fn words(&mut self, text: &str) {
        if self.preformatted {
            for (i, line) in text.lines().enumerate() {
                if i > 0 {
                    self.end_block(line.trim().is_empty());
                }
                self.text.push_str(line);
            }
            return;
        }
        let letters = text.chars().filter(|c| c.is_alphanumeric()).count();
        self.letters += letters;
        self.bold_letters += if self.bold > 0 { letters } else { 0 };
        // A tab in the source is blank space; in a line here it ends a cell.
        self.text.push_str(&text.replace('\t', " "));
    }

    /// A further cell goes on in the line of the cell before it.
    fn begin_cell(&mut self) {
        if self.text.trim().is_empty()
            && self.row_from.is_some_and(|from| from < self.lines.len())
            && let Some(before) = self.lines.pop()
        {
            self.text = before.text;
            self.gap = before.gap;
        }
        if !self.text.trim().is_empty() {
            self.text.push('\t');
        }
    }

    fn end_block(&mut self, gap: bool) {
        if self.row_from.is_some() && self.text.ends_with('\t') {
            return;
        }
        let text = tidy(&std::mem::take(&mut self.text));
        if !text.is_empty() {
            let bold = self.letters > 0 && self.bold_letters * 10 >= self.letters * 9;
            let gap = self.gap && !self.lines.is_empty();
            self.lines.push(Line { text, heading: self.heading, bold, gap, ..Line::default() });
            self.gap = false;
        }
        (self.letters, self.bold_letters) = (0, 0);
        self.gap |= gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_rows_and_headings() {
        let lines = lines(
            "<html><head><title>x</title><script>no()</script></head><body><h2>Roll <i>call</i></h2>\
             <p>Present:\n <b>Green</b>&nbsp;&amp; King<br>Absent: none</p>\
             <table><tr><th>YEAS</th><td><p>5</p></td></tr></table></body>",
        );
        let seen: Vec<_> = lines.iter().map(|l| (l.text.as_str(), l.heading)).collect();
        assert_eq!(
            seen,
            [
                ("Roll call", true),
                ("Present: Green & King", false),
                ("Absent: none", false),
                ("YEAS\t5", false)
            ]
        );
    }
}
