//! From both legs' scores to one order.

use super::RankParams;

/// Passages are adjacent with as many code points between them: a heading, not a page.
const ADJACENT_GAP: u32 = 200;

/// A passage of the union, scored by both legs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Stable across runs and pages; decides between equals.
    pub id: u64,
    /// BM25; 0 where no word of the query occurs.
    pub keyword: f32,
    /// Cosine to the query; `None` without a vector.
    pub vector: Option<f32>,
    /// Of a transcript.
    pub spoken: bool,
    /// Tells the document it stands in from others.
    pub document: u64,
    /// Its first code point there and one past its last.
    pub span: (u32, u32),
    /// Holds the file numbers that were asked for: it comes before all that do not.
    pub named: bool,
}

/// How alike candidates are, by their places in the slice given to [`rank`].
pub trait Likeness {
    /// Cosine of two candidates' vectors, 0 where one has none.
    fn cosine(&self, a: usize, b: usize) -> f32;
}

/// A candidate in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Its place in the slice given to [`rank`].
    pub index: usize,
    /// What it was ranked by.
    pub score: f32,
}

/// Orders candidates, best first. Which legs take part is told by `keyword` and `vector`.
pub fn rank(
    params: &RankParams,
    candidates: &[Candidate],
    likeness: &dyn Likeness,
    keyword: bool,
    vector: bool,
) -> Vec<Ranked> {
    let words: Vec<f32> = candidates.iter().map(|c| c.keyword).collect();
    if !vector {
        return ordered(candidates, &words);
    }
    let cosines = cosines(candidates);
    if !keyword {
        return ordered(candidates, &cosines);
    }
    let mut first = fused(params, &words, &cosines);
    lean_on_adjacent(params, candidates, &mut first);
    let moved = with_feedback(params, candidates, &first, &cosines, likeness);
    let mut scores = fused(params, &words, &moved);
    lean_on_adjacent(params, candidates, &mut scores);
    smooth(params, candidates, &mut scores, likeness);
    ordered(candidates, &scores)
}

/// A passage without a vector is taken to be as alike as the least alike one.
pub(super) fn cosines(candidates: &[Candidate]) -> Vec<f32> {
    let least = candidates.iter().filter_map(|c| c.vector).fold(f32::INFINITY, f32::min);
    let least = if least.is_finite() { least } else { 0.0 };
    candidates.iter().map(|c| c.vector.unwrap_or(least)).collect()
}

pub(super) fn fused(params: &RankParams, words: &[f32], cosines: &[f32]) -> Vec<f32> {
    let (words, cosines) = (z_scores(words), z_scores(cosines));
    let share = params.keyword_share;
    words.iter().zip(cosines).map(|(w, c)| share * w + (1.0 - share) * c).collect()
}

/// Distance from the mean in standard deviations; all 0 where all are alike.
fn z_scores(values: &[f32]) -> Vec<f32> {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    let deviation = variance.sqrt();
    if deviation < 1e-9 {
        return vec![0.0; values.len()];
    }
    values.iter().map(|&v| ((f64::from(v) - mean) / deviation) as f32).collect()
}

/// Pseudo-relevance feedback: cosines to a query that moved towards the best (Rocchio without negatives). A dot product
/// is linear, so the moved query need not be made.
pub(super) fn with_feedback(
    params: &RankParams,
    candidates: &[Candidate],
    scores: &[f32],
    cosines: &[f32],
    likeness: &dyn Likeness,
) -> Vec<f32> {
    let best: Vec<usize> = top(candidates, scores, params.feedback_docs)
        .into_iter()
        .filter(|&i| candidates[i].vector.is_some())
        .collect();
    if best.is_empty() || params.feedback == 0.0 {
        return cosines.to_vec();
    }
    (0..candidates.len())
        .map(|i| {
            if candidates[i].vector.is_none() {
                return cosines[i];
            }
            let mean = best.iter().map(|&b| likeness.cosine(i, b)).sum::<f32>() / best.len() as f32;
            (1.0 - params.feedback) * cosines[i] + params.feedback * mean
        })
        .collect()
}

/// A spoken passage leans on the one before and the one after it: what a speaker means is often said a breath earlier.
/// Written ones do not: on abstracts it was measured to cost.
pub(super) fn lean_on_adjacent(params: &RankParams, candidates: &[Candidate], scores: &mut [f32]) {
    if params.adjacent == 0.0 || !candidates.iter().any(|c| c.spoken) {
        return;
    }
    let mut reading: Vec<usize> = (0..candidates.len()).collect();
    reading.sort_unstable_by_key(|&i| (candidates[i].document, candidates[i].span, candidates[i].id));
    let before = scores.to_vec();
    let touch = |a: usize, b: usize| {
        let (a, b) = (&candidates[a], &candidates[b]);
        a.spoken && a.document == b.document && a.span.1 <= b.span.0 && b.span.0 - a.span.1 <= ADJACENT_GAP
    };
    for (at, &i) in reading.iter().enumerate() {
        if !candidates[i].spoken {
            continue;
        }
        let previous = at.checked_sub(1).map(|p| reading[p]).filter(|&p| touch(p, i));
        let next = reading.get(at + 1).copied().filter(|&n| touch(i, n));
        // At the edge of a document, or of what was found of it, a passage stands for itself.
        let around = [previous, next].map(|n| before[n.unwrap_or(i)]);
        scores[i] = (1.0 - params.adjacent) * before[i] + params.adjacent * (around[0] + around[1]) / 2.0;
    }
}

/// Each of the first lends score to those like it: a passage among relevant ones is likelier relevant (the cluster
/// hypothesis; score regularisation of Diaz, 2007).
fn smooth(params: &RankParams, candidates: &[Candidate], scores: &mut [f32], likeness: &dyn Likeness) {
    let first = top(candidates, scores, params.smoothed);
    if params.smoothing == 0.0 || first.len() < 3 {
        return;
    }
    let count = first.len();
    let mut cosines = vec![0.0_f32; count * count];
    for a in 0..count {
        for b in a + 1..count {
            let cosine = likeness.cosine(first[a], first[b]).max(0.0);
            cosines[a * count + b] = cosine;
            cosines[b * count + a] = cosine;
        }
    }
    let before: Vec<f32> = first.iter().map(|&i| scores[i]).collect();
    let mut near: Vec<usize> = Vec::with_capacity(count);
    for a in 0..count {
        let row = &cosines[a * count..(a + 1) * count];
        near.clear();
        near.extend((0..count).filter(|&b| b != a));
        near.sort_by(|&x, &y| row[y].total_cmp(&row[x]).then(x.cmp(&y)));
        near.truncate(params.neighbours);
        let weight: f32 = near.iter().map(|&b| row[b]).sum();
        if weight > 0.0 {
            let borrowed = near.iter().map(|&b| row[b] * before[b]).sum::<f32>() / weight;
            scores[first[a]] = (1.0 - params.smoothing) * before[a] + params.smoothing * borrowed;
        }
    }
}

/// The places of the best `count`, best first.
pub(super) fn top(candidates: &[Candidate], scores: &[f32], count: usize) -> Vec<usize> {
    let order = |&a: &usize, &b: &usize| {
        scores[b].total_cmp(&scores[a]).then(candidates[a].id.cmp(&candidates[b].id))
    };
    let mut places: Vec<usize> = (0..candidates.len()).collect();
    if count < places.len() && count > 0 {
        places.select_nth_unstable_by(count - 1, order);
    }
    places.truncate(count);
    places.sort_by(order);
    places
}

fn ordered(candidates: &[Candidate], scores: &[f32]) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> =
        scores.iter().enumerate().map(|(index, &score)| Ranked { index, score }).collect();
    ranked.sort_by(|a, b| {
        let (x, y) = (&candidates[a.index], &candidates[b.index]);
        y.named.cmp(&x.named).then(b.score.total_cmp(&a.score)).then(x.id.cmp(&y.id))
    });
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Vectors(Vec<[f32; 2]>);

    impl Likeness for Vectors {
        fn cosine(&self, a: usize, b: usize) -> f32 {
            let (a, b) = (self.0[a], self.0[b]);
            a[0] * b[0] + a[1] * b[1]
        }
    }

    fn candidate(id: u64, keyword: f32, vector: f32) -> Candidate {
        Candidate {
            id,
            keyword,
            vector: Some(vector),
            spoken: false,
            document: id,
            span: (0, 0),
            named: false,
        }
    }

    #[test]
    fn both_legs_count_alike() {
        let candidates =
            [candidate(1, 9.0, 0.1), candidate(2, 8.0, 0.8), candidate(3, 0.0, 0.9), candidate(4, 0.0, 0.0)];
        let vectors = Vectors(vec![[0.1, 0.9], [0.8, 0.6], [0.9, 0.4], [0.0, 1.0]]);
        let params =
            RankParams { keyword_share: 0.5, feedback: 0.0, smoothing: 0.0, ..RankParams::default() };
        let order: Vec<usize> =
            rank(&params, &candidates, &vectors, true, true).iter().map(|r| r.index).collect();
        assert_eq!(order, [1, 0, 2, 3]);
        let order: Vec<usize> =
            rank(&params, &candidates, &vectors, false, true).iter().map(|r| r.index).collect();
        assert_eq!(order, [2, 1, 0, 3]);
        let order: Vec<usize> =
            rank(&params, &candidates, &vectors, true, false).iter().map(|r| r.index).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn equals_stand_by_id_and_named_ones_first() {
        let mut candidates = [candidate(9, 1.0, 0.5), candidate(3, 1.0, 0.5), candidate(5, 1.0, 0.5)];
        let vectors = Vectors(vec![[1.0, 0.0]; 3]);
        let params = RankParams::default();
        let order: Vec<usize> =
            rank(&params, &candidates, &vectors, true, true).iter().map(|r| r.index).collect();
        assert_eq!(order, [1, 2, 0]);
        candidates[0].named = true;
        let order: Vec<usize> =
            rank(&params, &candidates, &vectors, true, true).iter().map(|r| r.index).collect();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn feedback_and_smoothing_raise_what_is_like_the_best() {
        // 3 and 4 are scored alike by both legs; only 3 is like the best.
        let candidates =
            [candidate(1, 9.0, 0.9), candidate(2, 0.0, 0.1), candidate(4, 2.0, 0.4), candidate(3, 2.0, 0.4)];
        let vectors = Vectors(vec![[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.9, 0.1]]);
        for params in [
            RankParams { smoothing: 0.0, feedback_docs: 1, ..RankParams::default() },
            RankParams { feedback: 0.0, neighbours: 1, ..RankParams::default() },
        ] {
            let order: Vec<usize> =
                rank(&params, &candidates, &vectors, true, true).iter().map(|r| r.index).collect();
            assert_eq!(order[..2], [0, 3], "{params:?}");
        }
    }

    #[test]
    fn a_spoken_passage_leans_on_those_around_it() {
        let params = RankParams { feedback: 0.0, smoothing: 0.0, ..RankParams::default() };
        let vectors = Vectors(vec![[1.0, 0.0]; 4]);
        let mut candidates =
            [candidate(1, 9.0, 0.9), candidate(2, 1.0, 0.1), candidate(3, 1.0, 0.1), candidate(4, 0.0, 0.0)];
        for (at, candidate) in candidates.iter_mut().enumerate() {
            let start = if at == 1 { 5_000 } else { at as u32 * 100 };
            (candidate.document, candidate.span) = (7, (start, start + 99));
        }
        candidates[2].span = (100, 199);
        let second = |candidates: &[Candidate]| rank(&params, candidates, &vectors, true, true)[1].index;
        assert_eq!(second(&candidates), 1, "by id, being equal");
        candidates.iter_mut().for_each(|c| c.spoken = true);
        assert_eq!(second(&candidates), 2, "it stands right behind the best");
    }

    #[test]
    fn nothing_to_rank_is_no_error() {
        assert!(rank(&RankParams::default(), &[], &Vectors(vec![]), true, true).is_empty());
        let lonely = [candidate(1, 0.0, 0.0)];
        assert_eq!(rank(&RankParams::default(), &lonely, &Vectors(vec![[0.0, 0.0]]), true, true).len(), 1);
    }
}
