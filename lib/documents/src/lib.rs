//! The documents library.
