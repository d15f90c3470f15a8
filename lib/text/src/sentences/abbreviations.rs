//! Words that end in a full stop without ending a sentence.

/// What a full stop after a word means when a capital, a digit or a quotation mark follows.
pub(super) enum Ending {
    /// An ordinary word: the sentence ends.
    Word,
    /// An abbreviation that something always follows: "Mr.", "Ord."
    Never,
    /// "No.": number if a number follows, else the answer no.
    BeforeNumber,
    /// An abbreviation that may also stand last: "p.m.", "Inc."
    Maybe,
}

const NEVER: &[&str] = &[
    "adm",
    "amend",
    "asst",
    "atty",
    "att'y",
    "cal",
    "capt",
    "cf",
    "ch",
    "chap",
    "cllr",
    "cmdr",
    "col",
    "const",
    "councilmem",
    "cm",
    "dept",
    "dir",
    "dist",
    "dr",
    "e.g",
    "exec",
    "fig",
    "fr",
    "gen",
    "gov",
    "hon",
    "i.e",
    "lt",
    "maj",
    "messrs",
    "mr",
    "mrs",
    "ms",
    "mt",
    "ord",
    "par",
    "para",
    "pp",
    "pres",
    "prof",
    "rep",
    "res",
    "rev",
    "sec",
    "sect",
    "sen",
    "sgt",
    "subd",
    "subsec",
    "supp",
    "supt",
    "v",
    "vol",
    "vs",
];

const MAYBE: &[&str] = &[
    "apr", "approx", "apt", "art", "assn", "assoc", "aug", "ave", "avg", "bldg", "blvd", "bros", "cir", "co",
    "comm", "corp", "ct", "dec", "div", "esq", "est", "etc", "feb", "fl", "ft", "hwy", "inc", "info", "jan",
    "jr", "la", "ln", "llc", "ltd", "mar", "max", "min", "mun", "nov", "oct", "pkwy", "pl", "ref", "rd",
    "sept", "sep", "sq", "sr", "st", "ste", "tel", "temp", "twp", "univ",
];

/// First words by which a sentence is told from the rest of a name.
const STARTERS: &[&str] = &[
    "a",
    "after",
    "all",
    "also",
    "an",
    "and",
    "any",
    "as",
    "at",
    "before",
    "but",
    "by",
    "chair",
    "council",
    "councilmember",
    "councilman",
    "councilwoman",
    "councillor",
    "during",
    "each",
    "for",
    "from",
    "he",
    "her",
    "his",
    "however",
    "i",
    "if",
    "in",
    "it",
    "its",
    "mayor",
    "motion",
    "mr",
    "mrs",
    "ms",
    "no",
    "on",
    "once",
    "our",
    "president",
    "she",
    "since",
    "so",
    "staff",
    "such",
    "that",
    "the",
    "their",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "upon",
    "vice",
    "was",
    "we",
    "what",
    "when",
    "where",
    "which",
    "while",
    "with",
    "you",
    "your",
];

/// Judges the word in front of a full stop (without it).
pub(super) fn ending(word: &str) -> Ending {
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    // "p. 12" is a page, "P. Morrell" a person.
    if matches!(word, "No" | "no" | "NO" | "Nos" | "nos" | "NOS" | "p") {
        return Ending::BeforeNumber;
    }
    let word = word.to_lowercase();
    if NEVER.contains(&word.as_str()) {
        return Ending::Never;
    }
    let mut letters = word.split('.');
    // An initial ("J.") or several ("M.C.S.", "a.m.").
    let initials = letters.all(|l| l.chars().count() == 1 && l.starts_with(char::is_alphabetic));
    if initials || MAYBE.contains(&word.as_str()) { Ending::Maybe } else { Ending::Word }
}

/// Whether a text goes on with a word that begins sentences and not names.
pub(super) fn starts_sentence(next: &str) -> bool {
    let next = next.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word = next.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    // "A." is an initial, "A motion" is not.
    !next[word.len()..].starts_with('.') && STARTERS.contains(&word.to_lowercase().as_str())
}
