//! HTML: the words a reader sees, block by block.
//!
//! The tags are read as they come, without building a tree: a tree of a hundred thousand unclosed tags takes hours.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use crate::line::{Line, tidy};

pub(crate) fn lines(html: &str) -> Vec<Line> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(html));
    let tokenizer = Tokenizer::new(Sink(RefCell::new(Page::default())), TokenizerOpts::default());
    // A script hands the input back after its end.
    while !input.is_empty() {
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    let mut page = tokenizer.sink.0.into_inner();
    page.end_block(false);
    page.lines
}

struct Sink(RefCell<Page>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut page = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => page.words(&text),
            Token::TagToken(tag) => return page.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
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
    /// The element being left out, and how many of its name are open.
    silent: Option<(String, usize)>,
}

/// Never shown, or no part of the document's own words.
const SILENT: [&str; 11] =
    ["script", "style", "noscript", "template", "title", "svg", "math", "nav", "iframe", "select", "object"];
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
    "head",
    "section",
    "summary",
    "table",
    "ul",
];

impl Page {
    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let (name, start) = (&*tag.name, tag.kind == TagKind::StartTag);
        if let Some((silent, open)) = &mut self.silent {
            if silent == name {
                *open = if start { *open + 1 } else { *open - 1 };
            }
            // A page cut short, or one that forgot to close its menu, still has a body.
            if *open == 0 || name == "body" {
                self.silent = None;
            }
        } else if start && !tag.self_closing && SILENT.contains(&name) {
            self.silent = Some((name.to_owned(), 1));
        } else if start {
            self.open(name);
        } else {
            self.close(name);
        }
        match name {
            "script" if start => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "noscript" | "iframe" if start => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" | "textarea" if start => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }

    fn open(&mut self, name: &str) {
        match name {
            "br" => self.end_block(false),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_block(true);
                self.heading = true;
            }
            "tr" => {
                self.end_block(false);
                self.row_from = Some(self.lines.len());
            }
            "td" | "th" => self.begin_cell(),
            "b" | "strong" => self.bold += 1,
            "pre" | "textarea" => {
                self.end_block(true);
                self.preformatted = true;
            }
            _ if BLOCKS.contains(&name) => self.end_block(self.stands_apart(name)),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_block(true);
                self.heading = false;
            }
            "tr" => {
                self.row_from = None;
                self.end_block(false);
            }
            "table" => {
                self.row_from = None;
                self.end_block(true);
            }
            "b" | "strong" => self.bold = self.bold.saturating_sub(1),
            "pre" | "textarea" => {
                self.preformatted = false;
                self.end_block(true);
            }
            _ if BLOCKS.contains(&name) => self.end_block(self.stands_apart(name)),
            _ => {}
        }
    }

    fn stands_apart(&self, name: &str) -> bool {
        matches!(name, "p" | "table" | "ul" | "ol" | "blockquote" | "section" | "article")
            && self.row_from.is_none()
    }

    fn words(&mut self, text: &str) {
        if self.silent.is_some() {
            return;
        }
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
