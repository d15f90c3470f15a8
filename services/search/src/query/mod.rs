//! What people type: words, phrases, exclusions, fields and file numbers.

pub(crate) mod analysis;
pub(crate) mod highlight;
pub(crate) mod names;
mod parse;
pub(crate) mod terms;

pub use parse::{Field, ParsedQuery, parse};
