//! The events library.
