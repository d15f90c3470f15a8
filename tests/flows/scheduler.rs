//! Several schedulers on one database: each window is asked for once, and what was missed is caught up by one.

use std::sync::Arc;

use chrono::TimeDelta;
use cs_core::{Clock, Ids, ManualClock};
use cs_db::{Db, DbOptions};
use cs_testkit::postgres::ROLE_SECRET;
use meetings::{audit, scan};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::harness::{own_database, tenant};

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
