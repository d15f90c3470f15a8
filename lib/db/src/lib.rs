//! The db library.
