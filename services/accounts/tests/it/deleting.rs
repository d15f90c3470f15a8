//! A person deletes their account; what of it is left, and who is told.

use accounts::deletion::CONFIRMATION;
use accounts::roles::Grantee;
use accounts::{Error, User, deletion, export, identity, roles, users};
use cs_core::{Caller, Role, Subject, UserId};
use cs_db::Tx;
use cs_proto::events::v1::AccountDeleted;

use crate::support::{World, claims};

async fn delete(world: &World, caller: &Caller, confirmation: &str) -> Result<UserId, Error> {
    let mut tx = world.tx(caller).await;
    let gone = deletion::delete(&mut tx, caller, &world.ids, confirmation).await?;
    tx.commit().await?;
    Ok(gone)
}

async fn grant(world: &World, user: &User, role: Role) {
    let owner = world.subject(Subject::User(user.id), &[Role::Owner]);
    let mut tx = world.tx(&owner).await;
    roles::grant(&mut tx, &owner, &world.ids, &Grantee::User(user.id), role).await.unwrap();
    tx.commit().await.unwrap();
}

fn bea() -> identity::Claims {
    identity::Claims {
        display_name: "Bea".into(),
        email: "bea@example.org".into(),
        roles: vec!["reviewer".into()],
        ..claims("bea")
    }
}

async fn told(world: &World) -> Vec<AccountDeleted> {
    let mut tx = world.tx(&world.service()).await;
    let envelopes: Vec<sqlx::types::Json<cs_events::Envelope>> =
        sqlx::query_scalar("SELECT envelope FROM outbox WHERE type = 'account.deleted' ORDER BY sequence")
            .fetch_all(tx.conn())
            .await
            .unwrap();
    envelopes.iter().map(|envelope| envelope.payload().unwrap()).collect()
}

#[tokio::test]
async fn an_account_goes_with_all_of_it_and_is_told_once() {
    let world = World::start().await;
    let (ada, _) = world.sign_in(&claims("ada")).await;
    let (other, _) = world.sign_in(&bea()).await;
    let (caller, service) = (world.person(&ada), world.service());
    let mut tx = world.tx(&service).await;
    identity::link(&mut tx, &service, &world.ids, ada.id, ("https://other.example", "x"), &[]).await.unwrap();
    tx.commit().await.unwrap();
    grant(&world, &ada, Role::Operator).await;
    assert_eq!(
        (world.count("users").await, world.count("identities").await, world.count("role_grants").await),
        (2, 3, 2)
    );

    for _ in 0..3 {
        assert_eq!(delete(&world, &caller, CONFIRMATION).await.unwrap(), ada.id);
    }
    assert_eq!(told(&world).await, [AccountDeleted { user_id: ada.id.to_string(), version: 1 }]);
    assert_eq!(
        (world.count("users").await, world.count("identities").await, world.count("role_grants").await),
        (1, 1, 1),
        "the other person's"
    );
    assert_eq!(world.count("deleted_accounts").await, 1);
    // No table of this schema holds the person's name, address or identity; facts told earlier hold ids alone.
    let mut tx = world.tx(&service).await;
    for table in ["users", "identities", "role_grants", "deleted_accounts", "outbox"] {
        let sql = format!("SELECT count(*) FROM {table} t WHERE t::text ~ 'ada|other.example'");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(tx.conn()).await.unwrap();
        assert_eq!(found, 0, "{table}");
    }
    drop(tx);

    let gone = users::viewer(&mut world.tx(&caller).await, &caller).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound(_)));
    let (again, created) = world.sign_in(&claims("ada")).await;
    assert!(created && again.id != ada.id, "somebody new");
    assert_eq!((again.version, again.roles.len(), again.home_city), (0, 1, None));
    let mine = world.person(&other);
    assert_eq!(users::viewer(&mut world.tx(&mine).await, &mine).await.unwrap(), other);
}

#[tokio::test]
async fn only_one_s_own_and_only_on_purpose() {
    let world = World::start().await;
    let (ada, _) = world.sign_in(&claims("ada")).await;
    let person = world.person(&ada);
    for wrong in ["", "yes", "Delete my account", "delete my account "] {
        let error = delete(&world, &person, wrong).await.unwrap_err();
        assert!(
            matches!(error, Error::Invalid(ref fields) if fields[0].field == "confirmation"),
            "{wrong:?}"
        );
    }
    for caller in [
        world.service(),
        world.subject(Subject::Anonymous, &[]),
        world.subject(Subject::Operator("root".into()), &[Role::Operator]),
    ] {
        let error = delete(&world, &caller, CONFIRMATION).await.unwrap_err();
        assert!(matches!(error, Error::Denied(_)), "{:?}", caller.subject);
    }
    // Who never was is told so, and the same id of another tenant is nobody's here.
    let stranger = world.subject(Subject::User(world.ids.next()), &[Role::Resident]);
    assert!(matches!(delete(&world, &stranger, CONFIRMATION).await.unwrap_err(), Error::NotFound(_)));
    let elsewhere = World::start().await;
    let error = delete(&elsewhere, &elsewhere.person(&ada), CONFIRMATION).await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)));
    assert_eq!((world.count("users").await, told(&world).await.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_keeps_an_owner() {
    let world = World::start().await;
    let (ada, _) = world.sign_in(&claims("ada")).await;
    grant(&world, &ada, Role::Owner).await;
    let error = delete(&world, &world.person(&ada), CONFIRMATION).await.unwrap_err();
    assert!(matches!(error, Error::LastOwner), "{error}");
    assert_eq!((world.count("users").await, told(&world).await.len()), (1, 0));
    // Of two who leave at once one stays.
    let (bea, _) = world.sign_in(&claims("bea")).await;
    grant(&world, &bea, Role::Owner).await;
    let (one, other) = (world.person(&ada), world.person(&bea));
    let (a, b) = tokio::join!(delete(&world, &one, CONFIRMATION), delete(&world, &other, CONFIRMATION));
    let left = [a, b].into_iter().filter(|result| matches!(result, Err(Error::LastOwner))).count();
    assert_eq!((left, world.count("users").await, told(&world).await.len()), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_at_the_same_moment_is_the_old_account_or_a_new_one() {
    let world = World::start().await;
    for n in 0..10 {
        let claims = identity::Claims { roles: vec!["reviewer".into()], ..claims(&format!("p{n}")) };
        let (user, _) = world.sign_in(&claims).await;
        let caller = world.person(&user);
        let ((now, created), gone) =
            tokio::join!(world.sign_in(&claims), delete(&world, &caller, CONFIRMATION));
        gone.unwrap();
        assert_eq!(created, now.id != user.id);
        let left = world.sign_in(&claims).await.0;
        assert_ne!(left.id, user.id);
    }
    assert_eq!(world.count("users").await, 10);
}

#[tokio::test]
async fn an_export_tells_what_every_table_holds() {
    let world = World::start().await;
    let (ada, _) = world.sign_in(&identity::Claims { roles: vec!["reviewer".into()], ..claims("ada") }).await;
    world.sign_in(&bea()).await;
    let caller = world.person(&ada);
    let mut tx = world.tx(&caller).await;
    let kept = export::account(&mut tx, &caller).await.unwrap();
    assert_eq!(kept["users"]["email"], "ada@example.org");
    assert_eq!(kept["identities"][0]["subject"], "ada");
    assert_eq!(kept["role_grants"][0]["role"], "reviewer");
    assert!(!kept.to_string().contains("bea"));
    // A table that comes to hold people is told of here, too.
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attname = 'user_id'
         AND c.relname <> 'deleted_accounts' ORDER BY 1",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    assert_eq!(tables, ["identities", "role_grants"]);
    for table in tables {
        assert!(kept.get(&table).is_some(), "{table}");
    }
}
