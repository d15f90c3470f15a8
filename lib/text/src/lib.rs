//! The text library.
