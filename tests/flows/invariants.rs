//! What the database itself keeps, whoever writes to it; each tried by breaking it as the service's own role.

use cs_core::{Caller, Ids, TenantId, Trace};
use cs_db::{Db, DbOptions, Tx};
use cs_testkit::postgres::ROLE_SECRET;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::harness::{Harness, Mode, database, tenant};
use councilsense::wiring::{Role, system_clock};

async fn db(schema: &str) -> Db {
    let options = DbOptions {
        url: database().await,
        schema: schema.to_owned(),
        role_secret: ROLE_SECRET.to_vec(),
        max_connections: 4,
    };
    Db::new(&options).unwrap()
}

fn id() -> Uuid {
    Ids::new(system_clock()).next()
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), String> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(|e| e.to_string())
}

const SHA: &str = "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";

/// A summary with one claim; `evidence` is written after it.
async fn publish(tenant: TenantId, excerpt: Option<(u32, u32, &str)>) -> Result<(Uuid, Uuid), String> {
    version(tenant, id(), (1, "pass"), excerpt).await
}

/// A version of a meeting's summary, with its verdict.
async fn version(
    tenant: TenantId,
    meeting: Uuid,
    (version, verdict): (u32, &str),
    excerpt: Option<(u32, u32, &str)>,
) -> Result<(Uuid, Uuid), String> {
    let db = db("summaries").await;
    let caller = Caller::service("summaries", tenant, Trace::start());
    let (t, summary, claim) = (tenant.uuid(), id(), id());
    let mut tx = db.tenant(&caller).await.unwrap();
    run(tx.conn(), &format!("INSERT INTO cited_sections VALUES ('{t}', {SHA}, 0, NULL, 10, 25, 'Année 🏛 passed.') ON CONFLICT DO NOTHING")).await?;
    run(tx.conn(), &format!(
        "INSERT INTO summaries VALUES ('{summary}', '{t}', '{meeting}', '{}', {version}, '{verdict}', '{{}}', 's', 1, 1, 1, 'v', 'public', now());
         INSERT INTO claims VALUES ('{claim}', '{t}', '{summary}', 0, 'fact', 'text', NULL, '{{}}', 1, NULL)", id())).await?;
    if let Some((start, end, text)) = excerpt {
        run(tx.conn(), &format!("INSERT INTO evidence VALUES ('{claim}', 0, '{t}', '{}', {SHA}, 0, {start}, {end}, '{text}', NULL, NULL)", id())).await?;
    }
    tx.commit().await.map_err(|e| e.to_string())?;
    Ok((summary, claim))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_excerpt_is_the_text_at_its_offsets_in_code_points() {
    publish(tenant(), Some((16, 17, "🏛"))).await.unwrap();
    publish(tenant(), Some((10, 15, "Année"))).await.unwrap();
    for wrong in [(16, 17, "X"), (10, 16, "Année"), (9, 15, "Année"), (18, 26, "passed. ")] {
        let refused = publish(tenant(), Some(wrong)).await.unwrap_err();
        assert!(refused.contains("excerpt"), "{wrong:?}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_evidence_cannot_be_committed() {
    let refused = publish(tenant(), None).await.unwrap_err();
    assert!(refused.contains("has no evidence"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_append_only_cannot_be_changed_or_deleted() {
    let tenant = tenant();
    publish(tenant, Some((10, 15, "Année"))).await.unwrap();
    let db = db("summaries").await;
    let caller = Caller::service("summaries", tenant, Trace::start());
    for sql in [
        "UPDATE summaries SET ecr = 0",
        "DELETE FROM claims",
        "UPDATE evidence SET excerpt = 'x'",
        "DELETE FROM cited_sections",
    ] {
        let mut tx = db.tenant(&caller).await.unwrap();
        let refused = run(tx.conn(), sql).await.unwrap_err();
        assert!(refused.contains("permission denied") || refused.contains("append-only"), "{sql}: {refused}");
    }
    // Nor by the owner of the tables, whom no privilege stops.
    let mut admin = <PgConnection as sqlx::Connection>::connect(database().await.as_str()).await.unwrap();
    for sql in ["UPDATE summaries.summaries SET ecr = 0", "DELETE FROM summaries.evidence"] {
        assert!(run(&mut admin, sql).await.unwrap_err().contains("append-only"), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_summary_of_a_meeting_is_current() {
    let tenant = tenant();
    let meeting = id();
    let (one, _) = version(tenant, meeting, (1, "pass"), Some((10, 15, "Année"))).await.unwrap();
    let (two, _) = version(tenant, meeting, (2, "pass"), Some((10, 15, "Année"))).await.unwrap();
    let db = db("summaries").await;
    let mut tx = db.tenant(&Caller::service("summaries", tenant, Trace::start())).await.unwrap();
    let t = tenant.uuid();
    run(tx.conn(), &format!("INSERT INTO publications VALUES ('{one}', '{t}', '{meeting}', true, now())"))
        .await
        .unwrap();
    let refused = run(
        tx.conn(),
        &format!("INSERT INTO publications VALUES ('{two}', '{t}', '{meeting}', true, now())"),
    )
    .await
    .unwrap_err();
    assert!(refused.contains("publications_current"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_is_of_its_own_meeting_and_passed_the_gate() {
    let (tenant, meeting) = (tenant(), id());
    let (passed, _) = version(tenant, meeting, (1, "pass"), Some((10, 15, "Année"))).await.unwrap();
    let (rejected, _) = version(tenant, meeting, (2, "reject"), Some((10, 15, "Année"))).await.unwrap();
    let db = db("summaries").await;
    for (summary, of, rule) in
        [(passed, id(), "publications_of_meeting"), (rejected, meeting, "rejected at the gate")]
    {
        let mut tx = db.tenant(&Caller::service("summaries", tenant, Trace::start())).await.unwrap();
        let insert = format!(
            "INSERT INTO publications VALUES ('{summary}', '{}', '{of}', true, now())",
            tenant.uuid()
        );
        let refused = run(tx.conn(), &insert).await.unwrap_err();
        assert!(refused.contains(rule), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_never_goes_back() {
    let tenant = tenant();
    let db = db("meetings").await;
    let mut tx = db.tenant(&Caller::service("meetings", tenant, Trace::start())).await.unwrap();
    let (t, city, body, meeting, run_id) = (tenant.uuid(), id(), id(), id(), id());
    run(tx.conn(), &format!(
        "INSERT INTO cities VALUES ('{city}', '{t}', 'a-city', 'A', 'UTC', 'en', now());
         INSERT INTO bodies VALUES ('{body}', '{t}', '{city}', 'B', now());
         INSERT INTO meetings (id, tenant_id, city_id, body_id, meeting_uid, title, date, status, visibility, revision, run_state, created_at, updated_at)
         VALUES ('{meeting}', '{t}', '{city}', '{body}', 'u', 't', now(), 'held', 'public', '', 'requested', now(), now());
         INSERT INTO runs (id, tenant_id, meeting_id, state, started_by, created_at, updated_at)
         VALUES ('{run_id}', '{t}', '{meeting}', 'extracted', 'test', now(), now());
         INSERT INTO artifacts (id, tenant_id, meeting_id, kind, title, file_name, size_bytes, sha256, status, text_sha256, visibility, created_at)
         VALUES ('{}', '{t}', '{meeting}', 'minutes', 't', 'f', 1, {SHA}, 'extracted', {SHA}, 'public', now())", id())).await.unwrap();
    run(tx.conn(), "UPDATE runs SET state = 'published'").await.unwrap();
    run(tx.conn(), "SAVEPOINT before").await.unwrap();
    let refused = run(tx.conn(), "UPDATE runs SET state = 'extracted'").await.unwrap_err();
    assert!(refused.contains("cannot go from published to extracted"), "{refused}");
    run(tx.conn(), "ROLLBACK TO before").await.unwrap();
    let refused = run(tx.conn(), "UPDATE artifacts SET status = 'fetched'").await.unwrap_err();
    assert!(refused.contains("cannot go from extracted to fetched"), "{refused}");
}

/// A meeting with a document, its text with a section, and what was published of it; gives the SQL of both rows.
async fn kept_meeting(connection: &mut PgConnection, tenant: TenantId) -> [String; 2] {
    let (t, city, body, meeting) = (tenant.uuid(), id(), id(), id());
    let row = |id: Uuid| {
        format!(
        "INSERT INTO meetings (id, tenant_id, city_id, body_id, meeting_uid, title, date, status, visibility, revision, run_state, created_at, updated_at)
         VALUES ('{id}', '{t}', '{city}', '{body}', 'u', 't', now(), 'held', 'public', '', 'requested', now(), now())"
    )
    };
    let artifact = |id: Uuid| {
        format!(
        "INSERT INTO artifacts (id, tenant_id, meeting_id, kind, title, file_name, size_bytes, sha256, status, visibility, created_at)
         VALUES ('{id}', '{t}', '{meeting}', 'minutes', 't', 'f', 1, {SHA}, 'fetched', 'public', now())"
    )
    };
    run(connection, &format!(
        "INSERT INTO cities VALUES ('{city}', '{t}', 'a-city', 'A', 'UTC', 'en', now());
         INSERT INTO bodies VALUES ('{body}', '{t}', '{city}', 'B', now());
         {}; {};
         INSERT INTO text_versions VALUES ('{t}', {SHA}, '1', 'Passed.', '[]', now());
         INSERT INTO sections VALUES ('{t}', {SHA}, 0, NULL, 0, 7, NULL, NULL);
         INSERT INTO publications (tenant_id, meeting_id, summary_version, published_at) VALUES ('{t}', '{meeting}', 1, now())",
        row(meeting), artifact(id())
    )).await.unwrap();
    [row(id()), artifact(id())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_and_a_document_are_there_once_and_a_text_never_changes() {
    let tenant = tenant();
    let db = db("meetings").await;
    let caller = Caller::service("meetings", tenant, Trace::start());
    let mut tx = db.tenant(&caller).await.unwrap();
    let [again, same_bytes] = kept_meeting(tx.conn(), tenant).await;
    tx.commit().await.unwrap();
    for (sql, rule) in [(again, "meetings_uid"), (same_bytes, "artifacts_content")] {
        let mut tx = db.tenant(&caller).await.unwrap();
        let refused = run(tx.conn(), &sql).await.unwrap_err();
        assert!(refused.contains(rule), "{rule}: {refused}");
    }
    let changes = [
        "UPDATE meetings.text_versions SET text = 'Failed.'",
        "DELETE FROM meetings.text_versions",
        "UPDATE meetings.sections SET end_at = 1",
        "DELETE FROM meetings.sections",
        "UPDATE meetings.publications SET summary_version = 2",
        "DELETE FROM meetings.publications",
    ];
    for sql in changes {
        let mut tx = db.tenant(&caller).await.unwrap();
        let refused = run(tx.conn(), sql).await.unwrap_err();
        assert!(refused.contains("permission denied"), "{sql}: {refused}");
    }
    // Nor by the owner of the tables, whom no privilege stops.
    let mut admin = <PgConnection as sqlx::Connection>::connect(database().await.as_str()).await.unwrap();
    for sql in changes {
        let refused = run(&mut admin, sql).await.unwrap_err();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
}

/// What a managed Postgres gives: a user that may make roles and schemas, and is no superuser.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_make_roles_can_migrate() {
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_another_tenant_cannot_be_written() {
    let (ours, theirs) = (tenant(), tenant());
    let db = db("meetings").await;
    let mut tx = db.tenant(&Caller::service("meetings", ours, Trace::start())).await.unwrap();
    let sql = format!(
        "INSERT INTO cities VALUES ('{}', '{}', 'a-city', 'A', 'UTC', 'en', now())",
        id(),
        theirs.uuid()
    );
    assert!(run(tx.conn(), &sql).await.unwrap_err().contains("row-level security"));
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
