//! What tests share.

pub mod opensearch;
pub mod postgres;
