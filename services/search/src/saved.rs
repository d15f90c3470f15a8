//! Saved searches: whether a meeting answers one.
//!
//! Somebody is told of a meeting only where one passage, or one claim, holds every word and phrase that was saved and
//! none of what was excluded. Likeness alone tells nobody: everything is a little alike.

use std::collections::HashSet;

use uuid::Uuid;

use crate::index::{Filters, Hit, IndexError, Mode, PassageDoc, SearchIndex, SearchRequest, VisibleTags};
use crate::query::ParsedQuery;
use crate::query::analysis::tokens;

/// Hits looked at: each holds all the words, and nearly always the first is one that answers.
const LOOKED_AT: usize = 20;

/// The best visible passage of a meeting that answers a saved search; `None` where none does.
///
/// # Errors
/// When the index fails.
pub async fn best_match(
    index: &dyn SearchIndex,
    tenant: Uuid,
    visible: VisibleTags,
    meeting: Uuid,
    query: ParsedQuery,
    filters: Filters,
) -> Result<Option<Hit>, IndexError> {
    if !filters.meetings.is_empty() && !filters.meetings.contains(&meeting) {
        return Ok(None);
    }
    let wanted = Wanted::of(&query);
    if wanted.words.is_empty() {
        return Ok(None);
    }
    let request = SearchRequest {
        tenant,
        visible,
        // As phrases of one word, words are conditions.
        query: ParsedQuery {
            phrases: query.phrases.iter().cloned().chain(wanted.written.iter().cloned()).collect(),
            strict: true,
            ..query
        },
        vector: None,
        mode: Mode::Keyword,
        filters: Filters { meetings: vec![meeting], ..filters },
        first: LOOKED_AT,
        after: None,
        group_by_meeting: false,
    };
    // An engine finds words across the title and the text, and phrases; what was saved is looked at as it was meant.
    let found = index.search(request).await?;
    Ok(found.hits.into_iter().find(|hit| wanted.stands_in(&hit.passage)))
}

/// What a passage must hold.
struct Wanted {
    words: HashSet<String>,
    written: Vec<String>,
    phrases: Vec<Vec<String>>,
}

impl Wanted {
    fn of(query: &ParsedQuery) -> Self {
        let all = tokens(&query.words);
        let only_common = all.iter().all(|token| token.common);
        let mut words = HashSet::new();
        let mut written = Vec::new();
        for token in all.iter().filter(|token| only_common || !token.common) {
            if words.insert(token.term.clone()) {
                written.push(query.words[token.from..token.to].to_owned());
            }
        }
        let phrases = query.phrases.iter().map(|phrase| terms(phrase)).collect();
        Self { words, written, phrases }
    }

    fn stands_in(&self, passage: &PassageDoc) -> bool {
        let parts = [&passage.title, passage.heading.as_ref().unwrap_or(&passage.title), &passage.text];
        let parts = parts.map(|part| terms(part));
        let has_word = |word: &String| parts.iter().any(|part| part.contains(word));
        let has_phrase = |phrase: &Vec<String>| {
            phrase.is_empty() || parts.iter().any(|part| part.windows(phrase.len()).any(|w| w == phrase))
        };
        self.words.iter().all(has_word) && self.phrases.iter().all(has_phrase)
    }
}

fn terms(text: &str) -> Vec<String> {
    tokens(text).into_iter().map(|token| token.term).collect()
}
