//! The search service: finds passages by words and by meaning, says why, and never shows what its reader may not see.
//!
//! It owns the index alone, which can be rebuilt from meetings' sections and summaries' claims. Start at
//! [`index::SearchIndex`].

pub mod eval;
pub mod index;
pub mod query;
pub mod rank;
