//! The rpc library.
