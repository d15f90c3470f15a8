//! Words as the verifier and the composer compare them.

use std::sync::LazyLock;

use regex::Regex;

static BROKEN_WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\w[-/])\s*\n\s*(\w)").expect("a fixed expression"));

/// White space made single, words broken at a line's end joined, soft hyphens dropped: what a claim does to its evidence.
pub(crate) fn normalise(text: &str) -> String {
    let joined = BROKEN_WORD.replace_all(text, "$1$2");
    let mut out = String::with_capacity(joined.len());
    for word in joined.split(|c: char| c.is_whitespace()).filter(|w| !w.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().filter(|c| *c != '\u{ad}' && *c != '\u{200b}'));
    }
    out
}

/// The words of a normalised text, lower case, without the marks around them.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        // `ACTION:Suspend` and `22.RESOLUTION` are two words, `10:30` and `M.C.S.` are one.
        .flat_map(|w| match (w.split_once(':'), w.split_once('.')) {
            (Some((a, b)), _) if b.starts_with(char::is_alphabetic) => [a, b],
            (_, Some((a, b)))
                if b.starts_with(char::is_alphabetic) && a.bytes().all(|c| c.is_ascii_digit()) =>
            {
                [a, b]
            }
            _ => [w, ""],
        })
        .map(|w| {
            w.trim_matches(|c: char| !c.is_alphanumeric() && c != '$' && c != '%')
                .to_lowercase()
                .replace('’', "'")
        })
        .filter(|w| !w.is_empty())
        .collect()
}

/// Whether the text ends with a point that does not end a sentence (an initial, `No.`, `Mr.`).
pub(crate) fn ends_in_abbreviation(text: &str) -> bool {
    let Some(word) =
        text.strip_suffix('.').and_then(|t| t.rsplit(|c: char| c.is_whitespace() || c == '(').next())
    else {
        return false;
    };
    let word = word.to_ascii_lowercase();
    word.len() <= 1
        || word.contains('.')
        || matches!(
            word.as_str(),
            "no" | "nos"
                | "mr"
                | "mrs"
                | "ms"
                | "dr"
                | "st"
                | "jr"
                | "sr"
                | "inc"
                | "cal"
                | "ord"
                | "res"
                | "sec"
                | "art"
                | "cm"
                | "cms"
                | "cn"
                | "dept"
                | "ave"
                | "blvd"
                | "vs"
                | "v"
                | "rev"
                | "hon"
                | "gov"
                | "sgt"
                | "lt"
                | "approx"
                | "et"
                | "al"
                | "ft"
                | "sq"
        )
}

/// The share of letters that are capitals, from 0 to 1.
pub(crate) fn capitals(text: &str) -> f32 {
    let (mut upper, mut all) = (0u32, 0u32);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        all += 1;
        upper += u32::from(c.is_uppercase());
    }
    if all == 0 { 0.0 } else { upper as f32 / all as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_broken_at_the_line_end_is_one_word() {
        assert_eq!(normalise("an HU-\nRM1  district \n of\u{ad} two"), "an HU-RM1 district of two");
    }

    #[test]
    fn initials_do_not_end_a_sentence() {
        assert!(ends_in_abbreviation("Ordinance No."));
        assert!(ends_in_abbreviation("Lora W."));
        assert!(ends_in_abbreviation("29,414 M.C.S."));
        assert!(!ends_in_abbreviation("Motion carried."));
    }
}
