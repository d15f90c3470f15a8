//! A query's words as terms: what every engine's keyword leg scores.

use std::collections::HashMap;

use super::analysis::{Token, tokens};

/// As many different words are scored; of a longer query the first.
const MOST_TERMS: usize = 128;

/// As many words are looked for under other spellings; each costs a walk through the dictionary.
pub(crate) const MOST_RESPELT: usize = 8;
/// A word shorter than this is not.
const SHORTEST_MISSPELT: usize = 4;

/// The words of a query as they are looked for.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// Each once, with how often it was asked for and how the query wrote it.
    pub(crate) words: Vec<QueryTerm>,
    /// Pairs of neighbours among them, each once.
    pub(crate) pairs: Vec<String>,
    /// All of them are common ones.
    pub(crate) common: bool,
    /// Some were left out.
    pub(crate) cut: bool,
}

/// A word of a query.
#[derive(Clone, Debug)]
pub(crate) struct QueryTerm {
    /// What is looked for.
    pub(crate) term: String,
    /// How the query wrote it.
    pub(crate) written: String,
    /// How often it was asked for.
    pub(crate) weight: f32,
}

impl QueryTerm {
    /// Whether it is looked for under other spellings where it occurs nowhere: numbers are not.
    pub(crate) fn may_be_misspelt(&self) -> bool {
        self.term.chars().count() >= SHORTEST_MISSPELT && self.term.chars().all(char::is_alphabetic)
    }
}

impl Terms {
    /// Common words count only where there are no others.
    pub(crate) fn of(query: &str) -> Self {
        let all = tokens(query);
        let only_common = all.iter().all(|t| t.common);
        let kept: Vec<&Token> = all.iter().filter(|t| only_common || !t.common).collect();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut terms = Self { common: only_common, ..Self::default() };
        for token in &kept {
            if let Some(&place) = places.get(token.term.as_str()) {
                terms.words[place].weight += 1.0;
            } else if terms.words.len() == MOST_TERMS {
                terms.cut = true;
            } else {
                places.insert(&token.term, terms.words.len());
                let written = query[token.from..token.to].to_owned();
                terms.words.push(QueryTerm { term: token.term.clone(), written, weight: 1.0 });
            }
        }
        if !only_common {
            terms.pairs = kept.windows(2).map(|w| pair(&w[0].term, &w[1].term)).collect();
            terms.pairs.sort();
            terms.pairs.dedup();
            terms.pairs.truncate(MOST_TERMS);
        }
        terms
    }
}

/// Two neighbouring terms as one.
pub(crate) fn pair(first: &str, second: &str) -> String {
    format!("{first} {second}")
}
