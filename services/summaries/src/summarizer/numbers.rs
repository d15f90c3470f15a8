//! The numbers by which councils know their matters.

use std::sync::LazyLock;

use regex::Regex;

/// Each expression captures, as `n`, the number as a person would cite it. The first that matches earliest wins.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // a calendar number: CAL. NO. 34,123; CALENDAR NO. 33,937
        r"(?i)\b(?P<n>CAL(?:ENDAR|\.)?\s*NO\.?\s*\u{ad}?\d{2,3},?\d{3})\b",
        // a motion or resolution with year and serial: M-23-45, R-23-EE, RES-2023-12
        r"\b(?P<n>(?:M|R|RES|ORD|O|CB|LU|SLU|T|LS)-\s?\d{2,4}-(?:\d{1,4}|[A-Z]{1,2}))\b",
        r"(?i)\b(?P<n>ZONING\s+DOCKET\s+(?:NO\.?\s*)?\d{1,3}/\d{2,4})\b",
        r"(?i)\b(?P<n>(?:council\s+bill|bill|file|docket|item|case|petition|application|contract|int\.?|introduction|proposed\s+resolution|res\.?|ord\.?|ordinance|resolution|proclamation)\s+(?:calendar\s+)?(?:no\.?|number|\#)\s*[A-Z]{0,4}-?\d[\w,.-]*\w)",
        r"(?i)\b(?P<n>(?:council\s+bill|ordinance|resolution|bill)\s+[A-Z]{0,3}-?\d[\d,-]*\d)\b",
        // a file as legislatures' systems number it: Int 0674-2022, Res 0057-2022, LU 0158-2023
        r"\b(?P<n>(?:[A-Z]{1,3}|Int|Res|Ord|Prop)\s+\d{4}-\d{4})\b",
        // roll call and file numbers of year and serial: 22-0075, 2023-118
        r"(?:^|\s)(?P<n>(?:19|20)?\d{2}-\d{3,5})\b",
    ]
    .iter()
    .map(|form| Regex::new(form).expect("a fixed expression"))
    .collect()
});

/// The number of the matter that a heading names.
pub(crate) fn file_number(heading: &str) -> Option<String> {
    FORMS
        .iter()
        .enumerate()
        .filter_map(|(rank, form)| {
            let found = form.captures(heading)?.name("n")?;
            Some(((found.start(), rank), found.as_str().trim_end_matches(['.', ',', '-']).to_owned()))
        })
        .min_by_key(|(order, _)| *order)
        .map(|(_, number)| number)
}

/// What stays of a number when two spellings of it are compared.
pub(crate) fn key(number: &str) -> String {
    let upper: String = number.to_uppercase();
    let tail = upper.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
    tail.chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_written() {
        for (heading, number) in [
            ("23a. CAL. NO. 34,125 - BY: COUNCILMEMBER MORRELL", Some("CAL. NO. 34,125")),
            ("MOTION (LYING OVER) - NO. M-23-132 - BY: COUNCILMEMBER GIARRUSSO", Some("M-23-132")),
            ("RESOLUTION - NO. R-23-W - BY: KING", Some("R-23-W")),
            ("ZONING DOCKET NO. 100/22 – CITY COUNCIL MOTION NO. M-22-449", Some("ZONING DOCKET NO. 100/22")),
            ("Consideration of first reading of Ordinance 8494", Some("Ordinance 8494")),
            ("Adopt Resolution No. 2011-12 on parks", Some("Resolution No. 2011-12")),
            ("22-0075 3. Council Discussion on Cold Weather Events", Some("22-0075")),
            ("COMMUNICATION - FROM THERESA R. BECHER", None),
        ] {
            assert_eq!(file_number(heading).as_deref(), number, "{heading}");
        }
        assert_eq!(key("CAL. NO. 34,125"), "34125");
        assert_eq!(key("M-23-132"), "M23132");
    }
}
