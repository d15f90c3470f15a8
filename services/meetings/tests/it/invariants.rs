//! What the database itself keeps, whoever writes to it; each tried by breaking it as the service's own role.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::support::World;

const SHA: &str = "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";

/// A meeting with a document, its text with a section, a run, and what was published of it. Gives the meeting's id, and
/// the SQL of the same meeting and the same document once more.
async fn kept(world: &World) -> (Uuid, [String; 2]) {
    let (t, city, body, meeting) = (world.tenant.uuid(), world.id(), world.id(), world.id());
    let row = |id: Uuid| {
        format!(
            "INSERT INTO meetings (id, tenant_id, city_id, body_id, meeting_uid, title, date, status, visibility, revision, run_state, created_at, updated_at)
             VALUES ('{id}', '{t}', '{city}', '{body}', 'u', 't', now(), 'held', 'public', '', 'requested', now(), now())"
        )
    };
    let artifact = |id: Uuid| {
        format!(
            "INSERT INTO artifacts (id, tenant_id, meeting_id, kind, title, file_name, size_bytes, sha256, status, text_sha256, visibility, created_at)
             VALUES ('{id}', '{t}', '{meeting}', 'minutes', 't', 'f', 1, {SHA}, 'fetched', {SHA}, 'public', now())"
        )
    };
    let sql = format!(
        "INSERT INTO cities VALUES ('{city}', '{t}', 'a-city', 'A', 'UTC', 'en', now());
         INSERT INTO bodies VALUES ('{body}', '{t}', '{city}', 'B', now());
         {}; {};
         INSERT INTO text_versions VALUES ('{t}', {SHA}, '1', 'Passed.', '[]', now());
         INSERT INTO sections VALUES ('{t}', {SHA}, 0, NULL, 0, 7, NULL, NULL);
         INSERT INTO runs (id, tenant_id, meeting_id, state, started_by, created_at, updated_at)
         VALUES ('{}', '{t}', '{meeting}', 'ingested', 'test', now(), now());
         INSERT INTO publications (tenant_id, meeting_id, summary_version, published_at) VALUES ('{t}', '{meeting}', 1, now())",
        row(meeting),
        artifact(world.id()),
        world.id()
    );
    world.run(&sql).await.unwrap();
    (meeting, [row(world.id()), artifact(world.id())])
}

#[tokio::test]
async fn a_meeting_a_document_and_a_publication_are_there_once() {
    let world = World::start().await;
    let (meeting, [again, same_bytes]) = kept(&world).await;
    let t = world.tenant.uuid();
    let published_twice = format!(
        "INSERT INTO publications (tenant_id, meeting_id, summary_version, published_at) VALUES ('{t}', '{meeting}', 1, now())"
    );
    let run = |key: &str| {
        format!(
            "INSERT INTO runs (id, tenant_id, meeting_id, state, started_by, created_at, updated_at, idempotency_key)
             VALUES ('{}', '{t}', '{meeting}', 'ingested', 'test', now(), now(), '{key}')",
            world.id()
        )
    };
    world.run(&run("a")).await.unwrap();
    for (sql, rule) in [
        (again, "meetings_uid"),
        (same_bytes, "artifacts_content"),
        (published_twice, "publications_once"),
        (run("a"), "runs_idempotency"),
    ] {
        let refused = world.run(&sql).await.unwrap_err();
        assert!(refused.contains(rule), "{rule}: {refused}");
    }
    world.run(&run("b")).await.unwrap();
}

#[tokio::test]
async fn texts_and_publications_never_change() {
    let world = World::start().await;
    kept(&world).await;
    let changes = [
        "UPDATE meetings.text_versions SET text = 'Failed.'",
        "DELETE FROM meetings.text_versions",
        "UPDATE meetings.sections SET end_at = 1",
        "DELETE FROM meetings.sections",
        "UPDATE meetings.publications SET summary_version = 2",
        "DELETE FROM meetings.publications",
    ];
    // By the owner of the tables, whom no privilege stops, neither.
    let mut admin = PgConnection::connect(world.options.url.as_str()).await.unwrap();
    for sql in changes {
        let refused = world.run(sql).await.unwrap_err();
        assert!(refused.contains("permission denied"), "{sql}: {refused}");
        let refused = sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
    // Nor is anything else taken away by the service.
    for table in ["cities", "bodies", "meetings", "artifacts", "runs", "sources"] {
        let refused = world.run(&format!("DELETE FROM {table}")).await.unwrap_err();
        assert!(refused.contains("permission denied"), "{table}: {refused}");
    }
}

/// Tries every step from every state, each from a row put there before, and compares those that are taken.
async fn steps(world: &World, table: &str, column: &str, states: &[&str]) -> Vec<String> {
    let mut taken = Vec::new();
    let mut admin = PgConnection::connect(world.options.url.as_str()).await.unwrap();
    let t = world.tenant.uuid();
    for from in states {
        for to in states.iter().filter(|to| *to != from) {
            // The owner may put it anywhere, the trigger aside.
            let put = format!(
                "BEGIN; SET LOCAL session_replication_role = replica;
                 UPDATE meetings.{table} SET {column} = '{from}' WHERE tenant_id = '{t}'; COMMIT"
            );
            sqlx::raw_sql(AssertSqlSafe(put)).execute(&mut admin).await.unwrap();
            match world.run(&format!("UPDATE {table} SET {column} = '{to}'")).await {
                Ok(()) => taken.push(format!("{from} {to}")),
                Err(refused) => {
                    assert!(refused.contains(&format!("cannot go from {from} to {to}")), "{refused}");
                }
            }
        }
    }
    taken.sort();
    taken
}

fn listed(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut steps: Vec<String> = lines
        .flat_map(|line| {
            let (from, to) = line.split_once(':').unwrap();
            to.split_whitespace().map(move |to| format!("{from} {to}"))
        })
        .collect();
    steps.sort();
    steps
}

#[tokio::test]
async fn a_run_only_goes_forward() {
    let world = World::start().await;
    kept(&world).await;
    let states = [
        "requested",
        "ingested",
        "extracted",
        "summarized",
        "published",
        "limited_confidence",
        "rejected",
        "failed",
    ];
    // A dead letter that is replayed may still bring a failed run to its end; what has ended otherwise stays so.
    let allowed = listed(
        "requested: ingested failed
         ingested: extracted failed
         extracted: summarized published limited_confidence rejected failed
         summarized: published limited_confidence rejected failed
         failed: extracted summarized published limited_confidence rejected",
    );
    assert_eq!(steps(&world, "runs", "state", &states).await, allowed);
    let refused = world.run("UPDATE runs SET state = 'dreamt'").await.unwrap_err();
    assert!(refused.contains("runs_state_check") || refused.contains("cannot go from"), "{refused}");
}

#[tokio::test]
async fn what_was_read_is_never_unread_again() {
    let world = World::start().await;
    kept(&world).await;
    let states = ["fetched", "extracted", "needs_ocr", "unreadable", "withdrawn"];
    let allowed = listed(
        "fetched: extracted needs_ocr unreadable withdrawn
         extracted: withdrawn
         needs_ocr: withdrawn
         unreadable: fetched extracted withdrawn
         withdrawn: fetched extracted unreadable",
    );
    assert_eq!(steps(&world, "artifacts", "status", &states).await, allowed);
}

#[tokio::test]
async fn without_a_tenant_nothing_is_there_and_into_another_nothing_goes() {
    let world = World::start().await;
    kept(&world).await;
    let tables =
        ["cities", "bodies", "meetings", "artifacts", "text_versions", "sections", "runs", "publications"];
    let nobody = world.options.pool("app", 1).unwrap();
    let neighbour = World::start().await;
    for table in tables {
        let count = format!("SELECT count(*)::text FROM {table}");
        assert_ne!(world.texts(&count).await, ["0"], "{table}");
        assert_eq!(neighbour.texts(&count).await, ["0"], "{table}");
        let seen: String = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&nobody).await.unwrap();
        assert_eq!(seen, "0", "{table}");
    }
    let sql = format!(
        "INSERT INTO cities VALUES ('{}', '{}', 'b-city', 'B', 'UTC', 'en', now())",
        world.id(),
        world.tenant.uuid()
    );
    assert!(neighbour.run(&sql).await.unwrap_err().contains("row-level security"));
    let refused = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&nobody).await.unwrap_err().to_string();
    assert!(refused.contains("row-level security"), "{refused}");
    // The other role sees what it needs of all tenants: never a meeting.
    let system = world.options.pool("system", 1).unwrap();
    let refused = sqlx::query("SELECT id FROM meetings").execute(&system).await.unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
}

#[tokio::test]
async fn nothing_belongs_to_a_meeting_of_another_tenant() {
    let world = World::start().await;
    let (meeting, _) = kept(&world).await;
    let neighbour = World::start().await;
    let t = neighbour.tenant.uuid();
    // A foreign key is checked without row-level security: it names the tenant too.
    for (sql, rule) in [
        (
            format!(
                "INSERT INTO runs (id, tenant_id, meeting_id, state, started_by, created_at, updated_at)
                 VALUES ('{}', '{t}', '{meeting}', 'ingested', 'test', now(), now())",
                neighbour.id()
            ),
            "runs_of_meeting",
        ),
        (
            format!(
                "INSERT INTO publications (tenant_id, meeting_id, summary_version, published_at)
                 VALUES ('{t}', '{meeting}', 7, now())"
            ),
            "publications_of_meeting",
        ),
    ] {
        let refused = neighbour.run(&sql).await.unwrap_err();
        assert!(refused.contains(rule), "{rule}: {refused}");
    }
}
