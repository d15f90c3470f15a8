//! What every engine shows alike: a hit's place and cursor, why it was found, what is highlighted.

use std::collections::HashSet;

use super::pages::{List, Listed};
use super::{Explanation, Hit, IndexError, PassageDoc, SearchRequest, SearchResponse};
use crate::query::highlight;
use crate::query::terms::QueryTerm;

/// A word that occurs nowhere, and how similar ones that occur are written.
pub(crate) type Respelt = (QueryTerm, Vec<String>);

/// The answer where there is nothing to search in.
pub(crate) fn nothing(request: &SearchRequest) -> SearchResponse {
    SearchResponse { messages: request.query.messages.clone(), ..SearchResponse::default() }
}

/// A hit's place in the order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Holds the file numbers asked for.
    pub(crate) named: bool,
    /// What it was ranked by.
    pub(crate) score: f32,
    /// Decides between equals.
    pub(crate) id: u64,
}

/// A hit's place, and the list that it was cut from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) place: Place,
    /// The name of the list, where there is more of it.
    pub(crate) list: Option<u64>,
}

/// Hexadecimal digits of a place, and of a list's name.
const PLACE_DIGITS: usize = 25;
const LIST_DIGITS: usize = 16;

impl Cursor {
    /// As it is handed out.
    pub(crate) fn written(self) -> String {
        let Self { place: Place { named, score, id }, list } = self;
        let list = list.map(|name| format!("{name:016x}")).unwrap_or_default();
        format!("{:x}{:08x}{id:016x}{list}", u8::from(named), score.to_bits())
    }

    /// As it comes back.
    pub(crate) fn parse(cursor: &str) -> Result<Self, IndexError> {
        let part = |range: std::ops::Range<usize>| {
            let digits = cursor.get(range).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            digits.and_then(|d| u64::from_str_radix(d, 16).ok()).ok_or(IndexError::BadCursor)
        };
        let list = match cursor.len() {
            PLACE_DIGITS => None,
            len if len == PLACE_DIGITS + LIST_DIGITS => Some(part(PLACE_DIGITS..len)?),
            _ => return Err(IndexError::BadCursor),
        };
        let score = f32::from_bits(part(1..9)? as u32);
        Ok(Self { place: Place { named: part(0..1)? == 1, score, id: part(9..PLACE_DIGITS)? }, list })
    }
}

impl Place {
    /// Where to go on in a list: behind the same hit, or where it would stand if it has gone since.
    pub(crate) fn resume(self, order: impl Iterator<Item = Place> + Clone) -> usize {
        if let Some(at) = order.clone().position(|place| place.id == self.id) {
            return at + 1;
        }
        let before = |p: &Place| {
            self.named.cmp(&p.named).then(self.score.total_cmp(&p.score)).then(p.id.cmp(&self.id)).is_lt()
        };
        order.take_while(before).count()
    }
}

/// A hit of a list as it is answered: what of the query stands in it is found in its text, its title and its heading.
pub(crate) fn shown(passage: PassageDoc, list: &List, listed: &Listed) -> Hit {
    let List { terms, respelt, .. } = list;
    let spellings = respelt.iter().flat_map(|(_, spellings)| spellings);
    let wanted: HashSet<&str> =
        terms.words.iter().map(|w| &w.term).chain(spellings).map(String::as_str).collect();
    let mut found = highlight::find(&passage.text, &wanted);
    for carried in [Some(&passage.title), passage.heading.as_ref()].into_iter().flatten() {
        found.terms.extend(highlight::find(carried, &wanted).terms);
    }
    if found.spans.is_empty() {
        found.spans = highlight::telling_sentence(&passage.text, wanted.iter().copied());
    }
    let otherwise = |term: &str| {
        respelt
            .iter()
            .any(|(w, spellings)| w.term == term && spellings.iter().any(|s| found.terms.contains(s)))
    };
    let matched = terms.words.iter().filter(|w| found.terms.contains(&w.term) || otherwise(&w.term));
    let explanation =
        Explanation { matched_terms: matched.map(|w| w.written.clone()).collect(), ..listed.why.clone() };
    Hit {
        passage,
        score: listed.place.score,
        explanation,
        highlights: found.spans,
        cursor: Cursor { place: listed.place, list: list.name }.written(),
        more_in_meeting: listed.more,
    }
}

/// Says which words were searched under other spellings.
pub(crate) fn say_spellings(respelt: &[Respelt], response: &mut SearchResponse) {
    for (word, _) in respelt {
        response
            .messages
            .push(format!("“{}” occurs nowhere: words spelt almost like it were searched.", word.written));
    }
}
