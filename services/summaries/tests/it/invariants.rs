//! What the database itself keeps, whoever writes to it; each tried by breaking it as the service's own role.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{EXACT, SHA, World, run};

#[tokio::test]
async fn an_excerpt_is_the_text_at_its_offsets_in_code_points() {
    let world = World::start().await;
    world.version(world.id(), (1, "pass"), Some((16, 17, "🏛"))).await.unwrap();
    world.version(world.id(), (1, "pass"), EXACT).await.unwrap();
    for wrong in [(16, 17, "X"), (10, 16, "Année"), (9, 15, "Année"), (18, 26, "passed. ")] {
        let refused = world.version(world.id(), (1, "pass"), Some(wrong)).await.unwrap_err();
        assert!(refused.contains("excerpt"), "{wrong:?}: {refused}");
    }
}

#[tokio::test]
async fn a_claim_without_evidence_cannot_be_committed() {
    let world = World::start().await;
    let refused = world.version(world.id(), (1, "pass"), None).await.unwrap_err();
    assert!(refused.contains("has no evidence"), "{refused}");
    assert_eq!(world.count("summaries").await, 0, "nothing of it stays");
}

#[tokio::test]
async fn what_is_append_only_cannot_be_changed_or_deleted() {
    let world = World::start().await;
    let summary = world.version(world.id(), (1, "pass"), EXACT).await.unwrap();
    let rejected = format!(
        "INSERT INTO rejected_claims (id, tenant_id, summary_id, kind, text, reasons) VALUES ('{}', '{}', '{summary}', 'fact', 'x', '{{}}')",
        world.id(),
        world.tenant.uuid()
    );
    world.run(&rejected).await.unwrap();
    let mut admin = PgConnection::connect(world.options.url.as_str()).await.unwrap();
    for (table, column) in [
        ("summaries", "ecr = 0"),
        ("claims", "text = 'x'"),
        ("evidence", "excerpt = 'x'"),
        ("cited_sections", "heading = 'x'"),
        ("rejected_claims", "text = 'y'"),
    ] {
        for sql in
            [format!("UPDATE summaries.{table} SET {column}"), format!("DELETE FROM summaries.{table}")]
        {
            let refused = world.run(&sql).await.unwrap_err();
            assert!(refused.contains("permission denied"), "{sql}: {refused}");
            // Nor by the owner of the tables, whom no privilege stops.
            let refused = run(&mut admin, &sql).await.unwrap_err();
            assert!(refused.contains("append-only"), "{sql}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_version_is_there_once_and_one_is_current() {
    let world = World::start().await;
    let meeting = world.id();
    let one = world.version(meeting, (1, "pass"), EXACT).await.unwrap();
    let two = world.version(meeting, (2, "limited_confidence"), EXACT).await.unwrap();
    let refused = world.version(meeting, (2, "pass"), EXACT).await.unwrap_err();
    assert!(refused.contains("summaries_version"), "{refused}");
    world.make_current(meeting, one).await.unwrap();
    let refused = world.make_current(meeting, two).await.unwrap_err();
    assert!(refused.contains("publications_current"), "{refused}");
    world.run("UPDATE publications SET is_current = false").await.unwrap();
    world.make_current(meeting, two).await.unwrap();
}

#[tokio::test]
async fn a_publication_is_of_its_own_meeting_and_passed_the_gate() {
    let world = World::start().await;
    let meeting = world.id();
    let passed = world.version(meeting, (1, "pass"), EXACT).await.unwrap();
    let rejected = world.version(meeting, (2, "reject"), EXACT).await.unwrap();
    let refused = world.make_current(world.id(), passed).await.unwrap_err();
    assert!(refused.contains("publications_of_meeting"), "{refused}");
    let refused = world.make_current(meeting, rejected).await.unwrap_err();
    assert!(refused.contains("rejected at the gate"), "{refused}");
}

#[tokio::test]
async fn without_a_tenant_nothing_is_there_and_into_another_nothing_goes() {
    let world = World::start().await;
    let meeting = world.id();
    let summary = world.version(meeting, (1, "pass"), EXACT).await.unwrap();
    world.make_current(meeting, summary).await.unwrap();
    let (neighbour, nobody) = (World::start().await, world.options.pool("app", 1).unwrap());
    for table in ["summaries", "publications", "claims", "cited_sections", "evidence"] {
        assert_ne!(world.count(table).await, 0, "{table}");
        assert_eq!(neighbour.count(table).await, 0, "{table}");
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let seen: i64 = sqlx::query_scalar(sql).fetch_one(&nobody).await.unwrap();
        assert_eq!(seen, 0, "{table}");
    }
    // What is not seen is not changed either, and nothing is put where it could be seen.
    neighbour.run("UPDATE publications SET is_current = false").await.unwrap();
    assert_eq!(world.count("publications WHERE is_current").await, 1);
    let foreign = format!(
        "INSERT INTO cited_sections (tenant_id, text_sha256, ordinal, start_at, end_at, text)
         VALUES ('{}', {SHA}, 1, 0, 1, 'x')",
        world.tenant.uuid()
    );
    assert!(neighbour.run(&foreign).await.unwrap_err().contains("row-level security"));
    // The other role sees what it needs of all tenants: never a summary.
    let system = world.options.pool("system", 1).unwrap();
    let refused = sqlx::query("SELECT id FROM summaries").execute(&system).await.unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
}
