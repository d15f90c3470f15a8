//! The whole system from outside its services: the same flows with all roles in one process and with each on its own
//! port, isolation between tenants, and what the program says where it cannot go on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admission;
mod architecture;
mod damaged;
mod desk;
mod dying;
mod edge;
mod embedder;
mod erasure;
mod evaluate;
mod foreign;
mod harness;
mod health;
mod isolation;
mod killed;
mod logs;
mod migrating;
mod operator;
mod order;
mod pipeline;
mod program;
mod published;
mod reader;
mod records;
mod refused;
mod reindex;
mod restart;
mod review;
mod runs;
mod scheduler;
mod sources;
mod strangers;
mod trace;
