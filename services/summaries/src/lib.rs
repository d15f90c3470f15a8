//! The summaries service.
pub mod summarizer;
