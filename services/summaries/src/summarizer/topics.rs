//! Subjects of claims, by the words that a tenant lists for them.

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::TopicSlug;

/// How many subjects a claim may have.
const MOST: usize = 3;

/// A subject and its words: whole words, any case; a trailing `*` stands for any ending.
#[derive(Clone, Debug, Deserialize)]
pub struct TopicRule {
    /// The tenant's name for it.
    pub slug: TopicSlug,
    /// What gives it away.
    pub words: Vec<String>,
}

/// A tenant's subjects, ready to be matched.
#[derive(Clone, Debug)]
pub struct Topics {
    rules: Vec<(TopicSlug, Regex)>,
}

/// A list of subjects that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// The TOML could not be read.
    #[error("the list of topics is not what was expected ({0}): give [[topic]] tables with a slug and words")]
    Toml(#[from] toml::de::Error),
    /// A rule that would match everything or nothing.
    #[error("topic {0:?} has no words: list at least one")]
    Empty(TopicSlug),
    /// The words do not make an expression of reasonable size.
    #[error("topic {0:?} has words that cannot be matched: {1}")]
    Words(TopicSlug, #[source] regex::Error),
}

#[derive(Deserialize)]
struct File {
    topic: Vec<TopicRule>,
}

static DEFAULT: LazyLock<Topics> =
    LazyLock::new(|| Topics::from_toml(include_str!("topics.toml")).expect("the list that is compiled in"));

impl Topics {
    /// The subjects a tenant starts with.
    pub fn standard() -> &'static Self {
        &DEFAULT
    }

    /// Reads `[[topic]]` tables.
    pub fn from_toml(text: &str) -> Result<Self, TopicsError> {
        Self::new(toml::from_str::<File>(text)?.topic)
    }

    /// Takes a tenant's own list.
    pub fn new(rules: Vec<TopicRule>) -> Result<Self, TopicsError> {
        let mut out = Vec::with_capacity(rules.len());
        for rule in rules {
            let words: Vec<String> =
                rule.words.iter().filter(|w| !w.trim().is_empty()).map(|w| pattern(w)).collect();
            if words.is_empty() {
                return Err(TopicsError::Empty(rule.slug));
            }
            let form =
                RegexBuilder::new(&format!(r"\b(?:{})\b", words.join("|"))).case_insensitive(true).build();
            match form {
                Ok(form) => out.push((rule.slug, form)),
                Err(error) => return Err(TopicsError::Words(rule.slug, error)),
            }
        }
        Ok(Self { rules: out })
    }

    /// The slugs, in the tenant's order.
    pub fn slugs(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|(slug, _)| slug.as_str())
    }

    /// The subjects of a text, the most fitting first.
    pub fn of(&self, text: &str) -> Vec<TopicSlug> {
        let half = (text.len() / 2).max(1);
        let mut scored: Vec<(f32, usize)> = Vec::new();
        for (i, (_, form)) in self.rules.iter().enumerate() {
            let score: f32 = form.find_iter(text).map(|m| if m.start() < half { 1.0 } else { 0.6 }).sum();
            if score > 0.0 {
                scored.push((score, i));
            }
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.into_iter().take(MOST).map(|(_, i)| self.rules[i].0.clone()).collect()
    }
}

fn pattern(word: &str) -> String {
    let open = word.ends_with('*');
    let parts: Vec<String> = word.trim_end_matches('*').split_whitespace().map(regex::escape).collect();
    format!("{}{}", parts.join(r"\s+"), if open { r"\w*" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_list_tells_subjects_apart() {
        let topics = Topics::standard();
        assert_eq!(
            topics.of("An Ordinance providing an Operating Budget of Expenditures, to transfer funds")[0],
            "budget"
        );
        assert!(
            topics
                .of("to permit a short-term rental in a CBD-5 district, City Planning Commission")
                .contains(&"housing".to_owned())
        );
        assert!(topics.of("Seconded by Harris").is_empty());
    }

    #[test]
    fn a_topic_without_words_is_refused() {
        assert!(
            matches!(Topics::from_toml("[[topic]]\nslug = \"x\"\nwords = [\" \"]"), Err(TopicsError::Empty(slug)) if slug == "x")
        );
    }
}
