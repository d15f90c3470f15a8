//! Documents and folders as they are published, read through the public interface.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod corpus;
mod folders;
mod formats;
