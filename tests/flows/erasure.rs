//! A person deletes their account: nothing of theirs is left anywhere, nothing comes back, and nobody else notices.

use councilsense::wiring::Role;
use cs_core::{Caller, Subject, TenantId, Trace};
use cs_proto::accounts::v1 as ac;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::notifications::v1 as nt;
use cs_proto::notifications::v1::notifications_client::NotificationsClient;
use cs_proto::summaries::v1 as sm;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use sqlx::{Connection, PgConnection};

use crate::harness::{Harness, MINUTES, Mode, anonymous, operator};
use crate::pipeline::{inbox, meeting, summary};

pub(crate) async fn sign_in(h: &Harness, tenant: TenantId, name: &str) -> Caller {
    let service = Caller::service("bff", tenant, Trace::start());
    let identity = ac::ResolveIdentityRequest {
        issuer: "https://id.example".into(),
        subject: name.into(),
        display_name: format!("The person {name}"),
        email: format!("{name}@mail.example"),
        ..Default::default()
    };
    let mut client = AccountsClient::new(h.channel(Role::Accounts));
    let user =
        client.resolve_identity(h.request(&service, identity)).await.unwrap().into_inner().user.unwrap();
    Caller {
        subject: Subject::User(user.id.parse().unwrap()),
        roles: [cs_core::Role::Resident].into(),
        ..service
    }
}

/// Chooses a home, follows a topic and a search, and wants to be told of changes.
pub(crate) async fn settle(h: &Harness, person: &Caller, city: &str) {
    let home = ac::SetHomeCityRequest { city_id: city.to_owned(), ..Default::default() };
    AccountsClient::new(h.channel(Role::Accounts)).set_home_city(h.request(person, home)).await.unwrap();
    let mut client = NotificationsClient::new(h.channel(Role::Notifications));
    let topic = nt::FollowRequest { kind: "topic".into(), target_id: "streets".into(), ..Default::default() };
    client.follow(h.request(person, topic)).await.unwrap();
    let search = nt::SaveSearchRequest { query: "Riverside".into(), follow: true, ..Default::default() };
    client.save_search(h.request(person, search)).await.unwrap();
    let chosen = nt::UpdatePreferencesRequest { changed_summaries: Some(true), ..Default::default() };
    client.update_preferences(h.request(person, chosen)).await.unwrap();
}

/// The tables in which a person's id stands, in either spelling, or their name or address, with the number of rows.
async fn traces(h: &Harness, person: &Caller, name: &str) -> Vec<(String, i64)> {
    let user = person.user().unwrap();
    let pattern = format!("{}|{user}|The person {name}|{name}@mail", user.uuid());
    let mut admin = PgConnection::connect(h.database.as_str()).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND n.nspname = ANY ($1) ORDER BY 1",
    )
    .bind(["accounts", "meetings", "summaries", "notifications", "sessions", "bus"].map(str::to_owned).to_vec())
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(tables.len() > 40, "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let sql = format!("SELECT count(*) FROM {table} t WHERE t::text ~ $1");
        let rows: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(&pattern).fetch_one(&mut admin).await.unwrap();
        if rows > 0 {
            found.push((table, rows));
        }
    }
    found
}

async fn a_person_leaves(h: &Harness) {
    let tenant = h.tenant().await;
    let (ops, reader) = (operator(tenant), anonymous(tenant));
    let agenda: &[u8] = b"AGENDA\n\n1. Call to order\n";
    let first = h.ingest(&ops, "springfield", "first", &[("agenda.txt", "agenda", agenda)]).await;
    h.drain().await;
    let city = meeting(h, &reader, &first.meeting_id).await.city_id;
    let (ada, bea) = (sign_in(h, tenant, "ada").await, sign_in(h, tenant, "bea").await);
    for person in [&ada, &bea] {
        settle(h, person, &city).await;
    }
    h.drain().await;
    let minutes = [("minutes.txt", "minutes", MINUTES.as_bytes())];
    let second = h.ingest(&ops, "springfield", "2023-01-05", &minutes).await;
    h.drain().await;
    assert_eq!((inbox(h, &ada).await.len(), inbox(h, &bea).await.len()), (1, 1));
    let claims = summary(h, &reader, &second.meeting_id).await.unwrap().claims;
    let mut summaries = SummariesClient::new(h.channel(Role::Summaries));
    let flag = sm::FlagClaimRequest {
        claim_id: claims[0].id.clone(),
        reason: "other".into(),
        note: "I was there and it was otherwise".into(),
    };
    summaries.flag_claim(h.request(&ada, flag.clone())).await.unwrap();
    let theirs: Vec<String> = traces(h, &ada, "ada").await.into_iter().map(|(table, _)| table).collect();
    for table in [
        "accounts.users",
        "accounts.identities",
        "notifications.follows",
        "notifications.deliveries",
        "summaries.claim_flags",
    ] {
        assert!(theirs.iter().any(|found| found == table), "{table} was looked at: {theirs:?}");
    }
    let before = traces(h, &bea, "bea").await;

    let mut accounts = AccountsClient::new(h.channel(Role::Accounts));
    let mut client = NotificationsClient::new(h.channel(Role::Notifications));
    let kept =
        client.export_person(h.request(&ada, nt::ExportPersonRequest {})).await.unwrap().into_inner().json;
    for word in ["Riverside", "streets", &city] {
        assert!(kept.contains(word), "{kept}");
    }
    let kept = summaries.export_person(h.request(&ada, sm::ExportPersonRequest {})).await.unwrap();
    assert!(kept.into_inner().json.contains("it was otherwise"));

    let wish = ac::DeleteAccountRequest { confirmation: "delete my account".into() };
    accounts.delete_account(h.request(&ada, wish.clone())).await.unwrap();
    // A meeting is published before anybody has heard of it.
    h.ingest(&ops, "springfield", "2023-01-12", &minutes).await;
    h.drain().await;
    // And once more afterwards; and asked for again, as by somebody who was not answered.
    accounts.delete_account(h.request(&ada, wish)).await.unwrap();
    h.ingest(&ops, "springfield", "2023-01-19", &minutes).await;
    h.drain().await;

    // A token that is still good for a minute does nothing.
    let topic = nt::FollowRequest { kind: "topic".into(), target_id: "housing".into(), ..Default::default() };
    let refused = client.follow(h.request(&ada, topic)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    let refused = summaries.flag_claim(h.request(&ada, flag)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(inbox(h, &ada).await.is_empty());

    // What is left is that there was somebody, and the facts that say so, which are forgotten after a month.
    let left = traces(h, &ada, "ada").await;
    assert_eq!(
        left,
        [
            ("accounts.deleted_accounts".to_owned(), 1),
            ("accounts.outbox".to_owned(), 2),
            ("notifications.erased_people".to_owned(), 1),
            ("summaries.erased_people".to_owned(), 1),
        ]
    );
    assert_eq!(inbox(h, &bea).await.len(), 3, "the other person is told as ever");
    let after = traces(h, &bea, "bea").await;
    assert_eq!(
        before.iter().map(|(table, _)| table).collect::<Vec<_>>(),
        after.iter().map(|(table, _)| table).collect::<Vec<_>>()
    );

    // Somebody new, who begins with nothing.
    let again = sign_in(h, tenant, "ada").await;
    assert_ne!(again.user(), ada.user());
    let follows = client.list_follows(h.request(&again, nt::ListFollowsRequest {})).await.unwrap();
    assert!(follows.into_inner().follows.is_empty() && inbox(h, &again).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_leaves_in_one_process() {
    a_person_leaves(&Harness::start("leaving", Mode::Together).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_leaves_with_each_role_on_its_own_port() {
    a_person_leaves(&Harness::start("leaving-split", Mode::Split).await).await;
}
