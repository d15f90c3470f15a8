//! The order of hits, one code for every engine.
//!
//! An engine hands over the union of both legs' best candidates, each scored exactly by both legs. Scores become
//! z-scores over the union and are added by share; the query's vector moves a little towards the best two and the sum is
//! made again; the best hundred lend each other some of their score along their likeness. The figures were chosen on
//! scifact-train, cisi and cacm, and on nothing else.

pub mod ahead;
mod bm25;
mod fuse;

pub use bm25::{Bm25, inverse_document_frequency};
pub use fuse::{Candidate, Likeness, Ranked, rank};

/// What the ranking can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct RankParams {
    /// Candidates that each leg gives. Fixed, so that pages of any size cut the same list.
    pub candidates: usize,
    /// The keyword leg's formula.
    pub bm25: Bm25,
    /// Weight of pairs of neighbouring words beside single words.
    pub bigram_weight: f32,
    /// Share of the keyword leg in the fused score; the vector leg has the rest.
    pub keyword_share: f32,
    /// How far the query's vector moves to the mean of the best, 0 to 1.
    pub feedback: f32,
    /// How many are the best.
    pub feedback_docs: usize,
    /// Share of a spoken passage's score that those right before and after it in its transcript have.
    pub adjacent: f32,
    /// How many of the first lend each other score.
    pub smoothed: usize,
    /// From how many of its nearest each one borrows.
    pub neighbours: usize,
    /// Share of the borrowed score.
    pub smoothing: f32,
}

impl Default for RankParams {
    fn default() -> Self {
        Self {
            candidates: 1_000,
            bm25: Bm25 { k1: 0.9, b: 0.6 },
            bigram_weight: 0.1,
            keyword_share: 0.45,
            feedback: 0.2,
            feedback_docs: 2,
            adjacent: 0.2,
            smoothed: 100,
            neighbours: 8,
            smoothing: 0.3,
        }
    }
}
