//! The meetings service.
