//! What people type: words, phrases, exclusions, fields and file numbers.

pub(crate) mod analysis;
pub(crate) mod highlight;
mod names;
mod parse;
pub(crate) mod terms;

pub use names::resolve_bodies;
pub(crate) use names::{narrow, narrow_days};
pub use parse::{Field, ParsedQuery, parse};
