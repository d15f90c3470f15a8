//! What is answered.

use serde::Serialize;
use uuid::Uuid;

use super::types::PassageDoc;

/// Why a hit stands where it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// BM25 over the query's words; `None` where none of them occurs.
    pub keyword_score: Option<f32>,
    /// Rank among the keyword leg's candidates, from 1; `None` outside them.
    pub keyword_rank: Option<u32>,
    /// Cosine to the query, −1 to 1; `None` without a vector on either side.
    pub vector_score: Option<f32>,
    /// Rank among the vector leg's candidates, from 1; `None` outside them.
    pub vector_rank: Option<u32>,
    /// What it was ranked by.
    pub fused_score: f32,
    /// The query's words that occur in it, as the query wrote them.
    pub matched_terms: Vec<String>,
}

/// A half-open span of code points in the hit's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// First code point.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

/// A passage found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The passage; its vector is left out.
    pub passage: PassageDoc,
    /// What it was ranked by.
    pub score: f32,
    /// Why.
    pub explanation: Explanation,
    /// Where the query's words stand in the text. For a hit found by meaning alone, its most telling sentence.
    pub highlights: Vec<Span>,
    /// Give it as `after` to continue behind this hit.
    pub cursor: String,
    /// With grouping: how many further candidates its meeting has.
    pub more_in_meeting: u32,
}

/// How many of the passages counted by [`SearchResponse::total`] have each value, most first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facets {
    /// By city.
    pub cities: Vec<(Uuid, u64)>,
    /// By body.
    pub bodies: Vec<(Uuid, u64)>,
    /// By year of the meeting.
    pub years: Vec<(i32, u64)>,
    /// By kind of document, in the words of `cs_core`'s `ArtifactKind`: agenda, minutes, …
    pub artifact_kinds: Vec<(String, u64)>,
}

/// The answer to a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResponse {
    /// This page.
    pub hits: Vec<Hit>,
    /// How many visible passages answer: every one in which a word of the query occurs, and every candidate of the
    /// vector leg (its best thousand, since by meaning everything is a little alike).
    pub total: u64,
    /// How many hits paging to the end will give: each leg's best thousand, fewer when grouped by meeting.
    pub reachable: u64,
    /// Whether there are hits behind this page.
    pub has_more: bool,
    /// Over the passages that `total` counts.
    pub facets: Facets,
    /// Meaning was asked for and could not be used: keywords answered alone.
    pub degraded: bool,
    /// The engine was slow: what it had found within the deadline was ranked, and there may be more.
    pub partial: bool,
    /// What the reader should know, such as what was searched as plain words.
    pub messages: Vec<String>,
}
