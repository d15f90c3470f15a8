//! The BFF.
