//! The core library.
