//! The only way to a table: a transaction in one tenant, or one of the system role with a stated reason.
//!
//! [`Db`] hides its pools. `db.tenant(&caller)` opens a transaction as the service's *app* role, which sees its
//! tenant's rows and no others; `db.system(reason)` opens one as the *system* role, which sees outbox, inbox, jobs
//! and sources. No transaction is held across a network call.

mod error;
mod migrate;
mod notify;
mod pool;

pub use error::{DbError, classify};
pub use migrate::{MigrateError, SchemaSpec, migrate, print_sql, role_password, roles_connected};
pub use notify::Wakeups;
pub use pool::{Db, DbOptions, Reason, SystemTx, TenantTx, Tx};
