//! The index as its callers see it.

mod bad_input;
mod brute_force;
mod changes;
mod damage;
mod support;
