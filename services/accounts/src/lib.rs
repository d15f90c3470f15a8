//! Accounts: people, their linked identities, tenants, role grants and home cities.
//!
//! It owns the schema `accounts`, and nothing else. It never reads another service's tables: whether a city exists it
//! asks meetings. What a home city means for notifications it does not know; it tells the change by event. Start with
//! [`identity`], which is what a sign-in ends in.

pub mod deletion;
mod error;
pub mod export;
mod grpc;
pub mod home_city;
pub mod identity;
mod messages;
pub mod profile;
pub mod roles;
mod store;
pub mod tenants;
pub mod users;

use cs_core::Ids;
use cs_db::Db;
use cs_rpc::{Channel, Outbound};

pub use error::Error;
pub use grpc::AccountsService;
pub use store::{Identity, Tenant, User};

/// The schema.
pub const SCHEMA: &str = "accounts";
/// Its migrations.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// What the service needs.
#[derive(Clone)]
pub struct Deps {
    /// The schema `accounts`.
    pub db: Db,
    /// Clock and ids.
    pub ids: Ids,
    /// To meetings, which knows the cities.
    pub meetings: Channel,
    /// Signs the calls to it, as `service:accounts`.
    pub outbound: Outbound,
}
