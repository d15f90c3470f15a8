//! One spelling for what readers take as the same word, so that the index and the query meet.

use unicode_normalization::UnicodeNormalization;

/// Lower case, without diacritics, compatibility forms replaced (NFKD, then NFC): "Année № 5" is "annee no 5".
///
/// Only the marks that Latin, Greek and Cyrillic write over letters are dropped; the vowel signs of Indic scripts are
/// marks too, but without them the words would be others. Folding twice changes nothing more.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for char in text.nfkd().filter(|c| !is_diacritic(*c)).flat_map(char::to_lowercase) {
        match plain(char) {
            Some(plain) => folded.push_str(plain),
            None => folded.push(char),
        }
    }
    folded.nfc().collect()
}

/// The combining diacritical blocks of Unicode.
fn is_diacritic(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Letters that carry their difference within, which no normalisation form takes off, and typographic punctuation.
fn plain(char: char) -> Option<&'static str> {
    Some(match char {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        'ς' => "σ",
        '‘' | '’' | 'ʼ' => "'",
        '“' | '”' => "\"",
        '‐' | '‑' | '‒' | '–' | '—' | '−' => "-",
        '\u{ad}' | '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{feff}' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_spelling_is_met() {
        assert_eq!(fold("Année № 5"), "annee no 5");
        assert_eq!(fold("Łódź Straße ﬁre İstanbul CAFÉ"), "lodz strasse fire istanbul cafe");
        assert_eq!(fold("e\u{301}"), fold("é"));
        assert_eq!(fold("Councilmember’s 29–650"), "councilmember's 29-650");
        assert_eq!(fold("हिन्दी"), "हिन्दी");
        assert_eq!(fold("한국"), "한국");
    }

    #[test]
    fn folding_twice_changes_nothing_more() {
        for char in (0..=0x10_ffff).filter_map(char::from_u32) {
            let once = fold(&char.to_string());
            assert_eq!(fold(&once), once, "{char:?} {:x}", char as u32);
        }
    }
}
