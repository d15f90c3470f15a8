//! RTF 1.9: the words, their paragraphs and rows.

use encoding_rs::{Encoding, WINDOWS_1252};

use crate::error::ExtractError;
use crate::limits::MAX_DEPTH;
use crate::line::{Line, tidy};

/// What a group changes and its end restores.
#[derive(Clone, Copy)]
struct State {
    /// Not part of the text: font tables, pictures, field instructions.
    silent: bool,
    bold: bool,
    /// How many fallback characters follow a `\u`.
    fallback: usize,
}

struct Rtf<'a> {
    bytes: &'a [u8],
    at: usize,
    state: State,
    stack: Vec<State>,
    encoding: &'static Encoding,
    /// Bytes of the code page not yet decoded.
    pending: Vec<u8>,
    high: Option<u16>,
    text: String,
    heading: bool,
    letters: usize,
    bold_letters: usize,
    gap: bool,
    lines: Vec<Line>,
}

/// Destinations without words of the document.
const SILENT: [&str; 22] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "fldinst",
    "header",
    "headerl",
    "headerr",
    "headerf",
    "footer",
    "footerl",
    "footerr",
    "footerf",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "themedata",
    "datastore",
    "xmlnstbl",
    "generator",
];

pub(crate) fn lines(bytes: &[u8]) -> Result<Vec<Line>, ExtractError> {
    let mut rtf = Rtf {
        bytes,
        at: 0,
        state: State { silent: false, bold: false, fallback: 1 },
        stack: Vec::new(),
        encoding: WINDOWS_1252,
        pending: Vec::new(),
        high: None,
        text: String::new(),
        heading: false,
        letters: 0,
        bold_letters: 0,
        gap: false,
        lines: Vec::new(),
    };
    rtf.run()?;
    rtf.end_line();
    Ok(rtf.lines)
}

impl Rtf<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn run(&mut self) -> Result<(), ExtractError> {
        while let Some(byte) = self.next() {
            match byte {
                b'{' => {
                    self.flush();
                    self.stack.push(self.state);
                    if self.stack.len() > MAX_DEPTH {
                        return Err(ExtractError::Damaged("it nests too deep".into()));
                    }
                }
                b'}' => {
                    self.flush();
                    match self.stack.pop() {
                        Some(outer) => self.state = outer,
                        None => return Ok(()),
                    }
                }
                b'\\' => self.control(),
                b'\r' | b'\n' => {}
                byte => self.pending.push(byte),
            }
        }
        self.flush();
        // The last brace is missing: the file was cut off.
        if self.stack.is_empty() {
            Ok(())
        } else {
            Err(ExtractError::Damaged("it ends in the middle".into()))
        }
    }

    fn control(&mut self) {
        let Some(first) = self.next() else { return };
        if !first.is_ascii_alphabetic() {
            match first {
                b'\'' => {
                    let digits =
                        self.bytes.get(self.at..self.at + 2).and_then(|d| std::str::from_utf8(d).ok());
                    if let Some(byte) = digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
                        self.pending.push(byte);
                        self.at += 2;
                    }
                }
                b'~' => self.put("\u{a0}"),
                b'_' => self.put("-"),
                b'*' => self.state.silent = true,
                b'\\' | b'{' | b'}' => self.pending.push(first),
                b'\r' | b'\n' => self.end_line(),
                _ => {}
            }
            return;
        }
        let start = self.at - 1;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_alphabetic) {
            self.at += 1;
        }
        let word = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default().to_owned();
        let digits = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        let number =
            std::str::from_utf8(&self.bytes[digits..self.at]).ok().and_then(|n| n.parse::<i64>().ok());
        if self.bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.word(&word, number);
    }

    fn word(&mut self, word: &str, number: Option<i64>) {
        match word {
            "par" | "line" | "row" | "sect" | "page" => self.end_line(),
            "tab" | "cell" | "nestcell" => self.put("\t"),
            "pard" => self.heading = false,
            "outlinelevel" => self.heading = number.is_some_and(|n| n < 9),
            "b" => {
                self.flush();
                self.state.bold = number != Some(0);
            }
            "plain" => {
                self.flush();
                self.state.bold = false;
            }
            "emdash" => self.put("—"),
            "endash" => self.put("–"),
            "lquote" => self.put("‘"),
            "rquote" => self.put("’"),
            "ldblquote" => self.put("“"),
            "rdblquote" => self.put("”"),
            "bullet" => self.put("•"),
            "ansicpg" => {
                let label = format!("windows-{}", number.unwrap_or(1252));
                self.encoding = Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252);
            }
            "mac" => self.encoding = encoding_rs::MACINTOSH,
            "uc" => self.state.fallback = number.and_then(|n| usize::try_from(n).ok()).unwrap_or(1).min(8),
            "u" => self.unicode(number.unwrap_or(63)),
            "bin" => {
                let skip = number.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
                self.at = self.at.saturating_add(skip).min(self.bytes.len());
            }
            // The result of a field and the words of a shape are shown although their group may be optional.
            "fldrslt" | "shptxt" => {
                self.state.silent = self.stack.last().is_some_and(|s| s.silent && word == "fldrslt")
            }
            _ if SILENT.contains(&word) => self.state.silent = true,
            _ => {}
        }
    }

    /// `\u8217` and its fallback; characters beyond the first plane come as two halves.
    fn unicode(&mut self, number: i64) {
        self.flush();
        let unit = u16::try_from(number.rem_euclid(65_536)).unwrap_or(0xfffd);
        match (self.high.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let pair: String = char::decode_utf16([high, unit]).flatten().collect();
                self.put(&pair);
            }
            (_, 0xd800..=0xdbff) => self.high = Some(unit),
            (_, unit) => {
                let one: String = char::decode_utf16([unit]).flatten().collect();
                self.put(&one);
            }
        }
        for _ in 0..self.state.fallback {
            match self.bytes.get(self.at) {
                Some(b'\\') if self.bytes.get(self.at + 1) == Some(&b'\'') => self.at += 4,
                Some(b'\\' | b'{' | b'}') | None => break,
                Some(_) => self.at += 1,
            }
        }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let bytes = std::mem::take(&mut self.pending);
            let words = self.encoding.decode_without_bom_handling(&bytes).0.into_owned();
            self.add(&words);
        }
    }

    fn put(&mut self, words: &str) {
        self.flush();
        self.add(words);
    }

    fn add(&mut self, words: &str) {
        if !self.state.silent {
            let letters = words.chars().filter(|c| c.is_alphanumeric()).count();
            self.letters += letters;
            self.bold_letters += if self.state.bold { letters } else { 0 };
            self.text.push_str(words);
        }
    }

    fn end_line(&mut self) {
        self.flush();
        if self.state.silent {
            return;
        }
        let text = tidy(&std::mem::take(&mut self.text));
        if text.is_empty() {
            self.gap = !self.lines.is_empty();
        } else {
            let bold = self.letters > 0 && self.bold_letters * 10 >= self.letters * 9;
            self.lines.push(Line { text, heading: self.heading, bold, gap: self.gap, ..Line::default() });
            self.gap = false;
        }
        (self.letters, self.bold_letters) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_their_controls() {
        let lines = lines(
            b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}}{\\*\\generator Word;}\\pard\\outlinelevel0\\b MINUTES\\b0\\par\n\
              \\pard Caf\\'e9 \\u8212?\\u-10179?\\u-8999? seconded \\{x\\}\\par\\par YEAS:\\tab 5\\par}",
        )
        .unwrap();
        let seen: Vec<_> = lines.iter().map(|l| (l.text.as_str(), l.heading, l.gap)).collect();
        assert_eq!(
            seen,
            [("MINUTES", true, false), ("Café —📙 seconded {x}", false, false), ("YEAS:\t5", false, true)]
        );
    }

    #[test]
    fn a_cut_file_is_damaged() {
        assert!(matches!(lines(b"{\\rtf1 The council"), Err(ExtractError::Damaged(_))));
    }
}
