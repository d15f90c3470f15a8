//! The service against a real Postgres, as its own roles.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod invariants;
mod scanning;
mod support;
