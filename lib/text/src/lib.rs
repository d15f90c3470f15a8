//! What is done to text before it is searched: sentences, passages, folding and embedding.

pub mod embed;
