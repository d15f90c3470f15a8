//! Words as a measure of length.

use std::ops::Range;

/// No word of a council's language is longer, and one token of the model seldom is shorter than a character.
const LONGEST: usize = 16;

/// Byte ranges of the words of a text: what stands between white space, cut every [`LONGEST`] characters.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut room = 0;
    for (at, char) in text.char_indices() {
        if char.is_whitespace() {
            room = 0;
            continue;
        }
        let end = at + char.len_utf8();
        match words.last_mut() {
            Some(word) if room > 0 => {
                word.end = end;
                room -= 1;
            }
            _ => {
                words.push(at..end);
                room = LONGEST - 1;
            }
        }
    }
    words
}
