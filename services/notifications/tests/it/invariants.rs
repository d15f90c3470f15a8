//! What the database itself keeps, whoever asks.

use cs_core::UserId;
use cs_db::{DbError, Reason, Tx};
use notifications::follow::{self, Target};
use notifications::inbox::{self, Which};
use notifications::{Error, preferences};
use sqlx::AssertSqlSafe;

use crate::support::World;

/// A follower with preferences who was told of a meeting: a row in every table.
async fn told(world: &World) -> UserId {
    let user: UserId = world.ids.next();
    world.move_home(user, Some(world.places.city), 1).await;
    let caller = world.person(user);
    let mut tx = world.tx(&caller).await;
    preferences::update(&mut tx, &caller, &world.deps, &preferences::Change::default()).await.unwrap();
    tx.commit().await.unwrap();
    world.publish(world.ids.next()).await;
    user
}

/// Runs it as the app role in the tenant, and commits.
async fn run(world: &World, sql: &str) -> Result<u64, DbError> {
    let mut tx = world.tx(&world.service()).await;
    let done = sqlx::query(AssertSqlSafe(sql)).execute(tx.conn()).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

#[tokio::test]
async fn another_tenant_sees_and_changes_nothing() {
    let world = World::start("isolation").await;
    let other = world.neighbour();
    let user = told(&world).await;
    let tables =
        ["follows", "homes", "preferences", "notices", "deliveries", "delivery_attempts", "inbox", "jobs"];
    for table in tables {
        assert!(world.count(table).await > 0, "{table}");
        assert_eq!(other.count(table).await, 0, "{table}");
    }
    for sql in [
        "UPDATE follows SET origin = 'resident'",
        "DELETE FROM follows",
        "UPDATE homes SET version = 9",
        "UPDATE preferences SET enabled = false",
        "UPDATE deliveries SET read_at = sent_at",
    ] {
        assert_eq!(run(&other, sql).await.unwrap(), 0, "{sql}");
        assert!(run(&world, sql).await.unwrap() > 0, "{sql}");
    }
    // The same person's token in the other tenant has an inbox of its own.
    let stranger = other.person(user);
    let mut tx = other.tx(&stranger).await;
    let page = cs_core::page::Page::parse(0, "", 0, "").unwrap();
    let (paged, unread) = inbox::list(&mut tx, &stranger, &page, false).await.unwrap();
    assert_eq!((paged.rows.len(), unread), (0, 0));
    // Nor can the app role write into a tenant that is not the transaction's.
    let foreign = format!(
        "INSERT INTO homes (user_id, tenant_id, version, updated_at) VALUES (gen_random_uuid(), '{}', 1, now())",
        world.tenant.uuid()
    );
    assert!(run(&other, &foreign).await.is_err());
}

#[tokio::test]
async fn row_level_security_is_forced_on_every_table_of_a_tenant() {
    let world = World::start("forced").await;
    let open = world
        .texts(
            "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
             AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
        )
        .await;
    assert_eq!(open, [""; 0]);
}

#[tokio::test]
async fn the_system_role_sees_deliveries_and_nothing_of_people() {
    let world = World::start("system_role").await;
    told(&world).await;
    for (table, allowed) in
        [("deliveries", true), ("jobs", true), ("follows", false), ("preferences", false), ("notices", false)]
    {
        let mut tx = world.deps.db.system(Reason::Operations).await.unwrap();
        let sql = format!("SELECT FROM {table}");
        assert_eq!(sqlx::query(AssertSqlSafe(sql)).execute(tx.conn()).await.is_ok(), allowed, "{table}");
    }
    let mut tx = world.deps.db.system(Reason::Operations).await.unwrap();
    let forged = sqlx::query("UPDATE deliveries SET user_id = gen_random_uuid()").execute(tx.conn()).await;
    assert!(forged.is_err(), "whose it is cannot be changed");
}

#[tokio::test]
async fn what_was_told_and_tried_is_never_rewritten() {
    let world = World::start("append_only").await;
    told(&world).await;
    for sql in [
        "UPDATE delivery_attempts SET outcome = 'failed', error = 'x'",
        "DELETE FROM delivery_attempts",
        "UPDATE notices SET title = 'x'",
        "DELETE FROM notices",
        "DELETE FROM deliveries",
        "UPDATE deliveries SET dedupe_key = repeat('0', 64)",
        "UPDATE deliveries SET user_id = gen_random_uuid()",
    ] {
        assert!(run(&world, sql).await.is_err(), "{sql}");
    }
    // The triggers refuse also the owner of the tables, who has every privilege.
    let mut owner = world.owner().await;
    for (sql, table) in [
        ("UPDATE notifications.delivery_attempts SET attempt = 7", "delivery_attempts"),
        ("DELETE FROM notifications.delivery_attempts", "delivery_attempts"),
        ("UPDATE notifications.notices SET title = 'x'", "notices"),
    ] {
        match sqlx::query(sql).execute(&mut owner).await.map_err(DbError::from) {
            Err(DbError::Refused { rule, message }) => {
                assert_eq!((rule.as_str(), message), ("CS001", format!("{table} is append-only")));
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_delivery_goes_forward_only() {
    let world = World::start("states").await;
    told(&world).await;
    let mut owner = world.owner().await;
    let states = ["pending", "sending", "sent", "failed", "suppressed"];
    let allowed = [
        ("pending", "sending"),
        ("pending", "suppressed"),
        ("sending", "sent"),
        ("sending", "failed"),
        ("sending", "suppressed"),
        ("failed", "sending"),
        ("failed", "suppressed"),
    ];
    for from in states {
        for to in states {
            // Brought into its state behind the trigger's back.
            sqlx::raw_sql(AssertSqlSafe(format!(
                "BEGIN; SET LOCAL search_path = notifications; ALTER TABLE deliveries DISABLE TRIGGER delivery_goes_forward;
                 UPDATE deliveries SET state = '{from}', state_reason = 'x',
                     sequence = CASE '{from}' WHEN 'sent' THEN 1 END, sent_at = CASE '{from}' WHEN 'sent' THEN now() END;
                 ALTER TABLE deliveries ENABLE TRIGGER delivery_goes_forward; COMMIT"
            )))
            .execute(&mut owner)
            .await
            .unwrap();
            let change = format!(
                "UPDATE notifications.deliveries SET state = '{to}', state_reason = 'x',
                     sequence = CASE '{to}' WHEN 'sent' THEN coalesce(sequence, 1) END,
                     sent_at = CASE '{to}' WHEN 'sent' THEN coalesce(sent_at, now()) END"
            );
            let changed = sqlx::query(AssertSqlSafe(change)).execute(&mut owner).await;
            assert_eq!(
                changed.is_ok(),
                from == to || allowed.contains(&(from, to)),
                "{from} to {to}: {changed:?}"
            );
        }
    }
    sqlx::raw_sql(
        "ALTER TABLE notifications.deliveries DISABLE TRIGGER delivery_goes_forward;
         UPDATE notifications.deliveries SET state = 'sent', sequence = 1, sent_at = now();
         ALTER TABLE notifications.deliveries ENABLE TRIGGER delivery_goes_forward",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    for sql in [
        "UPDATE deliveries SET sequence = 2",
        "UPDATE deliveries SET sent_at = now() + interval '1 day'",
        "UPDATE deliveries SET sequence = NULL",
        "INSERT INTO deliveries (id, tenant_id, user_id, notice_id, dedupe_key, reason, state, due_at, traceparent, created_at, sequence, sent_at)
         SELECT gen_random_uuid(), tenant_id, user_id, notice_id, repeat('0', 64), '', 'sent', now(), '', now(), 7, now() FROM deliveries",
    ] {
        assert!(run(&world, sql).await.is_err(), "{sql}");
    }
    // Of a notice that is not there, or of another tenant's.
    let orphan = "INSERT INTO deliveries (id, tenant_id, user_id, notice_id, dedupe_key, reason, state, due_at, traceparent, created_at)
         SELECT gen_random_uuid(), tenant_id, user_id, gen_random_uuid(), repeat('1', 64), '', 'pending', now(), '', now() FROM deliveries";
    match run(&world, orphan).await {
        Err(DbError::Refused { rule, .. }) => assert_eq!(rule, "deliveries_notice"),
        other => panic!("{other:?}"),
    }
    let foreign = "SET search_path = notifications;
         INSERT INTO deliveries (id, tenant_id, user_id, notice_id, dedupe_key, reason, state, due_at, traceparent, created_at)
         SELECT gen_random_uuid(), gen_random_uuid(), user_id, notice_id, repeat('1', 64), '', 'pending', now(), '', now() FROM deliveries";
    let refused = sqlx::raw_sql(foreign).execute(&mut owner).await.unwrap_err();
    assert!(refused.to_string().contains("notice of its tenant"), "{refused}");
    let twice = "INSERT INTO deliveries (id, tenant_id, user_id, notice_id, dedupe_key, reason, state, due_at, traceparent, created_at)
         SELECT gen_random_uuid(), tenant_id, user_id, notice_id, dedupe_key, '', 'pending', now(), '', now() FROM deliveries";
    match run(&world, twice).await {
        Err(DbError::Unique { constraint }) => assert_eq!(constraint, "deliveries_dedupe"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_persons_inbox_is_no_other_persons() {
    let world = World::start("own_rows").await;
    let (ada, eve) = (told(&world).await, world.ids.next::<UserId>());
    world.follow(eve, &Target::City(world.places.city)).await;
    world.publish(world.ids.next()).await;
    let (ada, eve) = (world.person(ada), world.person(eve));
    let page = cs_core::page::Page::parse(0, "", 0, "").unwrap();
    let mut tx = world.tx(&ada).await;
    let (hers, unread) = inbox::list(&mut tx, &ada, &page, false).await.unwrap();
    assert_eq!((hers.rows.len(), unread), (2, 2));
    let (others, _) = inbox::list(&mut tx, &eve, &page, false).await.unwrap();
    assert_eq!(others.rows.len(), 1);

    // One that is not hers among those named: nothing is changed.
    let (mine, foreign) = (hers.rows[0].id.into(), others.rows[0].id.into());
    let mixed =
        inbox::mark_read(&mut world.tx(&ada).await, &ada, &world.ids, &Which::These(vec![mine, foreign]))
            .await;
    assert!(matches!(mixed, Err(Error::NotFound("notification"))));
    let (read, unread) =
        inbox::mark_read(&mut tx, &ada, &world.ids, &Which::These(vec![mine, mine])).await.unwrap();
    assert_eq!((read.len(), unread), (1, 1));
    assert_eq!(read[0].read_at, Some(world.now()));
    let (read, unread) = inbox::mark_read(&mut tx, &ada, &world.ids, &Which::All).await.unwrap();
    assert_eq!((read.len(), unread), (1, 0));
    let (left, unread) = inbox::list(&mut tx, &ada, &page, true).await.unwrap();
    assert_eq!((left.rows.len(), unread), (0, 0));
    assert_eq!(inbox::list(&mut tx, &eve, &page, true).await.unwrap().1, 1);
    let service = world.service();
    assert!(matches!(inbox::list(&mut tx, &service, &page, false).await, Err(Error::Denied(_))));
    assert!(matches!(follow::list(&mut tx, &service).await, Err(Error::Denied(_))));
}
