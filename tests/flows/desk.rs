//! Dead letters of an instance whose roles run each for itself.

use councilsense::desk::Desk;
use councilsense::wiring::{Role, system_clock};
use cs_core::{Caller, Ids, TenantId};
use cs_events::{Envelope, Fact};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::harness::{Harness, Mode, operator, tenant};

fn letter(tenant: TenantId) -> Envelope {
    let caller: Caller = operator(tenant);
    let (ids, payload) = (Ids::new(system_clock()), serde_json::json!({}));
    let fact =
        Fact { kind: "a.letter", resource: ("thing", "x".to_owned()), key: String::new(), payload: &payload };
    Envelope::new("test", &caller, &ids, fact).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_asked_for_its_letters() {
    let h = Harness::start("desk", Mode::Split).await;
    let tenant = tenant();
    let mut admin = PgConnection::connect(h.database.as_str()).await.unwrap();
    let mut put = async |table: &str, columns: &str, values: &str| {
        let envelope = letter(tenant);
        let sql = format!(
            "INSERT INTO {table} (type, envelope, created_at, {columns}) VALUES ('a.letter', '{}'::jsonb, now(), '{}', {values})",
            serde_json::to_string(&envelope).unwrap(),
            envelope.id.uuid(),
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        envelope.id.to_string()
    };
    let dead = format!("'{}', gen_random_uuid()::text, 'dead', now(), now(), 'never'", tenant.uuid());
    let job = "id, tenant_id, idempotency_key, state, run_at, finished_at, error";
    for schema in ["accounts", "meetings", "notifications"] {
        put(&format!("{schema}.jobs"), job, &dead).await;
    }
    let of_summaries = put("summaries.jobs", job, &dead).await;
    let queued =
        put("bus.messages", "event_id, queue, visible_at, dead_at, error", "'search', now(), now(), 'never'")
            .await;

    let places = Role::ALL.map(|role| (role.name(), h.channel(role))).to_vec();
    let desk = Desk::new(h.outbound(), operator(tenant), places);
    let listed = desk.list("", "").await;
    assert!(listed.silent.is_empty(), "{:?}", listed.silent);
    assert_eq!(listed.found.letters.len(), 5, "{:?}", listed.found.letters);
    assert!(listed.found.more.is_none());
    let shown = desk.show(&queued).await;
    assert!(shown.silent.is_empty());
    assert_eq!(shown.found.unwrap().place, "search");

    let discarded = desk.discard(&of_summaries, "a test").await;
    assert!(discarded.found && discarded.silent.is_empty(), "{discarded:?}");
    let again = desk.discard(&of_summaries, "a test").await;
    assert!(!again.found && again.silent.len() == Role::ALL.len(), "nobody has it: {again:?}");
    assert_eq!(desk.replay(vec![queued.clone()], "", false).await.found, [queued]);
    assert_eq!(desk.replay(Vec::new(), "", true).await.found.len(), 3);
    assert!(desk.list("", "").await.found.letters.is_empty());
    assert_eq!(desk.history().await.found.len(), 5);

    // More than one answer holds, of two processes: read to the end by cursors, each once.
    for schema in ["meetings", "summaries"] {
        let sql = format!(
            "INSERT INTO {schema}.jobs (type, envelope, created_at, id, {}) SELECT 'a.letter', '{}'::jsonb, now(), gen_random_uuid(),
             '{}', gen_random_uuid()::text, 'dead', now(), now() - n / 7 * interval '1 ms', 'never' FROM generate_series(1, 400) n",
            job.trim_start_matches("id, "),
            serde_json::to_string(&letter(tenant)).unwrap(),
            tenant.uuid(),
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    }
    let all = desk.ids("a.letter").await;
    assert_eq!((all.found.len(), all.silent.len()), (800, 0));
    assert!(desk.ids("another.letter").await.found.is_empty());

    // Who does not answer is named: what the others say is not all there is.
    let nowhere = cs_rpc::connect("http://127.0.0.1:1").unwrap();
    let places = vec![("meetings", h.channel(Role::Meetings)), ("search", nowhere)];
    let listed = Desk::new(h.outbound(), operator(tenant), places).list("", "").await;
    assert_eq!(listed.silent.into_keys().collect::<Vec<_>>(), ["search"]);
}
