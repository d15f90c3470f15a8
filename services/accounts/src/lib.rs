//! The accounts service.
