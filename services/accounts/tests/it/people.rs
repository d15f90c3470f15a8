//! Sign-ins, profiles, roles and who sees what of whom.

use accounts::roles::Grantee;
use accounts::users::Seen;
use accounts::{Error, identity, profile, roles, users};
use cs_core::{Role, Subject};
use cs_db::{DbError, Tx};

use crate::support::{World, claims};

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_many_times_at_once_is_one_person() {
    let world = World::start().await;
    let claims = claims("ada");
    let results = futures::future::join_all((0..16).map(|_| world.sign_in(&claims))).await;
    assert_eq!(results.iter().filter(|(_, created)| *created).count(), 1);
    assert!(results.iter().all(|(user, _)| user.id == results[0].0.id));
    assert_eq!((world.count("users").await, world.count("identities").await), (1, 1));
}

#[tokio::test]
async fn an_equal_address_links_nobody() {
    let world = World::start().await;
    let (one, _) = world.sign_in(&claims("one")).await;
    let (other, created) = world.sign_in(&claims("two")).await;
    assert!(created && one.id != other.id && one.email == other.email);
}

#[tokio::test]
async fn a_sign_in_keeps_what_the_person_chose_and_replaces_what_the_provider_says() {
    let world = World::start().await;
    let mut claims = claims("ada");
    claims.roles = vec!["reviewer".into(), "operator".into()];
    let (user, _) = world.sign_in(&claims).await;
    assert_eq!(user.roles, [Role::Resident, Role::Reviewer, Role::Operator].into());

    let person = world.person(&user);
    let mut tx = world.tx(&person).await;
    let chosen = profile::Change { display_name: Some("Countess".into()), ..Default::default() };
    profile::update(&mut tx, &person, &world.ids, chosen).await.unwrap();
    tx.commit().await.unwrap();
    let terminal = world.subject(Subject::Operator("ops".into()), &[Role::Operator]);
    let mut tx = world.tx(&terminal).await;
    for _ in 0..2 {
        let by = Grantee::Identity { issuer: claims.issuer.clone(), subject: claims.subject.clone() };
        roles::grant(&mut tx, &terminal, &world.ids, &by, Role::Reviewer).await.unwrap();
    }
    tx.commit().await.unwrap();

    claims.roles.clear();
    claims.email = "ada@elsewhere.example".into();
    claims.display_name = "Somebody".into();
    let (user, created) = world.sign_in(&claims).await;
    assert!(!created);
    assert_eq!(user.display_name, "Countess");
    assert_eq!(user.email.as_deref(), Some("ada@elsewhere.example"));
    assert_eq!(user.roles, [Role::Resident, Role::Reviewer].into(), "the operator's grant stays");
}

#[tokio::test]
async fn only_services_resolve_and_only_known_tenants_have_people() {
    let world = World::start().await;
    let (user, _) = world.sign_in(&claims("ada")).await;
    let person = world.person(&user);
    let mut tx = world.tx(&person).await;
    let refused = identity::resolve(&mut tx, &person, &world.ids, &claims("eve")).await;
    assert!(matches!(refused, Err(Error::Denied(_))));
    for field in ["issuer", "subject", "roles"] {
        let mut wrong = claims("eve");
        match field {
            "issuer" => wrong.issuer.clear(),
            "subject" => wrong.subject = "a\nb".into(),
            _ => wrong.roles = vec!["king".into()],
        }
        let service = world.service();
        let mut tx = world.tx(&service).await;
        match identity::resolve(&mut tx, &service, &world.ids, &wrong).await {
            Err(Error::Invalid(violations)) => assert_eq!(violations[0].field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let nowhere = cs_core::Caller { tenant: world.ids.next(), ..world.service() };
    let mut tx = world.tx(&nowhere).await;
    let refused = identity::resolve(&mut tx, &nowhere, &world.ids, &claims("eve")).await;
    assert!(matches!(refused, Err(Error::NotFound("tenant"))), "{refused:?}");
}

#[tokio::test]
async fn a_profile_changes_whole_or_not_at_all() {
    let world = World::start().await;
    let (user, _) = world.sign_in(&claims("ada")).await;
    let person = world.person(&user);
    let mut tx = world.tx(&person).await;
    let wrong = profile::Change {
        display_name: Some("Countess".into()),
        time_zone: Some("Mars/Olympus".into()),
        ..Default::default()
    };
    match profile::update(&mut tx, &person, &world.ids, wrong).await {
        Err(Error::Invalid(violations)) => assert_eq!(violations[0].field, "time_zone"),
        other => panic!("{other:?}"),
    }
    let right = profile::Change {
        locale: Some("en-us".into()),
        time_zone: Some("America/Chicago".into()),
        ..Default::default()
    };
    let kept = profile::update(&mut tx, &person, &world.ids, right).await.unwrap();
    assert_eq!((kept.display_name.as_str(), kept.locale.as_deref()), ("Ada", Some("en-US")));
    let cleared = profile::Change { locale: Some(String::new()), ..Default::default() };
    let kept = profile::update(&mut tx, &person, &world.ids, cleared).await.unwrap();
    assert_eq!((kept.locale, kept.time_zone.as_deref()), (None, Some("America/Chicago")));
    assert_eq!(users::viewer(&mut tx, &person).await.unwrap().time_zone.as_deref(), Some("America/Chicago"));
}

#[tokio::test]
async fn others_see_a_name_and_strangers_nothing() {
    let world = World::start().await;
    let (ada, _) = world.sign_in(&claims("ada")).await;
    let (eve, _) = world.sign_in(&claims("eve")).await;
    let asked = [eve.id, ada.id, world.ids.next(), ada.id];
    let person = world.person(&ada);
    let mut tx = world.tx(&person).await;
    let seen = users::batch(&mut tx, &person, &asked).await.unwrap();
    assert_eq!(seen, [Seen::Name(eve.id, "Ada".into()), Seen::Whole(ada.clone())]);
    let service = world.service();
    assert_eq!(users::batch(&mut tx, &service, &asked).await.unwrap().len(), 2);
    assert!(matches!(users::batch(&mut tx, &service, &asked).await.unwrap()[0], Seen::Whole(_)));
    let anonymous = world.subject(Subject::Anonymous, &[]);
    assert!(matches!(users::batch(&mut tx, &anonymous, &asked).await, Err(Error::Denied(_))));
    assert!(matches!(users::viewer(&mut tx, &anonymous).await, Err(Error::Denied(_))));
    let identities = identity::list(&mut tx, &person).await.unwrap();
    assert_eq!(identities.iter().map(|i| i.subject.as_str()).collect::<Vec<_>>(), ["ada"]);
}

#[tokio::test]
async fn roles_are_granted_by_owners_and_terminals_only() {
    let world = World::start().await;
    let (ada, _) = world.sign_in(&claims("ada")).await;
    let to = Grantee::User(ada.id);
    let callers = [
        (world.person(&ada), false),
        (world.subject(Subject::User(world.ids.next()), &[Role::Operator]), false),
        (world.subject(Subject::Operator("ops".into()), &[Role::Resident]), false),
        (world.subject(Subject::User(world.ids.next()), &[Role::Owner]), true),
        (world.subject(Subject::Operator("ops".into()), &[Role::Operator]), true),
    ];
    for (caller, allowed) in callers {
        let mut tx = world.tx(&caller).await;
        let granted = roles::grant(&mut tx, &caller, &world.ids, &to, Role::Owner).await;
        assert_eq!(granted.is_ok(), allowed, "{caller:?}");
        let revoked = roles::revoke(&mut tx, &caller, &to, Role::Reviewer).await;
        assert_eq!(revoked.is_ok(), allowed, "{caller:?}");
    }
}

#[tokio::test]
async fn a_grant_is_taken_back_but_a_provider_s_word_and_the_last_owner_stay() {
    let world = World::start().await;
    let mut said = claims("ada");
    said.roles = vec!["reviewer".into()];
    let (ada, _) = world.sign_in(&said).await;
    let (eve, _) = world.sign_in(&claims("eve")).await;
    let terminal = world.subject(Subject::Operator("ops".into()), &[Role::Operator]);
    let change = async |user: &accounts::User, role: Role, give: bool| {
        let (mut tx, to) = (world.tx(&terminal).await, Grantee::User(user.id));
        let changed = match give {
            true => roles::grant(&mut tx, &terminal, &world.ids, &to, role).await?,
            false => roles::revoke(&mut tx, &terminal, &to, role).await?,
        };
        tx.commit().await?;
        Ok::<_, Error>(changed.roles)
    };
    change(&ada, Role::Reviewer, true).await.unwrap();
    change(&ada, Role::Operator, true).await.unwrap();
    for _ in 0..2 {
        let left = change(&ada, Role::Operator, false).await.unwrap();
        assert_eq!(left, [Role::Resident, Role::Reviewer].into(), "once more changes nothing");
    }
    let left = change(&ada, Role::Reviewer, false).await.unwrap();
    assert!(left.contains(&Role::Reviewer), "the provider says so");

    change(&ada, Role::Owner, true).await.unwrap();
    assert!(matches!(change(&ada, Role::Owner, false).await, Err(Error::LastOwner)));
    change(&eve, Role::Owner, true).await.unwrap();
    assert!(!change(&ada, Role::Owner, false).await.unwrap().contains(&Role::Owner));
    assert!(matches!(change(&eve, Role::Owner, false).await, Err(Error::LastOwner)));
}

#[tokio::test]
async fn another_tenant_sees_and_changes_nothing() {
    let (world, other) = (World::start().await, World::start().await);
    let mut with_role = claims("ada");
    with_role.roles = vec!["reviewer".into()];
    let (ada, _) = world.sign_in(&with_role).await;
    let person = world.person(&ada);
    let mut tx = world.tx(&person).await;
    accounts::home_city::set(&mut tx, &person, &world.ids, Some(world.ids.next())).await.unwrap();
    tx.commit().await.unwrap();
    for table in ["users", "identities", "role_grants", "outbox"] {
        assert_eq!(world.count(table).await, 1, "{table}");
        assert_eq!(other.count(table).await, 0, "{table}");
    }

    // The same person's token in another tenant names nobody.
    let stranger = other.person(&ada);
    let mut tx = other.tx(&stranger).await;
    assert!(matches!(users::viewer(&mut tx, &stranger).await, Err(Error::NotFound(_))));
    assert!(users::batch(&mut tx, &other.service(), &[ada.id]).await.unwrap().is_empty());
    let changed = profile::update(&mut tx, &stranger, &other.ids, profile::Change::default()).await;
    assert!(matches!(changed, Err(Error::NotFound(_))));
    assert!(identity::list(&mut tx, &stranger).await.unwrap().is_empty());
    let owner = other.subject(Subject::User(other.ids.next()), &[Role::Owner]);
    let granted = roles::grant(&mut tx, &owner, &other.ids, &Grantee::User(ada.id), Role::Owner).await;
    assert!(matches!(granted, Err(Error::NotFound(_))));

    // Nor can a row be written into a tenant that is not the transaction's, or hung on its person.
    for (tenant, what) in [(world.tenant, "another tenant's row"), (other.tenant, "another tenant's person")]
    {
        let mut tx = other.tx(&stranger).await;
        let written = sqlx::query(
            "INSERT INTO role_grants (tenant_id, user_id, role, origin, granted_by, created_at)
             VALUES ($1, $2, 'owner', 'operator', 'eve', now())",
        )
        .bind(tenant.uuid())
        .bind(ada.id.uuid())
        .execute(tx.conn())
        .await;
        assert!(written.is_err(), "{what}");
    }
    let mut tx = other.db.system(cs_db::Reason::Operations).await.unwrap();
    let read = sqlx::query("SELECT FROM users").execute(tx.conn()).await.map_err(DbError::from);
    assert!(read.is_err(), "the system role has no business with people");
}

#[tokio::test]
async fn row_level_security_is_forced_on_every_table_of_a_tenant() {
    let world = World::start().await;
    let mut tx = world.tx(&world.service()).await;
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
         AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    assert_eq!(open, [""; 0]);
}
