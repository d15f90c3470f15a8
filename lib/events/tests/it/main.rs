//! The library against real servers: one contract suite for both buses, fairness, dead letters, several relays.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;
mod dead_letters;
mod fairness;
mod given_up;
mod hand;
mod relay;
mod sns;
mod sns_order;
mod support;
mod suspects;
mod told;
mod tries;
mod wakeups;
