//! The policy library.
