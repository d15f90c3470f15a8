//! All SQL of this service.

pub(crate) mod deliveries;
pub(crate) mod follows;
pub(crate) mod inbox;
pub(crate) mod notices;
pub(crate) mod preferences;
