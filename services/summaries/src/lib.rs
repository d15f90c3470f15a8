//! The summaries service.
