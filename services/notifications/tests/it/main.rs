//! The service against a real Postgres, as its own roles.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fan_out;
mod follows;
mod invariants;
mod sending;
mod support;
mod watching;
