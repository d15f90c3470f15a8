//! What is done to text before it is searched: sentences, passages, folding and embedding.

pub mod embed;
pub mod passages;
pub mod sentences;

mod code_points;
mod fold;
#[cfg(test)]
mod testing;

pub use code_points::CodePoints;
pub use fold::fold;
