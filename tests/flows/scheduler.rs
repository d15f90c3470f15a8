//! Several schedulers on one database: each window is asked for once, and what was missed is caught up by one.

use std::sync::Arc;

use chrono::TimeDelta;
use councilsense::wiring::system_clock;
use cs_core::{Clock, Ids, ManualClock};
use cs_db::{Db, DbOptions};
use cs_testkit::postgres::ROLE_SECRET;
use meetings::{audit, scan};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::harness::{Harness, MINUTES, Mode, operator, own_database, tenant};

struct World {
    admin: PgConnection,
    db: Db,
    clock: Arc<ManualClock>,
    ids: Ids,
}

impl World {
    /// A city whose folder is looked at every quarter of an hour, from now on.
    async fn new(name: &str) -> Self {
        let url = own_database(name).await;
        let options = DbOptions {
            url: url.clone(),
            schema: "meetings".to_owned(),
            role_secret: ROLE_SECRET.to_vec(),
            max_connections: 4,
        };
        let clock = Arc::new(ManualClock::default());
        let (tenant, city, now) = (tenant().uuid(), uuid::Uuid::from_u128(7), clock.now().to_rfc3339());
        let mut admin = PgConnection::connect(url.as_str()).await.unwrap();
        let sql = format!(
            "INSERT INTO meetings.cities VALUES ('{city}', '{tenant}', 'c', 'C', 'UTC', 'en', now());
             INSERT INTO meetings.sources (id, tenant_id, city_id, kind, location, scan_seconds, next_scan_at, created_at)
             VALUES (gen_random_uuid(), '{tenant}', '{city}', 'folder', '/nowhere', 900, '{now}', now())"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        Self { admin, db: Db::new(&options).unwrap(), ids: Ids::new(clock.clone()), clock }
    }

    /// Two schedulers look at once, each until nothing is due; gives how many scans they asked for.
    async fn scans(&self) -> usize {
        let look = async || {
            let mut asked = 0;
            while scan::schedule_one(&self.db, &self.ids).await.unwrap() {
                asked += 1;
            }
            asked
        };
        let (one, other) = tokio::join!(look(), look());
        one + other
    }

    /// The same of the weekly audit.
    async fn audits(&self) -> usize {
        let look = async || audit::schedule(&self.db, &self.ids).await.unwrap();
        let (one, other) = tokio::join!(look(), look());
        one + other
    }

    async fn jobs(&mut self, kind: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM meetings.jobs WHERE type = $1")
            .bind(kind)
            .fetch_one(&mut self.admin)
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_ask_once_a_window_and_catch_up_once() {
    let mut world = World::new("scheduler").await;
    assert_eq!((world.scans().await, world.scans().await), (1, 0));
    // Longer than the interval and its jitter.
    world.clock.advance(TimeDelta::minutes(21));
    assert_eq!((world.scans().await, world.scans().await), (1, 0));
    // Nobody looked for three hours: a dozen windows.
    world.clock.advance(TimeDelta::hours(3));
    assert_eq!((world.scans().await, world.scans().await), (1, 0));
    assert_eq!(world.jobs("city.scan.requested").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_weekly_audit_is_asked_for_once_a_week() {
    let mut world = World::new("weekly").await;
    world.scans().await;
    world.clock.advance(TimeDelta::hours(1));
    assert_eq!((world.audits().await, world.audits().await), (1, 0));
    world.clock.advance(TimeDelta::days(6));
    assert_eq!(world.audits().await, 0);
    // Three weeks without a scheduler, with work in them.
    world.scans().await;
    world.clock.advance(TimeDelta::weeks(3));
    assert_eq!((world.audits().await, world.audits().await), (1, 0));
    assert_eq!(world.jobs("evidence.audit.requested").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_weekly_audit_keeps_how_much_of_a_citys_week_has_evidence() {
    let h = Harness::start("audited", Mode::Together).await;
    let tenant = h.tenant_called("audited").await;
    let minutes = [("minutes.txt", "minutes", MINUTES.as_bytes())];
    h.ingest(&operator(tenant), "springfield", "first", &minutes).await;
    h.drain().await;
    let options = DbOptions {
        url: h.database.clone(),
        schema: "meetings".to_owned(),
        role_secret: ROLE_SECRET.to_vec(),
        max_connections: 2,
    };
    let (db, ids) = (Db::new(&options).unwrap(), Ids::new(system_clock()));
    assert!(audit::schedule(&db, &ids).await.unwrap() > 0);
    h.drain().await;
    let mut admin = PgConnection::connect(h.database.as_str()).await.unwrap();
    let kept = "SELECT c.slug, a.runs, a.failed, a.rejected, a.claims_proposed, a.claims_verified FROM meetings.evidence_audits a
                JOIN meetings.cities c ON c.id = a.city_id WHERE a.tenant_id = $1";
    let kept: Vec<(String, i64, i64, i64, i64, i64)> =
        sqlx::query_as(kept).bind(tenant.uuid()).fetch_all(&mut admin).await.unwrap();
    let of_the_run =
        "SELECT claims_proposed::bigint, claims_verified::bigint FROM meetings.runs WHERE tenant_id = $1";
    let (proposed, verified): (i64, i64) =
        sqlx::query_as(of_the_run).bind(tenant.uuid()).fetch_one(&mut admin).await.unwrap();
    assert!(proposed > 0);
    assert_eq!(kept, [("springfield".to_owned(), 1, 0, 0, proposed, verified)]);
}
