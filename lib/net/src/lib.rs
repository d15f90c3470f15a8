//! Requests to addresses that somebody else has chosen: push services, webhooks, sources, embedding services.
//!
//! Whoever names an address must not reach by it what only this machine can: itself, its neighbours, the metadata of
//! its cloud. So [`Guarded`] looks at every address *after* the name was resolved and connects to exactly the
//! addresses it looked at; a name that resolves otherwise the next time is looked at again, and so is every redirect.
//! Size and time are bounded, bodies are never unpacked.

mod address;
mod client;

pub use address::{is_own, is_public, is_v4_public};
pub use client::{Answer, Guarded, Limits, Lookup, NetError, SystemLookup, Trust};
