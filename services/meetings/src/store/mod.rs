//! All SQL of this service: functions over a tenant's transaction.

pub(crate) mod artifacts;
pub(crate) mod audits;
pub(crate) mod meetings;
pub(crate) mod places;
pub(crate) mod runs;
pub(crate) mod sources;
pub(crate) mod texts;
