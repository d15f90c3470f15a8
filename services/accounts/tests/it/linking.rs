//! Several identities of one person.

use accounts::roles::{self, Grantee};
use accounts::{Error, identity, users};
use cs_core::{Caller, IdentityId, Role, Subject, UserId};

use crate::support::{World, claims};

async fn link(world: &World, user: UserId, pair: (&str, &str)) -> Result<accounts::User, Error> {
    let caller = world.service();
    let mut tx = world.tx(&caller).await;
    let linked = identity::link(&mut tx, &caller, &world.ids, user, pair, &[]).await?;
    tx.commit().await.unwrap();
    Ok(linked)
}

async fn unlink(world: &World, person: &Caller, id: IdentityId) -> Result<(), Error> {
    let mut tx = world.tx(person).await;
    identity::unlink(&mut tx, person, id).await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn ids(world: &World, person: &Caller) -> Vec<IdentityId> {
    let listed = identity::list(&mut world.tx(person).await, person).await.unwrap();
    listed.into_iter().map(|one| one.id.into()).collect()
}

const OTHER: &str = "https://other.example";

#[tokio::test]
async fn a_linked_identity_leads_to_the_same_person() {
    let world = World::start().await;
    let (ada, _) = world.sign_in(&claims("ada")).await;
    for _ in 0..2 {
        assert_eq!(
            link(&world, ada.id, (OTHER, "countess")).await.unwrap().id,
            ada.id,
            "once more is no mistake"
        );
    }
    let elsewhere = identity::Claims { issuer: OTHER.into(), ..claims("countess") };
    let (found, created) = world.sign_in(&elsewhere).await;
    assert_eq!((found.id, created), (ada.id, false));
    assert_eq!(world.count("users").await, 1);

    let (other, _) = world.sign_in(&claims("babbage")).await;
    assert!(matches!(link(&world, other.id, (OTHER, "countess")).await, Err(Error::IdentityTaken)));
    assert!(matches!(
        link(&world, UserId::from(uuid::Uuid::nil()), (OTHER, "x")).await,
        Err(Error::NotFound(_))
    ));
    assert!(matches!(link(&world, ada.id, ("", "x")).await, Err(Error::Invalid(_))));
    let person = world.person(&ada);
    let mut tx = world.tx(&person).await;
    let refused = identity::link(&mut tx, &person, &world.ids, ada.id, (OTHER, "mine"), &[]).await;
    assert!(matches!(refused, Err(Error::Denied(_))), "a person cannot say who they are elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_identity_stays() {
    let world = World::start().await;
    let (ada, _) = world.sign_in(&claims("ada")).await;
    let person = world.person(&ada);
    let only = ids(&world, &person).await;
    assert!(matches!(unlink(&world, &person, only[0]).await, Err(Error::LastIdentity)));

    link(&world, ada.id, (OTHER, "countess")).await.unwrap();
    let mut elsewhere = identity::Claims { issuer: OTHER.into(), ..claims("countess") };
    elsewhere.roles = vec!["reviewer".into()];
    world.sign_in(&elsewhere).await;
    let (stranger, _) = world.sign_in(&claims("babbage")).await;
    let both = ids(&world, &person).await;
    assert_eq!(both.len(), 2);
    let thief = world.person(&stranger);
    assert!(matches!(unlink(&world, &thief, both[1]).await, Err(Error::NotFound(_))), "not theirs");

    let at_once = futures::future::join_all(both.iter().map(|id| unlink(&world, &person, *id))).await;
    assert_eq!(at_once.iter().filter(|one| one.is_ok()).count(), 1, "one of them stays");
    assert_eq!(ids(&world, &person).await.len(), 1);

    link(&world, ada.id, (OTHER, "countess")).await.unwrap();
    link(&world, ada.id, ("https://third.example", "x")).await.unwrap();
    world.sign_in(&elsewhere).await;
    let rows = identity::list(&mut world.tx(&person).await, &person).await.unwrap();
    let gone = rows.iter().find(|one| one.issuer == OTHER).unwrap();
    unlink(&world, &person, gone.id.into()).await.unwrap();
    let now = users::viewer(&mut world.tx(&person).await, &person).await.unwrap();
    assert!(!now.roles.contains(&cs_core::Role::Reviewer), "the roles that came with it are gone");
}

#[tokio::test]
async fn each_provider_says_its_own_roles_and_no_other_s() {
    let world = World::start().await;
    let said = |issuer: &str, subject: &str, roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        identity::Claims { issuer: issuer.into(), roles, ..claims(subject) }
    };
    let home = claims("ada").issuer;
    let (ada, _) = world.sign_in(&said(&home, "ada", &["reviewer"])).await;
    let terminal = world.subject(Subject::Operator("ops".into()), &[Role::Operator]);
    let mut tx = world.tx(&terminal).await;
    roles::grant(&mut tx, &terminal, &world.ids, &Grantee::User(ada.id), Role::Owner).await.unwrap();
    tx.commit().await.unwrap();

    let service = world.service();
    let mut tx = world.tx(&service).await;
    let pair = (OTHER, "countess");
    let operator = ["operator".to_owned()];
    let linked = identity::link(&mut tx, &service, &world.ids, ada.id, pair, &operator).await.unwrap();
    tx.commit().await.unwrap();
    let by_other = [Role::Resident, Role::Operator, Role::Owner];
    assert_eq!(linked.roles, by_other.into(), "what the other says, and what was granted");

    let (elsewhere, _) = world.sign_in(&said(OTHER, "countess", &["operator"])).await;
    assert_eq!((elsewhere.id, elsewhere.roles), (ada.id, by_other.into()));
    let look_up = async |issuer: &str, subject: &str| {
        identity::look_up(&mut world.tx(&service).await, &service, (issuer, subject)).await
    };
    let at_home = look_up(&home, "ada").await.unwrap().roles;
    assert_eq!(
        at_home,
        [Role::Resident, Role::Reviewer, Role::Owner].into(),
        "a sign-in elsewhere takes nothing"
    );

    world.sign_in(&said(OTHER, "countess", &[])).await;
    assert_eq!(look_up(OTHER, "countess").await.unwrap().roles, [Role::Resident, Role::Owner].into());
    assert_eq!(look_up(&home, "ada").await.unwrap().roles, at_home);
    // Both may say the same.
    let (both, _) = world.sign_in(&said(OTHER, "countess", &["reviewer"])).await;
    assert!(both.roles.contains(&Role::Reviewer));
    world.sign_in(&said(&home, "ada", &[])).await;
    assert!(look_up(OTHER, "countess").await.unwrap().roles.contains(&Role::Reviewer));

    assert!(matches!(look_up(OTHER, "nobody").await, Err(Error::NotFound(_))));
    let person = world.person(&ada);
    let refused = identity::look_up(&mut world.tx(&person).await, &person, (OTHER, "countess")).await;
    assert!(matches!(refused, Err(Error::Denied(_))));
}
