//! The devidp library.
