//! The service against a real Postgres, as its own roles.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod channels;
mod desk;
mod dying;
mod fan_out;
mod follows;
mod holding;
mod invariants;
mod mail_server;
mod receivers;
mod retention;
mod retracting;
mod searches;
mod sending;
mod setbacks;
mod support;
mod turns;
mod watching;
