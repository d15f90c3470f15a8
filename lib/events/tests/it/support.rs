//! A service of the tests' own: its schema, a table of effects, and envelopes.

#![allow(dead_code, reason = "two test programs share it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cs_core::{Caller, Clock, Ids, ManualClock, SystemClock, TenantId, Trace};
use cs_db::{Db, DbOptions, SchemaSpec, Tx};
use cs_events::{Envelope, Fact, SnsOptions};
use cs_testkit::{localstack, postgres};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Deaths after which a piece of work is taken for their cause.
pub(crate) const ENOUGH: u32 = 9;

/// What comes within two minutes, or not at all.
pub(crate) async fn soon<T>(comes: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), comes).await.expect("it did not come")
}

/// SNS and SQS that run here: how to reach them under names of the test's own, and for clients of others. `None`: they are
/// not installed.
pub(crate) async fn elsewhere(name: &str) -> Option<(SnsOptions, aws_config::SdkConfig)> {
    let endpoint = localstack::endpoint().await?;
    localstack::credentials();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .endpoint_url(endpoint.as_str())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .load()
        .await;
    let options = SnsOptions {
        endpoint: Some(endpoint),
        prefix: format!("{name}-{}", std::process::id()).replace('_', "-"),
        topic_arn: None,
        wait: Duration::from_secs(1),
    };
    Some((options, config))
}

/// The schema of the service that tests play.
pub(crate) const SCHEMA: &str = "toy";

pub(crate) struct World {
    pub(crate) url: url::Url,
    pub(crate) bus_db: Db,
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) manual: Arc<ManualClock>,
    pub(crate) ids: Ids,
    pub(crate) tenant: TenantId,
}

impl World {
    /// A database of its own, on the machine's clock.
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(name, Arc::new(SystemClock)).await
    }

    /// A database of its own, on a clock that the test moves.
    pub(crate) async fn manual(name: &str) -> Self {
        let manual = Arc::new(ManualClock::default());
        Self { manual: manual.clone(), ..Self::on(name, manual).await }
    }

    async fn on(name: &str, clock: Arc<dyn Clock>) -> Self {
        let name = name.to_owned();
        let url = tokio::task::spawn_blocking(move || postgres::database(&name)).await.unwrap();
        let none = Migrator::with_migrations(Vec::new());
        let schemas = [
            SchemaSpec { name: "bus", migrators: &[&cs_events::BUS_MIGRATOR] },
            SchemaSpec { name: SCHEMA, migrators: &[&cs_events::SERVICE_MIGRATOR, &none] },
        ];
        cs_db::migrate(&url, postgres::ROLE_SECRET, &schemas).await.unwrap();
        let db = |schema: &str| {
            Db::new(&DbOptions {
                url: url.clone(),
                schema: schema.to_owned(),
                role_secret: postgres::ROLE_SECRET.to_vec(),
                max_connections: 8,
            })
            .unwrap()
        };
        let world = Self {
            bus_db: db("bus"),
            db: db(SCHEMA),
            ids: Ids::new(clock.clone()),
            clock,
            manual: Arc::default(),
            tenant: TenantId::of_slug("default"),
            url,
        };
        // The effect that has to be had once: a row more for every time it was had.
        world
            .admin(
                "CREATE TABLE IF NOT EXISTS toy.effects (what text NOT NULL, tenant_id uuid NOT NULL);
                 GRANT SELECT, INSERT ON toy.effects TO toy_app",
            )
            .await;
        world
    }

    pub(crate) async fn admin(&self, sql: &str) {
        let mut connection = PgConnection::connect(self.url.as_str()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(self.url.as_str()).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap()
    }

    pub(crate) async fn text(&self, sql: &str) -> String {
        let mut connection = PgConnection::connect(self.url.as_str()).await.unwrap();
        let text: Option<String> =
            sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap();
        text.unwrap_or_default()
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::service(SCHEMA, self.tenant, Trace::start())
    }

    /// A fact of a city, with a key of its own.
    pub(crate) fn envelope(&self, kind: &str, city: &str) -> Envelope {
        self.with_payload(kind, city, &json!({ "city_id": city }))
    }

    pub(crate) fn with_payload(&self, kind: &str, resource: &str, payload: &Value) -> Envelope {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let key = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
        let fact = Fact { kind, resource: ("thing", resource.to_owned()), key, payload };
        Envelope::new(SCHEMA, &self.caller(), &self.ids, fact).unwrap()
    }
}

/// Has the effect `what`, in the caller's transaction.
pub(crate) async fn effect(tx: &mut cs_db::TenantTx, what: &str) {
    let tenant = tx.tenant().uuid();
    sqlx::query("INSERT INTO effects VALUES ($1, $2)")
        .bind(what)
        .bind(tenant)
        .execute(tx.conn())
        .await
        .unwrap();
}
