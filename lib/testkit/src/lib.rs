//! The testkit library.
