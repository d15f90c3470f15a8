//! A database, a tenant of one's own, and versions of summaries in it.

use std::sync::Arc;

use cs_core::{Caller, Ids, SystemClock, TenantId, Trace};
use cs_db::{Db, DbOptions, SchemaSpec, Tx};
use cs_testkit::postgres::{ROLE_SECRET, database};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

static MIGRATED: OnceCell<()> = OnceCell::const_new();

pub(crate) const SHA: &str = "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";

/// Where an excerpt says to stand, and its words.
pub(crate) type Excerpt<'a> = (u32, u32, &'a str);

/// What stands in the one section at 10 to 25.
pub(crate) const EXACT: Option<Excerpt<'static>> = Some((10, 15, "Année"));

/// One test's tenant.
pub(crate) struct World {
    pub(crate) options: DbOptions,
    pub(crate) tenant: TenantId,
    db: Db,
    ids: Ids,
}

impl World {
    /// A new tenant in a migrated schema.
    pub(crate) async fn start() -> Self {
        let url = database(summaries::SCHEMA);
        MIGRATED
            .get_or_init(|| async {
                let migrators = [&cs_events::SERVICE_MIGRATOR, &summaries::MIGRATOR];
                let spec = SchemaSpec { name: summaries::SCHEMA, migrators: &migrators };
                cs_db::migrate(&url, ROLE_SECRET, &[spec]).await.unwrap();
            })
            .await;
        let options = DbOptions {
            url,
            schema: summaries::SCHEMA.to_owned(),
            role_secret: ROLE_SECRET.to_vec(),
            max_connections: 8,
        };
        let ids = Ids::new(Arc::new(SystemClock));
        Self { db: Db::new(&options).unwrap(), tenant: ids.next(), ids, options }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.ids.next::<cs_core::EventId>().uuid()
    }

    /// Runs statements in the tenant as the app role, and commits.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), String> {
        let caller = Caller::service(summaries::SCHEMA, self.tenant, Trace::start());
        let mut tx = self.db.tenant(&caller).await.unwrap();
        run(tx.conn(), sql).await?;
        tx.commit().await.map_err(|e| e.to_string())
    }

    /// What the tenant's app role counts in a table.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let caller = Caller::service(summaries::SCHEMA, self.tenant, Trace::start());
        let mut tx = self.db.tenant(&caller).await.unwrap();
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(sql).fetch_one(tx.conn()).await.unwrap()
    }

    /// A version of a meeting's summary with its verdict, one claim, and that claim's evidence, in one transaction. Gives
    /// the summary's id.
    pub(crate) async fn version(
        &self,
        meeting: Uuid,
        (version, verdict): (u32, &str),
        excerpt: Option<Excerpt<'_>>,
    ) -> Result<Uuid, String> {
        let (t, summary, claim, run, artifact) =
            (self.tenant.uuid(), self.id(), self.id(), self.id(), self.id());
        let evidence = excerpt.map(|(start, end, text)| {
            format!(
                "INSERT INTO evidence (claim_id, ordinal, tenant_id, artifact_id, text_sha256, section, start_at, end_at, excerpt)
                 VALUES ('{claim}', 0, '{t}', '{artifact}', {SHA}, 0, {start}, {end}, '{text}')"
            )
        });
        let sql = format!(
            "INSERT INTO cited_sections (tenant_id, text_sha256, ordinal, start_at, end_at, text)
             VALUES ('{t}', {SHA}, 0, 10, 25, 'Année 🏛 passed.') ON CONFLICT DO NOTHING;
             INSERT INTO summaries (id, tenant_id, meeting_id, run_id, version, verdict, verdict_reasons, short_summary, ecr,
                 claims_proposed, claims_verified, summarizer_version, visibility, created_at)
             VALUES ('{summary}', '{t}', '{meeting}', '{run}', {version}, '{verdict}', '{{}}', 's', 1, 1, 1, 'v', 'public', now());
             INSERT INTO claims (id, tenant_id, summary_id, ordinal, kind, text, topics, confidence)
             VALUES ('{claim}', '{t}', '{summary}', 0, 'fact', 'text', '{{}}', 1);
             {}",
            evidence.unwrap_or_default()
        );
        self.run(&sql).await.map(|()| summary)
    }

    /// Makes a version the one that readers get.
    pub(crate) async fn make_current(&self, meeting: Uuid, summary: Uuid) -> Result<(), String> {
        self.run(&format!(
            "INSERT INTO publications (summary_id, tenant_id, meeting_id, is_current, published_at)
             VALUES ('{summary}', '{}', '{meeting}', true, now())",
            self.tenant.uuid()
        ))
        .await
    }
}

pub(crate) async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    done.map(|_| ()).map_err(|e| e.to_string())
}
