//! All SQL of this service.

pub(crate) mod addresses;
pub(crate) mod deliveries;
pub(crate) mod erasure;
pub(crate) mod export;
pub(crate) mod follows;
pub(crate) mod inbox;
pub(crate) mod messages;
pub(crate) mod notices;
pub(crate) mod outgoing;
pub(crate) mod preferences;
pub(crate) mod retention;
pub(crate) mod searches;
pub(crate) mod waiting;
