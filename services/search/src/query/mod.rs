//! What people type: words, phrases, exclusions, fields and file numbers.

pub(crate) mod analysis;
pub(crate) mod highlight;
mod names;
mod parse;
pub(crate) mod terms;

pub(crate) use names::narrow;
pub use names::resolve_bodies;
pub use parse::{Field, ParsedQuery, parse};
