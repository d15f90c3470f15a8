//! Words that every crate shares: ids, tenants, callers, the clock, paging, documents. No I/O.

pub mod document;
