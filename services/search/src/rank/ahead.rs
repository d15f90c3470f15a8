//! What the ranking is going to ask of an engine that keeps its vectors elsewhere, told before it asks.

use super::RankParams;
use super::fuse::{Candidate, Likeness, cosines, fused, lean_on_adjacent, top, with_feedback};

/// The candidates whose likeness to every other [`super::rank`] asks for first: those that give feedback.
pub fn feedback(params: &RankParams, candidates: &[Candidate]) -> Vec<usize> {
    if params.feedback == 0.0 {
        return Vec::new();
    }
    let scores = first(params, candidates);
    top(candidates, &scores, params.feedback_docs)
        .into_iter()
        .filter(|&i| candidates[i].vector.is_some())
        .collect()
}

/// The candidates whose likeness among each other [`super::rank`] asks for then. `likeness` knows that of every
/// candidate to those of [`feedback`].
pub fn smoothed(params: &RankParams, candidates: &[Candidate], likeness: &dyn Likeness) -> Vec<usize> {
    if params.smoothing == 0.0 {
        return Vec::new();
    }
    let moved = with_feedback(params, candidates, &first(params, candidates), &cosines(candidates), likeness);
    let words: Vec<f32> = candidates.iter().map(|c| c.keyword).collect();
    let mut scores = fused(params, &words, &moved);
    lean_on_adjacent(params, candidates, &mut scores);
    top(candidates, &scores, params.smoothed)
}

fn first(params: &RankParams, candidates: &[Candidate]) -> Vec<f32> {
    let words: Vec<f32> = candidates.iter().map(|c| c.keyword).collect();
    let mut scores = fused(params, &words, &cosines(candidates));
    lean_on_adjacent(params, candidates, &mut scores);
    scores
}
