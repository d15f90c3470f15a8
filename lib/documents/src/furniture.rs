//! Page headers and footers: what repeats at the edge of most pages belongs to the paper, not to the text.

use std::collections::{BTreeMap, HashMap};

use crate::line::Line;

/// How far from the edge of a page its furniture reaches, lines.
const REACH: usize = 4;

/// A page and a height on it.
type Place = (usize, Option<i32>);

/// How far a line may stand from its like on another page, points.
const PLAY: i32 = 4;

/// Drops headers and footers that repeat on most pages of a document whose lines know their page.
pub(crate) fn drop_repeated(lines: &mut Vec<Line>) {
    let pages = ranges(lines);
    if pages.len() < 2 {
        return;
    }
    let mut seen: HashMap<String, Vec<Place>> = HashMap::new();
    for (number, page) in pages.iter().enumerate() {
        for top in [true, false] {
            for i in edge(page, top) {
                seen.entry(key(&lines[i])).or_default().push((number, lines[i].y));
            }
        }
    }
    // Furniture stands in the same place on every page; an outcome that happens to end several pages does not.
    let pages_with = |line: &Line| {
        let places = seen.get(&key(line)).map(Vec::as_slice).unwrap_or_default();
        let mut last = None;
        let here = |y: Option<i32>| y.zip(line.y).is_none_or(|(a, b)| (a - b).abs() <= PLAY);
        places.iter().filter(|(page, y)| here(*y) && last.replace(*page) != Some(*page)).count()
    };
    // Two pages prove little: there only a page number or an address counts.
    let most = |n: usize| n * 10 > pages.len() * 5 && n >= 2;
    let mut drop = vec![false; lines.len()];
    for page in &pages {
        for top in [true, false] {
            for i in edge(page, top) {
                let text = &lines[i].text;
                let repeats = most(pages_with(&lines[i]));
                if !(repeats && (pages.len() > 2 || is_page_number(text) || is_address(text))) {
                    break;
                }
                drop[i] = true;
            }
        }
    }
    let mut kept = drop.iter().map(|d| !d);
    lines.retain(|_| kept.next().unwrap_or(true));
}

/// Gives pages to lines of a format without pages, and takes the numbers away, when printed numbers such as `3/50` or `Page 3 of 50` end its pages in order.
pub(crate) fn number_pages(lines: &mut Vec<Line>) -> Option<u32> {
    let mut ends: BTreeMap<u32, Vec<(usize, u32)>> = BTreeMap::new();
    for (i, line) in lines.iter().enumerate() {
        if let Some((n, of)) = page_of(&line.text) {
            ends.entry(of).or_default().push((i, n));
        }
    }
    // Other fractions may stand between them; only the pages count from one to their own last.
    let (of, ends) = ends.into_iter().find(|(of, ends)| {
        *of >= 2
            && ends.len() == *of as usize
            && ends.iter().zip(1..).all(|((_, n), expected)| *n == expected)
    })?;
    let mut page = 1;
    let mut ends = ends.into_iter().map(|(i, _)| i).peekable();
    for (i, line) in lines.iter_mut().enumerate() {
        line.page = Some(page.min(of));
        if ends.next_if_eq(&i).is_some() {
            line.text.clear();
            page += 1;
        }
    }
    lines.retain(|l| !l.text.is_empty());
    Some(of)
}

fn ranges(lines: &[Line]) -> Vec<std::ops::Range<usize>> {
    let mut pages: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let Some(number) = line.page else { return Vec::new() };
        match pages.last_mut() {
            Some(last) if lines[last.start].page == Some(number) => last.end = i + 1,
            _ => pages.push(i..i + 1),
        }
    }
    pages
}

fn edge(page: &std::ops::Range<usize>, top: bool) -> Box<dyn Iterator<Item = usize>> {
    let page = page.clone();
    if top { Box::new(page.take(REACH)) } else { Box::new(page.rev().take(REACH)) }
}

/// What two lines must share to be the same piece of furniture: where the place on the page cannot tell, every letter counts.
fn key(line: &Line) -> String {
    if line.y.is_some() { shape(&line.text) } else { line.text.clone() }
}

/// The line with its numbers blotted out.
fn shape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if !(c == '#' && out.ends_with('#')) {
            out.push(c);
        }
    }
    out
}

fn is_page_number(text: &str) -> bool {
    let text = text.trim().trim_matches(['-', '–', '—', ' ']);
    page_of(text).is_some()
        || (!text.is_empty() && text.len() <= 4 && text.chars().all(|c| c.is_ascii_digit()))
}

fn is_address(text: &str) -> bool {
    text.split_whitespace()
        .any(|w| w.starts_with("http://") || w.starts_with("https://") || w.starts_with("www."))
        || text.contains(".php?")
}

/// `3/50`, `3 of 50`, `Page 3 of 50`.
fn page_of(text: &str) -> Option<(u32, u32)> {
    let text = text.trim();
    let text = text.strip_prefix("Page ").or_else(|| text.strip_prefix("page ")).unwrap_or(text);
    let (n, of) = text.split_once('/').or_else(|| text.split_once(" of "))?;
    let (n, of): (u32, u32) = (n.trim().parse().ok()?, of.trim().parse().ok()?);
    (n >= 1 && n <= of && of <= 5_000).then_some((n, of))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(pages: u32) -> Vec<Line> {
        let mut lines = Vec::new();
        for n in 1..=pages {
            lines.push(Line::plain("6/23/23, 5:39 PM council.example/minutes"));
            lines.push(Line::plain(format!("Body {}", ["one", "two", "three"][n as usize - 1])));
            lines.push(Line::plain(["NAYS: 0", "3/4", "9/12"][n as usize - 1]));
            lines.push(Line::plain(format!("{n}/{pages}")));
            // Beside the number, before or after it: what a page's footer became when a writer took its lines apart.
            lines.insert(lines.len() - usize::from(n == 2), Line::plain("https://council.example/minutes"));
        }
        lines
    }

    #[test]
    fn printed_page_numbers_make_pages_and_go() {
        let mut lines = printed(3);
        assert_eq!(number_pages(&mut lines), Some(3));
        assert_eq!(lines[5].page, Some(2));
        lines[2].text = "AND THE MOTION PASSED.".into();
        lines[6].text = "The meeting went on.".into();
        drop_repeated(&mut lines);
        let texts: Vec<_> = lines.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(
            texts,
            ["Body one", "AND THE MOTION PASSED.", "Body two", "The meeting went on.", "Body three", "9/12"]
        );
    }

    #[test]
    fn a_fraction_in_the_text_is_no_page_number() {
        let mut lines = vec![Line::plain("The motion got"), Line::plain("2/3"), Line::plain("of the votes.")];
        assert_eq!(number_pages(&mut lines), None);
    }
}
