//! The BFF as a whole: over HTTP, against the development provider, a real Postgres, and services that only answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod browser;
mod canary;
mod csrf;
mod documents;
mod edge;
mod events;
mod evil;
mod fakes;
mod graphql;
mod hanging_up;
mod hosts;
mod http;
mod leaving;
mod notifying;
mod operators;
mod requests;
mod schema;
mod sessions;
mod sign_in;
mod sockets;
mod stack;
mod store_away;
mod tls;
mod trace;
