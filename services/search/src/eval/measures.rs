//! The measures, as trec_eval computes them.

use std::collections::HashMap;

/// Sums over queries.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) queries: usize,
    ndcg: f64,
    recall: f64,
    reciprocal: f64,
}

impl Judged {
    /// Adds a query: what is relevant with its grade, and what was found, best first, a hundred at most.
    pub(super) fn add<'a>(&mut self, relevant: &HashMap<String, f64>, found: impl Iterator<Item = &'a str>) {
        if relevant.is_empty() {
            return;
        }
        let gains: Vec<f64> = found.map(|id| relevant.get(id).copied().unwrap_or(0.0)).collect();
        let mut ideal: Vec<f64> = relevant.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        self.queries += 1;
        self.ndcg += discounted(&gains) / discounted(&ideal);
        self.recall += gains.iter().filter(|gain| **gain > 0.0).count() as f64 / relevant.len() as f64;
        self.reciprocal +=
            gains.iter().take(10).position(|gain| *gain > 0.0).map_or(0.0, |place| 1.0 / (place + 1) as f64);
    }

    pub(super) fn ndcg(&self) -> f64 {
        self.ndcg / self.queries as f64
    }

    pub(super) fn recall(&self) -> f64 {
        self.recall / self.queries as f64
    }

    pub(super) fn reciprocal_rank(&self) -> f64 {
        self.reciprocal / self.queries as f64
    }
}

fn discounted(gains: &[f64]) -> f64 {
    gains.iter().take(10).zip(2_u32..).map(|(gain, place)| gain / f64::from(place).log2()).sum()
}

/// The value that this share of the sorted values does not exceed (nearest rank).
pub(super) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_those_of_trec_eval() {
        let relevant = HashMap::from([("a".to_owned(), 1.0), ("b".to_owned(), 1.0)]);
        let mut judged = Judged::default();
        judged.add(&relevant, ["x", "a", "y"].into_iter());
        judged.add(&HashMap::new(), ["x"].into_iter());
        assert_eq!(judged.queries, 1);
        assert!((judged.ndcg() - 0.630_93 / 1.630_93).abs() < 1e-4);
        assert!((judged.recall() - 0.5).abs() < 1e-9 && (judged.reciprocal_rank() - 0.5).abs() < 1e-9);
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }
}
