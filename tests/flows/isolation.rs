//! One tenant never sees another; one service never reaches another's tables.

use councilsense::wiring::Role;
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::meetings::v1 as mt;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::search::v1::SearchRequest;
use cs_proto::search::v1::search_client::SearchClient;
use cs_testkit::postgres::ROLE_SECRET;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::erasure::{settle, sign_in};
use crate::harness::{Harness, MINUTES, Mode, anonymous, database, operator, tenant};
use crate::pipeline::meeting;

/// Tables that certainly have rows when they are looked into.
const FILLED: [(&str, &str); 12] = [
    ("accounts", "users"),
    ("accounts", "identities"),
    ("meetings", "meetings"),
    ("meetings", "artifacts"),
    ("meetings", "text_versions"),
    ("meetings", "runs"),
    ("summaries", "summaries"),
    ("summaries", "claims"),
    ("summaries", "evidence"),
    ("notifications", "follows"),
    ("notifications", "homes"),
    ("notifications", "notices"),
];
const SCHEMAS: [&str; 4] = ["accounts", "meetings", "summaries", "notifications"];

async fn as_role(url: &url::Url, role: &str) -> PgConnection {
    let options: PgConnectOptions = url.as_str().parse().unwrap();
    let password = cs_db::role_password(ROLE_SECRET, role);
    PgConnection::connect_with(&options.username(role).password(&password)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_with_a_tenant_has_forced_row_level_security() {
    let mut admin = PgConnection::connect(database().await.as_str()).await.unwrap();
    let tables: Vec<(String, String, bool, bool)> = sqlx::query_as(
        "SELECT n.nspname::text, c.relname::text, c.relrowsecurity, c.relforcerowsecurity
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relkind IN ('r', 'p') AND a.attname = 'tenant_id' AND n.nspname = ANY ($1)",
    )
    .bind(SCHEMAS.map(str::to_owned).to_vec())
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(tables.len() > 20, "only {} tables were found", tables.len());
    for (schema, table, enabled, forced) in tables {
        assert!(enabled && forced, "{schema}.{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_that_services_sign_in_as_own_nothing_and_bypass_nothing() {
    let mut admin = PgConnection::connect(database().await.as_str()).await.unwrap();
    for (schema, kind) in SCHEMAS.iter().flat_map(|schema| [(schema, "app"), (schema, "system")]) {
        let role = format!("{schema}_{kind}");
        let (mighty, owns): (bool, i64) = sqlx::query_as(
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication,
                    (SELECT count(*) FROM pg_class c WHERE c.relowner = r.oid)
             FROM pg_roles r WHERE rolname = $1 AND rolcanlogin",
        )
        .bind(&role)
        .fetch_one(&mut admin)
        .await
        .unwrap();
        assert!(!mighty && owns == 0, "{role}: more than its rows: {mighty}, owns {owns}");
        let of: Vec<String> = sqlx::query_scalar(
            "SELECT r.rolname::text FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
             JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = $1",
        )
        .bind(&role)
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert!(of.is_empty(), "{role} may act as {of:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tenant_the_app_role_sees_nothing_and_other_schemas_are_closed() {
    let h = Harness::start("closed", Mode::Together).await;
    let tenant = h.tenant().await;
    let files = [("minutes.txt", "minutes", MINUTES.as_bytes())];
    let first = h.ingest(&operator(tenant), "springfield", "m", &files).await;
    h.drain().await;
    let city = meeting(&h, &anonymous(tenant), &first.meeting_id).await.city_id;
    settle(&h, &sign_in(&h, tenant, "ada").await, &city).await;
    h.drain().await;
    h.ingest(&operator(tenant), "springfield", "later", &files).await;
    h.drain().await;
    let mut admin = PgConnection::connect(h.database.as_str()).await.unwrap();
    for schema in SCHEMAS {
        let mut app = as_role(&h.database, &format!("{schema}_app")).await;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant_id'
             AND has_table_privilege(c.oid, 'SELECT')",
        )
        .fetch_all(&mut app)
        .await
        .unwrap();
        // An empty table is closed to everybody.
        let mut filled = Vec::new();
        for table in &tables {
            let sql = format!("SELECT EXISTS (SELECT FROM {schema}.{table})");
            if sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut admin).await.unwrap() {
                filled.push(table.as_str());
            }
        }
        for (of, table) in FILLED.iter().filter(|(of, _)| *of == schema) {
            assert!(filled.contains(table), "{of}.{table} is empty: {filled:?} are not");
        }
        for table in tables {
            let sql = format!("SELECT count(*) FROM {table}");
            let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut app).await.unwrap();
            assert_eq!(seen, 0, "{schema}.{table} without a tenant");
        }
        for other in SCHEMAS.iter().chain(&["bus", "sessions"]).filter(|o| **o != schema) {
            let sql = format!("SELECT has_schema_privilege(current_user, '{other}', 'USAGE')");
            let open: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut app).await.unwrap();
            assert!(!open, "{schema}_app can use {other}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_finds_nothing_by_id_list_or_search() {
    let h = Harness::start("tenants", Mode::Together).await;
    let (ours, theirs) = (tenant(), tenant());
    let taken = h
        .ingest(&operator(ours), "springfield", "m", &[("minutes.txt", "minutes", MINUTES.as_bytes())])
        .await;
    h.drain().await;
    for (caller, sees) in [(anonymous(ours), 1), (anonymous(theirs), 0), (operator(theirs), 0)] {
        let mut meetings = MeetingsClient::new(h.channel(Role::Meetings));
        let by_id = BatchGetRequest { ids: vec![taken.meeting_id.clone()] };
        assert_eq!(
            meetings.batch_get_meetings(h.request(&caller, by_id)).await.unwrap().into_inner().meetings.len(),
            sees
        );
        let listed = meetings
            .list_meetings(h.request(&caller, mt::ListMeetingsRequest::default()))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(listed.meetings.len(), sees);
        let texts = mt::ListTextVersionsRequest { meeting_id: taken.meeting_id.clone() };
        let first = meetings
            .list_text_versions(h.request(&caller, texts))
            .await
            .unwrap()
            .into_inner()
            .message()
            .await
            .unwrap();
        assert_eq!(first.is_some(), sees == 1);
        let query = SearchRequest { query: "Riverside".to_owned(), ..Default::default() };
        let mut search = SearchClient::new(h.channel(Role::Search));
        let hits = search.search(h.request(&caller, query)).await.unwrap().into_inner();
        assert_eq!(hits.hits.is_empty(), sees == 0);
        assert_eq!(hits.total == 0, sees == 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_token_is_refused() {
    let h = Harness::start("tokens", Mode::Split).await;
    let mut meetings = MeetingsClient::new(h.channel(Role::Meetings));
    let refused = meetings.list_meetings(mt::ListMeetingsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}
