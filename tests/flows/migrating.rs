//! A database is made ready by whom an operator has for it, in one go or again, and every queue with it.

use cs_testkit::postgres::ROLE_SECRET;
use sqlx::PgConnection;

use crate::harness::{Harness, Mode};
use councilsense::wiring::Role;

async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), String> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(|e| e.to_string())
}

/// What a managed Postgres gives: a user that may make roles and schemas, and is no superuser.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_make_roles_can_migrate() {
    // Roles belong to the whole server. Whoever makes one may pass it on: from here on nobody makes any.
    crate::harness::database().await;
    let mut url = tokio::task::spawn_blocking(|| cs_testkit::postgres::database("by_dba")).await.unwrap();
    let mut admin = <PgConnection as sqlx::Connection>::connect(url.as_str()).await.unwrap();
    let database = url.path().trim_start_matches('/').to_owned();
    run(&mut admin, &format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cs_test_dba') THEN
           CREATE ROLE cs_test_dba LOGIN CREATEROLE PASSWORD 'for tests'; END IF; END $$;
         GRANT CREATE ON DATABASE {database} TO cs_test_dba;
         DO $$ DECLARE r record; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname ~ '_(app|system)$' LOOP
           EXECUTE format('GRANT %I TO cs_test_dba WITH ADMIN OPTION', r.rolname); END LOOP; END $$;"
    )).await.unwrap();
    url.set_username("cs_test_dba").unwrap();
    url.set_password(Some("for tests")).unwrap();
    councilsense::wiring::migrate(&url, ROLE_SECRET).await.unwrap();
    // A newer version has asked for more: this one's leaves it.
    let mut admin = <PgConnection as sqlx::Connection>::connect(url.as_str()).await.unwrap();
    run(&mut admin, "SELECT bus.bus_want('search', ARRAY['meeting.dreamt'])").await.unwrap();
    councilsense::wiring::migrate(&url, ROLE_SECRET).await.unwrap();
    let kept: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM bus.subscriptions WHERE queue = 'search' AND type = 'meeting.dreamt')",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert!(kept);
    // Row-level security is forced on this owner: a function that acts as it sees no row of a table without a policy for it,
    // and says nothing of that.
    let blind: Vec<String> = sqlx::query_scalar(
        r"SELECT p.oid::regprocedure || ' sees nothing of ' || c.oid::regclass FROM pg_proc p
          JOIN pg_class c ON c.relnamespace = p.pronamespace AND c.relforcerowsecurity AND p.prosrc ~ ('\m' || c.relname || '\M')
          WHERE p.prosecdef AND p.pronamespace <> 'pg_catalog'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_policy y WHERE y.polrelid = c.oid AND (p.proowner = ANY (y.polroles) OR 0 = ANY (y.polroles)))
          ORDER BY 1",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(blind, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_sql_does_what_migrate_does_and_can_be_repeated() {
    let url = tokio::task::spawn_blocking(|| cs_testkit::postgres::database("printed")).await.unwrap();
    let sql = councilsense::wiring::migration_sql(ROLE_SECRET);
    for _ in 0..2 {
        // As a DBA would: in a session of its own. Roles belong to the whole server, which other tests use too.
        for attempt in 0.. {
            let mut admin = <PgConnection as sqlx::Connection>::connect(url.as_str()).await.unwrap();
            match run(&mut admin, &sql).await {
                Err(error) if attempt < 20 && error.contains("concurrently") => {}
                result => {
                    result.unwrap();
                    break;
                }
            }
        }
    }
    // What is published before a role has ever run waits for it.
    let mut admin = <PgConnection as sqlx::Connection>::connect(url.as_str()).await.unwrap();
    let there: Vec<(String, String)> =
        sqlx::query_as("SELECT queue, type FROM bus.subscriptions ORDER BY queue, type")
            .fetch_all(&mut admin)
            .await
            .unwrap();
    let mut wanted: Vec<(String, String)> = councilsense::wiring::QUEUES
        .iter()
        .flat_map(|(queue, types)| types.iter().map(move |kind| ((*queue).to_owned(), (*kind).to_owned())))
        .collect();
    wanted.sort();
    assert_eq!(there, wanted);
    councilsense::wiring::migrate(&url, ROLE_SECRET).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_alone_makes_the_queues_of_all() {
    let h = Harness::start("alone", Mode::Split).await;
    let mut admin = <PgConnection as sqlx::Connection>::connect(h.database.as_str()).await.unwrap();
    run(&mut admin, "DELETE FROM bus.subscriptions").await.unwrap();
    // It has no queue of its own; what it tells is for others, who may never have run.
    let accounts = h.stacks.iter().find(|stack| stack.roles() == [Role::Accounts]).unwrap();
    accounts.subscribe().await.unwrap();
    let made: i64 =
        sqlx::query_scalar("SELECT count(*) FROM bus.subscriptions").fetch_one(&mut admin).await.unwrap();
    let wanted: usize = councilsense::wiring::QUEUES.iter().map(|(_, types)| types.len()).sum();
    assert_eq!(usize::try_from(made), Ok(wanted));
}
