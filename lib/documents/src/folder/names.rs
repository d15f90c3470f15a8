//! What names of files and folders say: dates, kinds, bodies.

use std::sync::LazyLock;

use chrono::{Datelike, NaiveDate};
use cs_core::document::ArtifactKind;
use regex::{Captures, Regex};

/// A date in words or figures, and the bytes it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundDate {
    pub(super) date: NaiveDate,
    pub(super) at: std::ops::Range<usize>,
}

const MONTHS: &str = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?";

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "the patterns are constants, compiled by the tests")]
    Regex::new(text).expect("a valid pattern")
}

static YEAR_FIRST: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:^|\D)((?:19|20)\d\d)[-_. ]?(\d\d)[-_. ]?(\d\d)(?:\D|$)"));
static YEAR_LAST: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:^|\D)(\d{1,2})[-_./ ](\d{1,2})[-_./ ]((?:19|20)\d\d|\d\d)(?:\D|$)"));
static MONTH_FIRST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(r"(?i)(?:^|[^a-z])({MONTHS})\.?[-_ ]*(\d{{1,2}})(?:st|nd|rd|th)?[-_, ]+((?:19|20)\d\d)"))
});
static DAY_FIRST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?i)(?:^|\D)(\d{{1,2}})(?:st|nd|rd|th)?[-_ ]+(?:day of )?({MONTHS})\.?[-_, ]+((?:19|20)\d\d)"
    ))
});
static WEEKDAY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s*$"));

/// The first date a name gives.
pub(super) fn date_in_name(name: &str) -> Option<FoundDate> {
    in_words(name).or_else(|| figures(name))
}

/// The date a document gives itself on its first pages: one with its weekday before others, words before figures.
pub(super) fn date_in_content(text: &str) -> Option<NaiveDate> {
    let mut first = None;
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(in_words) {
        if WEEKDAY.is_match(text[..at + found.at.start].trim_end()) {
            return Some(found.date);
        }
        first = first.or(Some(found.date));
        at += found.at.end;
    }
    first.or_else(|| figures(text).map(|f| f.date))
}

fn in_words(text: &str) -> Option<FoundDate> {
    let month_first = MONTH_FIRST.captures(text).and_then(|c| dated(&c, 3, &c[1], &c[2]));
    let day_first = DAY_FIRST.captures(text).and_then(|c| dated(&c, 3, &c[2], &c[1]));
    [month_first, day_first].into_iter().flatten().min_by_key(|f| f.at.start)
}

fn figures(text: &str) -> Option<FoundDate> {
    let year_first = YEAR_FIRST.captures(text).and_then(|c| dated_at(&c, 1, &c[1], &c[2], &c[3], 3));
    year_first.or_else(|| {
        let c = YEAR_LAST.captures(text)?;
        // Month before day, unless it cannot be a month.
        let (month, day) = if c[1].parse::<u32>().ok()? > 12 { (2, 1) } else { (1, 2) };
        dated_at(&c, 1, &c[3], &c[month], &c[day], 3)
    })
}

fn dated(c: &Captures<'_>, year: usize, month: &str, day: &str) -> Option<FoundDate> {
    let first = c.get(1)?.start();
    let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let month = names.iter().position(|m| month.to_ascii_lowercase().starts_with(m))? + 1;
    let date = ymd(c[year].parse().ok()?, u32::try_from(month).ok()?, day.parse().ok()?)?;
    Some(FoundDate { date, at: first..c.get(year)?.end() })
}

fn dated_at(
    c: &Captures<'_>,
    from: usize,
    year: &str,
    month: &str,
    day: &str,
    to: usize,
) -> Option<FoundDate> {
    let date = ymd(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    Some(FoundDate { date, at: c.get(from)?.start()..c.get(to)?.end() })
}

fn ymd(year: i32, month: u32, day: u32) -> Option<NaiveDate> {
    let year = if year < 100 { 2000 + year } else { year };
    NaiveDate::from_ymd_opt(year, month, day).filter(|d| (1900..2100).contains(&d.year()))
}

/// The words of a name in lower case, without its date.
pub(super) fn words(name: &str) -> Vec<String> {
    let rest = match date_in_name(name) {
        Some(found) => format!("{} {}", &name[..found.at.start], &name[found.at.end..]),
        None => name.to_owned(),
    };
    rest.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '&')
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The kind a name says.
pub(super) fn kind(words: &[String]) -> Option<ArtifactKind> {
    let has = |names: &[&str]| words.iter().any(|w| names.contains(&w.as_str()));
    if has(&["packet", "packets", "backup", "supporting"]) {
        Some(ArtifactKind::Packet)
    } else if has(&["transcript", "transcripts", "captions", "caption", "subtitles", "transcription"]) {
        Some(ArtifactKind::Transcript)
    } else if has(&["minutes", "minute", "proceedings", "journal"]) {
        Some(ArtifactKind::Minutes)
    } else if has(&["agenda", "agendas", "docket"]) {
        Some(ArtifactKind::Agenda)
    } else {
        None
    }
}

/// Words that name the paper, the sitting or its part, not the body.
const NOT_A_BODY: [&str; 46] = [
    "agenda",
    "agendas",
    "minutes",
    "minute",
    "packet",
    "packets",
    "transcript",
    "transcripts",
    "caption",
    "captions",
    "subtitles",
    "proceedings",
    "journal",
    "docket",
    "backup",
    "supporting",
    "meeting",
    "meetings",
    "mtg",
    "session",
    "hearing",
    "regular",
    "special",
    "emergency",
    "full",
    "final",
    "draft",
    "approved",
    "adopted",
    "amended",
    "revised",
    "signed",
    "copy",
    "notice",
    "part",
    "pt",
    "v1",
    "v2",
    "pdf",
    "docx",
    "json",
    "html",
    "txt",
    "vtt",
    "srt",
    "doc",
];

/// Words that name a paper.
const PAPERS: [&str; 24] = [
    "agenda",
    "agendas",
    "minutes",
    "minute",
    "packet",
    "packets",
    "transcript",
    "transcripts",
    "caption",
    "captions",
    "subtitles",
    "proceedings",
    "journal",
    "docket",
    "backup",
    "supporting",
    "final",
    "draft",
    "approved",
    "adopted",
    "signed",
    "copy",
    "notice",
    "revised",
];

/// Words that only join others.
const JOINS: [&str; 5] = ["and", "of", "the", "for", "a"];

/// Nouns that make words the name of a body.
const BODIES: [&str; 14] = [
    "council",
    "committee",
    "commission",
    "board",
    "authority",
    "panel",
    "caucus",
    "assembly",
    "supervisors",
    "selectmen",
    "trustees",
    "aldermen",
    "taskforce",
    "subcommittee",
];

/// The body a name gives: `Some(None)` for the city's council itself, under whichever of its names.
pub(super) fn body(words: &[String]) -> Option<Option<String>> {
    let rest = other_words(words);
    if !rest.iter().any(|w| BODIES.contains(w)) {
        return None;
    }
    if rest.iter().all(|w| ["city", "town", "council", "common", "municipal"].contains(w)) {
        return Some(None);
    }
    // "Criminal Justice City Council Committee" and "Criminal Justice Committee" are one.
    let part_of_council = rest.iter().any(|w| BODIES.contains(w) && *w != "council");
    let kept: Vec<&str> =
        rest.into_iter().filter(|w| !(part_of_council && ["city", "town", "council"].contains(w))).collect();
    Some(Some(title_case(&kept)))
}

/// What is left of a name without its date, kind and part.
pub(super) fn other_words(words: &[String]) -> Vec<&str> {
    let joins = |w: &&str| JOINS.contains(w);
    let plain = |w: &&str| !NOT_A_BODY.contains(w) && !w.chars().all(|c| c.is_ascii_digit());
    let rest: Vec<&str> = words.iter().map(String::as_str).filter(plain).skip_while(joins).collect();
    let kept = rest.iter().rposition(|w| !joins(w)).map_or(0, |last| last + 1);
    rest[..kept].to_vec()
}

/// What a sitting is called by the name of one of its papers: `Regular City Council Meeting`. None where the name names no body.
pub(super) fn title(words: &[String]) -> Option<String> {
    body(words)?;
    let part = words.iter().position(|w| w == "part" || w == "pt").unwrap_or(words.len());
    let mut kept: Vec<&str> = Vec::new();
    for word in words[..part].iter().map(String::as_str) {
        let paper = PAPERS.contains(&word) || ["meeting", "meetings"].contains(&word);
        if !paper && !word.chars().all(|c| c.is_ascii_digit()) {
            kept.push(word);
        }
    }
    let first = kept.iter().position(|w| !JOINS.contains(w))?;
    let last = kept.iter().rposition(|w| !JOINS.contains(w))?;
    let mut kept = kept[first..=last].to_vec();
    if !kept.iter().any(|w| ["session", "hearing"].contains(w)) {
        kept.push("meeting");
    }
    Some(title_case(&kept))
}

pub(super) fn title_case(words: &[&str]) -> String {
    let small = ["of", "and", "the", "for", "on", "in", "to"];
    let cased = words.iter().enumerate().map(|(i, w)| {
        let mut chars = w.chars();
        match chars.next() {
            Some(first) if i == 0 || !small.contains(w) => first.to_uppercase().chain(chars).collect(),
            _ => (*w).to_owned(),
        }
    });
    cased.collect::<Vec<String>>().join(" ")
}

/// Letters and digits of a name, joined by hyphens.
pub(super) fn slug(text: &str) -> String {
    let parts: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .map(|p| p.replace('\'', "").to_lowercase())
        .filter(|p| !p.is_empty())
        .collect();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).unwrap()
    }

    #[test]
    fn dates_in_names() {
        for (name, date) in [
            ("Regular_CIty_Council_Meeting_3-9-2023", day(2023, 3, 9)),
            ("Regular_City_Council_Meeting_4-6-2023_Part_1", day(2023, 4, 6)),
            ("2023-03-09-regular-meeting", day(2023, 3, 9)),
            ("Notice-and-Agenda-001-2023.06.01-closed", day(2023, 6, 1)),
            ("Council_2023_05_23", day(2023, 5, 23)),
            ("minutes20230523", day(2023, 5, 23)),
            ("council-meeting-7-19-21", day(2021, 7, 19)),
            ("Minutes of March 9th, 2023", day(2023, 3, 9)),
            ("9-March-2023_minutes", day(2023, 3, 9)),
            ("25-12-2022", day(2022, 12, 25)),
        ] {
            assert_eq!(date_in_name(name).map(|f| f.date), Some(date), "{name}");
        }
        for name in ["minutes", "Ordinance 34123", "13-13-2023", "2023-02-30"] {
            assert_eq!(date_in_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_date_with_its_weekday_is_the_meeting_s_own() {
        let text = "6/23/23, 5:39 PM\nMINUTES\nAdopted February 2, 2023\nheld on Thursday, March 9, 2023 at 10:55 A.M.";
        assert_eq!(date_in_content(text), Some(day(2023, 3, 9)));
        assert_eq!(date_in_content("printed 6/23/23"), Some(day(2023, 6, 23)));
    }

    #[test]
    fn the_council_has_many_names() {
        for name in [
            "Full_Council_Minutes_3-9-2023",
            "Regular_CIty_Council_Meeting_3-9-2023",
            "City Council",
            "council-meeting",
        ] {
            assert_eq!(body(&words(name)), Some(None), "{name}");
        }
        for name in [
            "Criminal_Justice_City_Council_Committee_Meeting_Agenda_1-23-2023",
            "Criminal_Justice_Committee_Minutes_1-23-2023",
        ] {
            assert_eq!(body(&words(name)), Some(Some("Criminal Justice Committee".into())), "{name}");
        }
        assert_eq!(
            body(&words("Board of Zoning Appeals minutes")),
            Some(Some("Board of Zoning Appeals".into()))
        );
        assert_eq!(body(&words("minutes_3-9-2023")), None);
        assert_eq!(slug("Mayor's Council on Aging"), "mayors-council-on-aging");
    }
}
