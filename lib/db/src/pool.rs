//! The two doors of a service's schema.

use std::time::Duration;

use cs_core::{Caller, TenantId};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::DbError;
use crate::migrate::role_password;

/// Why the system role is used; it stands in the transaction's `application_name`-like setting and in traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Moves the outbox to the bus.
    Relay,
    /// Claims jobs, or ends them.
    Jobs,
    /// Asks for due scans.
    Scheduler,
    /// Lists, replays or discards dead letters; counts what is under way.
    Operations,
}

/// How to reach a schema.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// The server and database: `postgres://host:port/name`; user and password are the roles' own.
    pub url: url::Url,
    /// The schema; its roles are `<schema>_app` and `<schema>_system`.
    pub schema: String,
    /// From which the roles' passwords are derived.
    pub role_secret: Vec<u8>,
    /// Most connections of the app role.
    pub max_connections: u32,
}

/// A service's database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    app: PgPool,
    system: PgPool,
}

/// How long to wait for a connection before saying that the database is not there: less than a request may take, and more
/// than a burst after a quiet hour needs to open its connections.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(6);

impl DbOptions {
    /// A pool of the schema's role `app` or `system`, for an owner that has no tenants (the sessions). Connects when
    /// first used.
    pub fn pool(&self, role: &str, most: u32) -> Result<PgPool, DbError> {
        let user = format!("{}_{role}", self.schema);
        let connect = self
            .url
            .as_str()
            .parse::<PgConnectOptions>()?
            .username(&user)
            .password(&role_password(&self.role_secret, &user))
            .application_name(&format!("councilsense {user}"));
        Ok(PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(Duration::from_secs(300))
            .connect_lazy_with(connect))
    }
}

impl Db {
    /// Pools for both roles. Connects when first used.
    pub fn new(options: &DbOptions) -> Result<Self, DbError> {
        Ok(Self { app: options.pool("app", options.max_connections)?, system: options.pool("system", 6)? })
    }

    /// A transaction in the caller's tenant, as the app role. Row-level security keeps it there.
    pub async fn tenant(&self, caller: &Caller) -> Result<TenantTx, DbError> {
        let mut tx = self.app.begin().await?;
        // Transaction-local: a session-level SET would leak to the connection's next user.
        sqlx::query("SELECT set_config('app.tenant_id', $1, true), set_config('app.actor_id', $2, true)")
            .bind(caller.tenant.uuid().to_string())
            .bind(caller.subject.to_string())
            .execute(&mut *tx)
            .await?;
        Ok(TenantTx { tx, tenant: caller.tenant })
    }

    /// A transaction of the system role: all tenants' outbox, inbox, jobs and sources, and what notifications sends (ADR 3).
    pub async fn system(&self, reason: Reason) -> Result<SystemTx, DbError> {
        tracing::trace!(?reason, "system transaction");
        Ok(SystemTx { tx: self.system.begin().await? })
    }

    /// For a connection that listens for notifications of the schema's triggers.
    pub(crate) fn listener_pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(self.system.connect_options().as_ref().clone())
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        sqlx::query("SELECT 1").execute(&self.app).await?;
        Ok(())
    }

    /// Closes both pools.
    pub async fn close(&self) {
        self.app.close().await;
        self.system.close().await;
    }
}

/// What both transactions have: a connection.
pub trait Tx: Send {
    /// The connection inside the transaction.
    fn conn(&mut self) -> &mut PgConnection;
}

/// A transaction in one tenant.
pub struct TenantTx {
    tx: Transaction<'static, Postgres>,
    tenant: TenantId,
}

impl TenantTx {
    /// The tenant whose rows it sees.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Makes the change. Dropped without it, nothing has happened.
    pub async fn commit(self) -> Result<(), DbError> {
        Ok(self.tx.commit().await?)
    }
}

/// A transaction of the system role.
pub struct SystemTx {
    tx: Transaction<'static, Postgres>,
}

impl SystemTx {
    /// Makes the change. Dropped without it, nothing has happened.
    pub async fn commit(self) -> Result<(), DbError> {
        Ok(self.tx.commit().await?)
    }
}

impl Tx for TenantTx {
    fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

impl Tx for SystemTx {
    fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}
