//! The service against a real Postgres, as its own roles.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deleting;
mod home_city;
mod linking;
mod people;
mod support;
mod tenants;
