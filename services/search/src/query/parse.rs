//! The query language. It has no errors: what does not parse is searched as words, and a message says so.

use chrono::{Days, Months, NaiveDate};
use unicode_segmentation::UnicodeSegmentation;

/// Longer queries are cut here, in code points. A page of text is a fair question, a book is not.
const LONGEST_QUERY: usize = 20_000;
/// As many phrases, exclusions and numbers are honoured. Further phrases are words, further exclusions are left out.
const MOST_CLAUSES: usize = 32;

/// With as many words beside them, quoted words are part of a question in prose and no condition.
const PROSE: usize = 8;

/// What a query asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedQuery {
    /// The words to look for, phrases' too, without operators.
    pub words: String,
    /// Each must stand in the passage, word by word. One that stands in none is searched as words.
    pub phrases: Vec<String>,
    /// Every phrase is a condition, even one that stands nowhere: then nothing is found.
    pub strict: bool,
    /// None of these may stand in the passage; several words are a phrase.
    pub excluded: Vec<String>,
    /// Numbers of files, ordinances, motions, and agenda items with their word. A passage that has all of them comes first.
    pub numbers: Vec<String>,
    /// Names given with `body:`, for the caller to resolve.
    pub bodies: Vec<String>,
    /// Names given with `city:`, for the caller to resolve.
    pub cities: Vec<String>,
    /// First day asked for.
    pub from: Option<NaiveDate>,
    /// Last day asked for.
    pub to: Option<NaiveDate>,
    /// What the reader should know.
    pub messages: Vec<String>,
}

/// A field whose value is a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `body:`
    Body,
    /// `city:`
    City,
}

impl ParsedQuery {
    /// The text to embed.
    pub fn meaning(&self) -> &str {
        &self.words
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    fn say_once(&mut self, told: String) {
        if !self.messages.contains(&told) {
            self.messages.push(told);
        }
    }

    /// For a name that nobody bears: searches it as words, and says so.
    pub fn as_words(&mut self, field: Field, name: &str) {
        let (names, key) = match field {
            Field::Body => (&mut self.bodies, "body"),
            Field::City => (&mut self.cities, "city"),
        };
        names.retain(|n| n != name);
        push_words(&mut self.words, name);
        self.messages.push(format!("There is no {key} called “{name}”: it was searched as words."));
    }
}

/// Parses what somebody typed.
pub fn parse(typed: &str) -> ParsedQuery {
    let mut query = ParsedQuery::default();
    let mut text: String =
        typed.chars().take(LONGEST_QUERY).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if typed.chars().nth(LONGEST_QUERY).is_some() {
        query
            .messages
            .push(format!("The query is long: its first {LONGEST_QUERY} characters were searched."));
    }
    text = text.replace(['“', '”', '„', '«', '»'], "\"");
    let mut rest = text.as_str();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        rest = clause(rest, &mut query);
    }
    if query.words.is_empty() && !query.excluded.is_empty() {
        for excluded in std::mem::take(&mut query.excluded) {
            push_words(&mut query.words, &excluded);
        }
        query
            .messages
            .push("Everything was excluded and nothing asked for: it was searched as words.".to_owned());
    }
    let quoted: usize = query.phrases.iter().map(|phrase| phrase.unicode_words().count()).sum();
    if quoted > 0 && query.words.unicode_words().count() - quoted >= PROSE {
        query.phrases.clear();
        query.messages.push("In a question this long, quoted words are searched as words.".to_owned());
    }
    numbers(&mut query);
    query
}

/// Takes one clause off the front and gives back what follows it.
fn clause<'a>(rest: &'a str, query: &mut ParsedQuery) -> &'a str {
    if let Some(after) = rest.strip_prefix('"') {
        let Some((phrase, after)) = after.split_once('"') else {
            query
                .messages
                .push("A quotation mark has no partner: what follows it was searched as words.".to_owned());
            return after;
        };
        push_words(&mut query.words, phrase);
        if has_word(phrase) {
            if query.phrases.len() < MOST_CLAUSES {
                query.phrases.push(phrase.trim().to_owned());
            } else {
                query.say_once(format!(
                    "More than {MOST_CLAUSES} phrases: the others were searched as words."
                ));
            }
        }
        return after;
    }
    if let Some(after) = rest.strip_prefix('-')
        && after.starts_with(|c: char| c == '"' || c.is_alphanumeric())
    {
        let (value, after) = value(after);
        if has_word(value) {
            if query.excluded.len() < MOST_CLAUSES {
                query.excluded.push(value.to_owned());
            } else {
                // As words they would find what was not wanted.
                query.say_once(format!("More than {MOST_CLAUSES} exclusions: the others were left out."));
            }
        }
        return after;
    }
    for key in ["body", "city", "from", "to"] {
        let Some(after) = strip_key(rest, key) else { continue };
        let (value, after) = value(after);
        if has_word(value) {
            field(key, value, query);
            return after;
        }
    }
    let end = rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len());
    push_words(&mut query.words, &rest[..end]);
    &rest[end..]
}

/// Names of one kind that a query may give: each is looked for among all that are known.
const MOST_NAMES: usize = 16;

fn field(key: &str, value: &str, query: &mut ParsedQuery) {
    match key {
        "body" | "city" => {
            let names = if key == "body" { &mut query.bodies } else { &mut query.cities };
            match names.len() {
                0..MOST_NAMES => names.push(value.to_owned()),
                _ => {
                    push_words(&mut query.words, value);
                    query.say_once(format!(
                        "More than {MOST_NAMES} names with “{key}:” were searched as words."
                    ));
                }
            }
        }
        _ => match days(value) {
            Some((first, _)) if key == "from" => query.from = Some(first),
            Some((_, last)) => query.to = Some(last),
            None => {
                push_words(&mut query.words, value);
                query.messages.push(format!(
                    "“{key}:{value}” is not a day, month or year (as in 2023-03-09): it was searched as words."
                ));
            }
        },
    }
}

/// A quoted or bare value, and what follows it.
fn value(rest: &str) -> (&str, &str) {
    if let Some(quoted) = rest.strip_prefix('"')
        && let Some((value, after)) = quoted.split_once('"')
    {
        return (value.trim(), after);
    }
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    (rest[..end].trim_matches('"'), &rest[end..])
}

fn strip_key<'a>(rest: &'a str, key: &str) -> Option<&'a str> {
    let head = rest.get(..key.len())?;
    if !head.eq_ignore_ascii_case(key) {
        return None;
    }
    rest[key.len()..].strip_prefix(':')
}

/// The first and last day of a year, a month or a day.
fn days(value: &str) -> Option<(NaiveDate, NaiveDate)> {
    if let Ok(day) = value.parse::<NaiveDate>() {
        return Some((day, day));
    }
    if !value.is_ascii() {
        return None;
    }
    let (year, month) = match value.len() {
        4 => (value.parse().ok()?, None),
        7 if value.as_bytes()[4] == b'-' => (value[..4].parse().ok()?, Some(value[5..].parse().ok()?)),
        _ => return None,
    };
    let first = NaiveDate::from_ymd_opt(year, month.unwrap_or(1), 1)?;
    let next = first.checked_add_months(Months::new(if month.is_some() { 1 } else { 12 }))?;
    Some((first, next.checked_sub_days(Days::new(1))?))
}

/// Finds file numbers: `29,650` after a word for a file, or letters and digits joined by hyphens.
fn numbers(query: &mut ParsedQuery) {
    const FILES: [&str; 12] = [
        "ord",
        "ordinance",
        "cal",
        "calendar",
        "res",
        "resolution",
        "motion",
        "file",
        "item",
        "no",
        "bill",
        "docket",
    ];
    let words: Vec<&str> = query.words.split_whitespace().collect();
    let mut found = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let numeric = digits > 2 && word.bytes().all(|b| b.is_ascii_digit() || b == b',');
        let named = i > 0 && {
            let before = words[i - 1].trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
            FILES.contains(&before.as_str())
        };
        let stamped = words.get(i + 1).is_some_and(|next| {
            let letters: String = next.chars().filter(|c| c.is_alphanumeric()).collect();
            letters.eq_ignore_ascii_case("mcs")
        });
        let coded = is_code(word);
        if (numeric && (named || stamped)) || coded {
            found.push(word.to_owned());
        } else if i > 0 && is_item(words[i - 1], word) {
            // A short number says something only behind its word: both must stand there, side by side.
            found.push(format!("item {word}"));
        }
    }
    found.dedup();
    found.truncate(MOST_CLAUSES);
    query.numbers = found;
}

/// `M-23-126` or `ORD-29650`, and not `IL-10`, `COVID-19` or `2019-2023`: a letter part, and two numbers or a long one.
fn is_code(word: &str) -> bool {
    let mut lettered = false;
    let mut numbers = 0;
    let mut long = false;
    for part in word.split('-') {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return false;
        }
        if part.bytes().all(|b| b.is_ascii_digit()) {
            numbers += 1;
            long |= part.len() > 3;
        } else if part.bytes().all(|b| b.is_ascii_alphabetic()) {
            lettered = true;
        }
    }
    lettered && (numbers > 1 || long)
}

/// `Item 12` or `item 7b`.
fn is_item(before: &str, word: &str) -> bool {
    let before = before.trim_matches(|c: char| !c.is_alphanumeric());
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &word[digits..];
    before.eq_ignore_ascii_case("item")
        && (1..=2).contains(&digits)
        && rest.len() <= 1
        && rest.bytes().all(|b| b.is_ascii_alphabetic())
}

fn has_word(text: &str) -> bool {
    text.unicode_words().next().is_some()
}

fn push_words(words: &mut String, more: &str) {
    let more = more.trim();
    if more.is_empty() {
        return;
    }
    if !words.is_empty() {
        words.push(' ');
    }
    words.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(s: &str) -> Option<NaiveDate> {
        s.parse().ok()
    }

    #[test]
    fn clauses_are_told_apart() {
        let q = parse(
            r#"short term "rental permit" -hotel -"bed and breakfast" body:"City Council" CITY:Boulder from:2023 to:2023-06"#,
        );
        assert_eq!(q.words, "short term rental permit");
        assert_eq!(q.phrases, ["rental permit"]);
        assert_eq!(q.excluded, ["hotel", "bed and breakfast"]);
        let many = parse(&"body:x ".repeat(40));
        assert_eq!((many.bodies.len(), many.messages.len()), (MOST_NAMES, 1));
        assert_eq!(many.words.split_whitespace().count(), 40 - MOST_NAMES);
        assert_eq!(q.bodies, ["City Council"]);
        assert_eq!(q.cities, ["Boulder"]);
        assert_eq!((q.from, q.to), (day("2023-01-01"), day("2023-06-30")));
        assert!(q.messages.is_empty());
    }

    #[test]
    fn what_does_not_parse_is_words_and_said() {
        let q = parse(r#"noise "late night from:yesterday"#);
        assert_eq!(q.words, "noise late night yesterday");
        assert_eq!(q.messages.len(), 2);
        let q = parse("-hotel");
        assert_eq!(q.words, "hotel");
        assert_eq!(q.messages.len(), 1);
        let mut q = parse("budget body:Nobody");
        q.as_words(Field::Body, "Nobody");
        assert_eq!((q.words.as_str(), q.bodies.len(), q.messages.len()), ("budget Nobody", 0, 1));
    }

    #[test]
    fn more_clauses_than_are_honoured_are_said() {
        let typed: String = (0..MOST_CLAUSES + 2).map(|n| format!("-not{n} ")).collect();
        let q = parse(&format!("zoning {typed}"));
        assert_eq!((q.words.as_str(), q.excluded.len()), ("zoning", MOST_CLAUSES));
        assert_eq!(q.messages, ["More than 32 exclusions: the others were left out."]);
        let q = parse(&"\"zoning code\" ".repeat(MOST_CLAUSES + 2));
        assert_eq!((q.phrases.len(), q.messages.len()), (MOST_CLAUSES, 1));
    }

    #[test]
    fn quotation_marks_in_prose_are_no_condition() {
        let q = parse("How did the council vote on what it called a \"living wage\" in March?");
        assert!(q.phrases.is_empty() && q.words.contains("living wage") && q.messages.len() == 1);
    }

    #[test]
    fn hyphens_inside_words_do_not_exclude() {
        let q = parse("short-term - rentals foo:bar --x");
        assert!(q.excluded.is_empty());
        assert_eq!(q.words, "short-term - rentals foo:bar --x");
    }

    #[test]
    fn file_numbers_are_found() {
        assert_eq!(parse("Ord. 29,650").numbers, ["29,650"]);
        assert_eq!(parse("Cal. No. 34,123 vote").numbers, ["34,123"]);
        assert_eq!(parse("motion M-23-126").numbers, ["M-23-126"]);
        assert_eq!(parse("29650 M.C.S.").numbers, ["29650"]);
        assert_eq!(parse("agenda item 7b and Item 12.").numbers, ["item 7b", "item 12"]);
        assert!(parse("an item of 12, items 12").numbers.is_empty());
        assert!(
            parse("no 12 members on 2023-03-09, short-term COVID-19 rules of 2019-2023, IL-10")
                .numbers
                .is_empty()
        );
    }

    #[test]
    fn anything_typed_parses() {
        let long = "word ".repeat(10_000);
        for typed in [
            "",
            "\"",
            "\"\"\"",
            "-",
            "-\"",
            "body:",
            "from:",
            "from:99999-99",
            "\u{0}\u{7}",
            "🏛",
            "市議会",
            "the of and",
            "to:é2023-0",
            "from:2023-13",
            "from:0000",
            &long,
        ] {
            let q = parse(typed);
            assert!(q.words.chars().count() <= LONGEST_QUERY + 1);
        }
        assert_eq!(parse(&long).messages.len(), 1);
    }
}
