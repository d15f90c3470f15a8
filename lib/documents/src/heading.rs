//! Which printed lines are headings, where the format does not say.

/// Whether a line reads as the heading of an item or a part: numbered and in capitals, numbered and in bold, or capitals alone.
pub(crate) fn is_heading(text: &str, bold: bool) -> bool {
    let text = text.trim();
    let count = text.chars().count();
    if !(4..=600).contains(&count) {
        return false;
    }
    let (numbered, rest) = match after_number(text) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (letters, upper) = capitals(rest);
    if letters < 4 {
        return false;
    }
    // The first words decide: "12. CAL. NO. 34,123 - BY: COUNCILMEMBER GREEN - An Ordinance to …" is one printed heading.
    let head: String = rest.split_whitespace().take(3).collect();
    let (head_letters, head_upper) = capitals(&head);
    let shouted = upper * 10 >= letters * 8 || (numbered && head_letters >= 8 && head_upper == head_letters);
    if numbered {
        return shouted || (bold && count <= 200 && !rest.ends_with(['.', ';', ',']));
    }
    // Capitals alone also print names ("HELENA MORENO") and the lines of a vote ("ABSTAIN: 0").
    let words = rest.split_whitespace().filter(|w| w.chars().any(char::is_alphabetic)).count();
    let labelled = rest.contains([':', '\t']) || rest.ends_with(['.', ';', ',', '!', '?']);
    upper * 10 >= letters * 9 && !labelled && count <= 160 && (words >= 3 || (words == 2 && letters >= 13))
}

/// What follows an item number such as `12.`, `A.`, `IV.`, `3)` or `2.1`.
pub(crate) fn after_number(text: &str) -> Option<&str> {
    let end = text.find(|c: char| c.is_whitespace())?;
    let (number, rest) = text.split_at(end);
    let bare = number.strip_suffix(['.', ')'])?.trim_start_matches('(');
    let digits = !bare.is_empty()
        && bare.len() <= 6
        && bare.chars().all(|c| c.is_ascii_digit() || c == '.')
        && bare.chars().any(|c| c.is_ascii_digit());
    let letter = bare.len() == 1 && bare.chars().all(|c| c.is_ascii_alphabetic());
    let roman = (1..=6).contains(&bare.len()) && bare.chars().all(|c| "IVXivx".contains(c));
    (digits || letter || roman).then(|| rest.trim_start())
}

/// Letters, and those of them in upper case.
fn capitals(text: &str) -> (usize, usize) {
    text.chars()
        .filter(|c| c.is_alphabetic())
        .fold((0, 0), |(n, up), c| (n + 1, up + usize::from(c.is_uppercase())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_lines_and_part_titles_are_headings() {
        for heading in [
            "12. CAL. NO. 34,123 - BY: COUNCILMEMBER GREEN (BY REQUEST)",
            "1.\tAPPROVAL OF THE MINUTES – November 3, 2022, November 17, 2022 and November 29, 2022 (Special Meeting).",
            "A. SPECIAL ORDERS OF BUSINESS",
            "SPECIAL ORDERS OF BUSINESS",
            "47. MOTION TO SUSPEND RULE 10 to go Resolution No. R-23-Y out of order.",
        ] {
            assert!(is_heading(heading, false), "{heading}");
        }
        assert!(is_heading("4. Approval of the consent calendar", true));
    }

    #[test]
    fn votes_and_sentences_are_not() {
        for line in [
            "AND THE MOTION PASSED.",
            "YEAS:\tGreen, Harris, King, Moreno - 4",
            "APPEARED.",
            "ABSENT: 0",
            "On calling the roll, the following members answered to their names:",
            "2. The applicant shall submit a revised landscape plan.",
            "JOSEPH I.",
            "HELENA MORENO",
        ] {
            assert!(!is_heading(line, false), "{line}");
            assert!(!is_heading(line, true) || line.starts_with("2."), "in bold: {line}");
        }
    }
}
