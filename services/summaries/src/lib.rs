//! The summaries service.
pub mod eval;
pub mod gate;
pub mod summarizer;
pub mod verify;
