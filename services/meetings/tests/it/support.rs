//! A database, a tenant of one's own, and what the service runs on.

use std::path::Path;
use std::sync::Arc;

use cs_core::{Caller, Ids, Role, Subject, SystemClock, TenantId, Trace};
use cs_db::{Db, DbOptions, SchemaSpec, Tx, Wakeups};
use cs_documents::folder::Introductions;
use cs_testkit::postgres::{ROLE_SECRET, database};
use meetings::{Deps, Extractor, FileStore};
use sqlx::AssertSqlSafe;
use tokio::sync::OnceCell;
use uuid::Uuid;

static MIGRATED: OnceCell<()> = OnceCell::const_new();

/// One test's tenant.
pub(crate) struct World {
    pub(crate) options: DbOptions,
    pub(crate) db: Db,
    pub(crate) ids: Ids,
    pub(crate) tenant: TenantId,
}

impl World {
    /// A new tenant in a migrated schema.
    pub(crate) async fn start() -> Self {
        let url = database(meetings::SCHEMA);
        MIGRATED
            .get_or_init(|| async {
                let migrators = [&cs_events::SERVICE_MIGRATOR, &meetings::MIGRATOR];
                let spec = SchemaSpec { name: meetings::SCHEMA, migrators: &migrators };
                cs_db::migrate(&url, ROLE_SECRET, &[spec]).await.unwrap();
            })
            .await;
        let options = DbOptions {
            url,
            schema: meetings::SCHEMA.to_owned(),
            role_secret: ROLE_SECRET.to_vec(),
            max_connections: 8,
        };
        let ids = Ids::new(Arc::new(SystemClock));
        Self { db: Db::new(&options).unwrap(), tenant: ids.next(), ids, options }
    }

    /// What the service runs on, reading by `reader` and keeping artifacts in `dir`.
    pub(crate) fn deps(&self, reader: Extractor, dir: &Path) -> Deps {
        Deps {
            db: self.db.clone(),
            objects: Arc::new(FileStore::new(dir)),
            ids: self.ids.clone(),
            extractor: reader.clone(),
            introductions: Arc::new(Introductions::new(reader)),
            wakeups: Wakeups::default(),
            max_artifact_bytes: 1 << 20,
        }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.ids.next::<cs_core::EventId>().uuid()
    }

    pub(crate) fn service(&self) -> Caller {
        Caller::service(meetings::SCHEMA, self.tenant, Trace::start())
    }

    pub(crate) fn operator(&self) -> Caller {
        let subject = Subject::Operator("test".to_owned());
        Caller { subject, roles: [Role::Operator].into(), ..self.service() }
    }

    /// Runs statements in the tenant as the app role, and commits.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), String> {
        let mut tx = self.db.tenant(&self.service()).await.unwrap();
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(tx.conn()).await;
        done.map_err(|e| e.to_string())?;
        tx.commit().await.map_err(|e| e.to_string())
    }

    /// Texts that the tenant's app role reads.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let mut tx = self.db.tenant(&self.service()).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(tx.conn()).await.unwrap()
    }
}
