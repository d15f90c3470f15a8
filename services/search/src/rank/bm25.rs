//! Okapi BM25, as in Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the
//! inverse document frequency that cannot turn negative, as Lucene has it.

/// The two parameters of BM25.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bm25 {
    /// How soon a word's repetition stops to count.
    pub k1: f32,
    /// How much a long passage is held against it, 0 to 1.
    pub b: f32,
}

impl Bm25 {
    /// The weight of a word that occurs `frequency` times in a passage of `length` words.
    pub fn saturation(&self, frequency: f32, length: f32, mean_length: f32) -> f32 {
        self.saturation_at(frequency, self.norm(length, mean_length))
    }

    /// As [`Bm25::saturation`], with [`Bm25::norm`] of the passage at hand.
    pub fn saturation_at(&self, frequency: f32, norm: f32) -> f32 {
        frequency * (self.k1 + 1.0) / (frequency + norm)
    }

    /// The part of the denominator that a passage's length decides.
    pub fn norm(&self, length: f32, mean_length: f32) -> f32 {
        self.k1 * (1.0 - self.b + self.b * length / mean_length.max(1.0))
    }
}

/// How telling a word is that occurs in `with` of `all` passages.
pub fn inverse_document_frequency(with: u64, all: u64) -> f32 {
    let (with, all) = (with as f64, all as f64);
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rarer_shorter_and_more_often_score_higher() {
        assert!(inverse_document_frequency(1, 100) > inverse_document_frequency(50, 100));
        assert!(inverse_document_frequency(100, 100) > 0.0);
        let bm25 = Bm25 { k1: 1.5, b: 0.75 };
        assert!(bm25.saturation(2.0, 100.0, 100.0) > bm25.saturation(1.0, 100.0, 100.0));
        assert!(bm25.saturation(1.0, 50.0, 100.0) > bm25.saturation(1.0, 100.0, 100.0));
        assert!(bm25.saturation(1e9, 100.0, 100.0) <= 2.5);
    }
}
