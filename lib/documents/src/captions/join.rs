//! Cues to flowing text: rolling captions once, a line a speaker, a section about every five minutes.

use cs_core::document::ExtractedText;

use super::Cue;
use crate::build::TextBuilder;
use crate::line::tidy;

/// A section is at least this long, milliseconds; it ends at the next change of speaker where those are marked.
const SECTION_MS: u64 = 5 * 60 * 1000;
/// It ends here even in the middle of a speech.
const LONGEST_SECTION_MS: u64 = 2 * SECTION_MS;
/// How far back a rolling caption may repeat, words.
const ROLL_WORDS: usize = 40;

pub(super) fn join(cues: &[Cue]) -> ExtractedText {
    let mut builder = TextBuilder::default();
    let speakers_marked = cues.iter().any(|c| c.speaker.is_some() || c.text.contains(">>"));
    let mut said: Vec<String> = Vec::new();
    let mut section_from: Option<u64> = None;
    let mut speaker: Option<&str> = None;
    for cue in cues {
        let fresh = fresh_words(&said, &cue.text);
        let changed = cue.speaker.is_some() && cue.speaker.as_deref() != speaker;
        for (i, turn) in turns(&fresh).into_iter().enumerate() {
            let new_turn = i > 0 || turn.begins || changed;
            let words = tidy(&turn.words);
            if words.is_empty() {
                continue;
            }
            let lasted = section_from.map(|from| cue.start.saturating_sub(from));
            let new_section = match lasted {
                None => true,
                Some(ms) => ms >= LONGEST_SECTION_MS || (ms >= SECTION_MS && (new_turn || !speakers_marked)),
            };
            if builder.at() > 0 {
                builder.push(if new_section {
                    "\n\n"
                } else if new_turn {
                    "\n"
                } else {
                    " "
                });
            }
            builder.mark(None, Some(cue.start));
            if new_section {
                builder.section(None);
                section_from = Some(cue.start);
            }
            if let (true, 0, Some(name)) = (changed, i, &cue.speaker) {
                builder.push(&format!("{name}: "));
            }
            builder.push(&words);
        }
        if cue.speaker.is_some() {
            speaker = cue.speaker.as_deref();
        }
        said.extend(fresh.split_whitespace().map(str::to_owned));
        if said.len() > 4 * ROLL_WORDS {
            said.drain(..said.len() - ROLL_WORDS);
        }
    }
    builder.finish()
}

struct Turn {
    words: String,
    begins: bool,
}

/// Splits at `>>`, the captioner's sign for another speaker; the sign stays as published.
fn turns(text: &str) -> Vec<Turn> {
    let mut turns = Vec::new();
    for (i, part) in text.split(">>").enumerate() {
        if i == 0 {
            if !part.trim().is_empty() {
                turns.push(Turn { words: part.to_owned(), begins: false });
            }
        } else {
            turns.push(Turn { words: format!(">>{part}"), begins: true });
        }
    }
    turns
}

/// The words of a cue that the cues before it have not shown: live captions roll, each repeating the line above it.
fn fresh_words(said: &[String], text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    // Only whole lines roll: a repeat is the cue's first line(s), or the cue entire.
    let mut ends = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        count += line.split_whitespace().count();
        ends.push(count);
    }
    let repeat = ends
        .into_iter()
        .rev()
        .filter(|n| (2..=ROLL_WORDS).contains(n) && *n <= said.len())
        .find(|n| said[said.len() - n..].iter().zip(&words).all(|(a, b)| a == b))
        .unwrap_or(0);
    words[repeat..].join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cs_core::document::slice_code_points;

    fn cue(start: u64, text: &str) -> Cue {
        Cue { start, text: text.into(), speaker: None }
    }

    #[test]
    fn rolling_captions_are_kept_once() {
        let text = join(&[
            cue(0, "good morning everyone"),
            cue(1000, "good morning everyone\nthe meeting will come"),
            cue(2000, "the meeting will come\nto order"),
            cue(3000, "order order"),
        ]);
        assert_eq!(text.text, "good morning everyone the meeting will come to order order order");
        let to = text.marks.iter().find(|m| m.time_ms == Some(2000)).unwrap().at;
        assert_eq!(slice_code_points(&text.text, to, to + 8), Some("to order"));
    }

    #[test]
    fn speakers_begin_lines_and_long_talks_sections() {
        let text = join(&[
            cue(0, ">> Thank you. >> Is there a second?"),
            cue(200_000, "Second."),
            cue(400_000, ">> All in favor?"),
        ]);
        assert_eq!(text.text, ">> Thank you.\n>> Is there a second? Second.\n\n>> All in favor?");
        assert_eq!(text.sections.len(), 2);
        assert_eq!(text.sections[1].time_ms, Some(400_000));
    }
}
