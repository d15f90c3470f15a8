//! Holds the flow tests; see `main.rs`.
