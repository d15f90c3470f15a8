//! The whole system from outside its services: the same flows with all roles in one process and with each on its own
//! port, isolation between tenants, and the invariants that the database keeps.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admission;
mod architecture;
mod damaged;
mod desk;
mod edge;
mod embedder;
mod erasure;
mod harness;
mod health;
mod invariants;
mod isolation;
mod killed;
mod order;
mod pipeline;
mod reader;
mod records;
mod reindex;
mod restart;
mod review;
mod runs;
mod scheduler;
mod sources;
mod strangers;
mod trace;
