//! A database, a tenant of one's own, callers.

use std::sync::Arc;

use accounts::{Deps, User, identity, tenants};
use cs_core::{Caller, Ids, Role, Subject, SystemClock, TenantId, Trace};
use cs_db::{Db, DbOptions, SchemaSpec, TenantTx, Tx};
use cs_rpc::{Channel, Outbound, SigningKey};
use cs_testkit::postgres::{ROLE_SECRET, database};
use tokio::sync::OnceCell;

static MIGRATED: OnceCell<()> = OnceCell::const_new();

/// One test's tenant.
pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) ids: Ids,
    pub(crate) slug: String,
    pub(crate) tenant: TenantId,
}

impl World {
    /// A new tenant in a migrated schema.
    pub(crate) async fn start() -> Self {
        let url = database(accounts::SCHEMA);
        MIGRATED
            .get_or_init(|| async {
                let migrators = [&cs_events::SERVICE_MIGRATOR, &accounts::MIGRATOR];
                let spec = SchemaSpec { name: accounts::SCHEMA, migrators: &migrators };
                cs_db::migrate(&url, ROLE_SECRET, &[spec]).await.unwrap();
            })
            .await;
        let options = DbOptions {
            url,
            schema: accounts::SCHEMA.to_owned(),
            role_secret: ROLE_SECRET.to_vec(),
            max_connections: 20,
        };
        let ids = Ids::new(Arc::new(SystemClock));
        let slug = format!("t-{}", ids.next::<TenantId>()).to_lowercase();
        let world = Self { db: Db::new(&options).unwrap(), ids, tenant: TenantId::of_slug(&slug), slug };
        let mut tx = world.db.tenant(&world.service()).await.unwrap();
        tenants::ensure(&mut tx, &world.service(), &world.ids, &world.slug, "A tenant", &[]).await.unwrap();
        tx.commit().await.unwrap();
        world
    }

    /// What the service runs on, with meetings behind `meetings`.
    pub(crate) fn deps(&self, meetings: Channel) -> Deps {
        let key = SigningKey::generate().unwrap();
        Deps {
            db: self.db.clone(),
            ids: self.ids.clone(),
            meetings,
            outbound: Outbound::new("accounts", key, Arc::new(SystemClock)),
        }
    }

    pub(crate) fn service(&self) -> Caller {
        Caller::service("bff", self.tenant, Trace::start())
    }

    pub(crate) fn subject(&self, subject: Subject, roles: &[Role]) -> Caller {
        Caller { subject, roles: roles.iter().copied().collect(), ..self.service() }
    }

    pub(crate) fn person(&self, user: &User) -> Caller {
        Caller { roles: user.roles.clone(), ..self.subject(Subject::User(user.id), &[]) }
    }

    pub(crate) async fn tx(&self, caller: &Caller) -> TenantTx {
        self.db.tenant(caller).await.unwrap()
    }

    /// Signs somebody in.
    pub(crate) async fn sign_in(&self, claims: &identity::Claims) -> (User, bool) {
        let caller = self.service();
        let mut tx = self.tx(&caller).await;
        let found = identity::resolve(&mut tx, &caller, &self.ids, claims).await.unwrap();
        tx.commit().await.unwrap();
        found
    }

    /// A number that the tenant's app role counts.
    pub(crate) async fn count(&self, from: &'static str) -> i64 {
        let mut tx = self.tx(&self.service()).await;
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {from}")))
            .fetch_one(tx.conn())
            .await
            .unwrap()
    }
}

pub(crate) fn claims(subject: &str) -> identity::Claims {
    identity::Claims {
        issuer: "https://id.example.org".into(),
        subject: subject.into(),
        display_name: "Ada".into(),
        email: "ada@example.org".into(),
        roles: Vec::new(),
    }
}
