//! Tenants and their host names.

use accounts::tenants::{self, By};
use accounts::{Error, Tenant};
use cs_core::{Caller, Role, Subject, TenantId};

use crate::support::World;

async fn ensure(
    world: &World,
    caller: &Caller,
    slug: &str,
    name: &str,
    hosts: &[&str],
) -> Result<Tenant, Error> {
    let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
    let mut tx = world.tx(caller).await;
    let tenant = tenants::ensure(&mut tx, caller, &world.ids, slug, name, &hosts).await?;
    tx.commit().await?;
    Ok(tenant)
}

#[tokio::test]
async fn a_tenant_is_found_by_slug_and_by_each_host() {
    let world = World::start().await;
    let service = world.service();
    let (one, two) = (format!("{}.example.org", world.slug), format!("{}.example.net", world.slug));
    ensure(&world, &service, &world.slug, "", &[&one]).await.unwrap();
    let again =
        ensure(&world, &service, &world.slug, "Another name", &[&one.to_uppercase(), &two]).await.unwrap();
    assert_eq!(
        again,
        Tenant { id: world.tenant.uuid(), slug: world.slug.clone(), name: "Another name".into() }
    );
    let kept = ensure(&world, &service, &world.slug, "", &[]).await.unwrap();
    assert_eq!(kept.name, "Another name");
    let mut tx = world.tx(&service).await;
    for by in
        [By::Slug(&world.slug), By::Host(&one), By::Host(&two), By::Host(&format!("{}.", one.to_uppercase()))]
    {
        assert_eq!(tenants::resolve(&mut tx, &service, by).await.unwrap(), again, "{by:?}");
    }
    for by in [By::Slug("nobody-at-all"), By::Host("nobody.example"), By::Host("https://nobody")] {
        assert!(matches!(tenants::resolve(&mut tx, &service, by).await, Err(Error::NotFound(_))), "{by:?}");
    }
    let anonymous = world.subject(Subject::Anonymous, &[]);
    assert!(matches!(
        tenants::resolve(&mut tx, &anonymous, By::Slug(&world.slug)).await,
        Err(Error::Denied(_))
    ));
}

#[tokio::test]
async fn a_host_leads_to_one_tenant() {
    let (world, other) = (World::start().await, World::start().await);
    let host = format!("{}.example.org", world.slug);
    ensure(&world, &world.service(), &world.slug, "", &[&host]).await.unwrap();
    let stolen = ensure(&other, &other.service(), &other.slug, "Thief", &[&host]).await;
    assert!(matches!(stolen, Err(Error::HostTaken(_))), "{stolen:?}");
    let mut tx = other.tx(&other.service()).await;
    let kept = tenants::resolve(&mut tx, &other.service(), By::Slug(&other.slug)).await.unwrap();
    assert_eq!(kept.name, "A tenant", "nothing half-written");
}

#[tokio::test]
async fn who_signed_in_reaches_their_own_tenant_only() {
    let (world, other) = (World::start().await, World::start().await);
    let owner = world.subject(Subject::User(world.ids.next()), &[Role::Owner]);
    assert!(ensure(&world, &owner, &world.slug, "Ours", &[]).await.is_ok());
    let foreign = ensure(&world, &owner, &other.slug, "Ours too", &[]).await;
    assert!(matches!(foreign, Err(Error::TerminalOnly)));
    let operator = world.subject(Subject::User(world.ids.next()), &[Role::Operator]);
    assert!(matches!(ensure(&world, &operator, &world.slug, "x", &[]).await, Err(Error::Denied(_))));
    let terminal = world.subject(Subject::Operator("ops".into()), &[Role::Operator]);
    assert!(ensure(&world, &terminal, &other.slug, "Renamed", &[]).await.is_ok());

    let mut tx = world.tx(&owner).await;
    let ids = |found: Vec<Tenant>| found.into_iter().map(|t| TenantId::from(t.id)).collect::<Vec<_>>();
    assert_eq!(ids(tenants::list(&mut tx, &operator).await.unwrap()), [world.tenant]);
    let all = ids(tenants::list(&mut tx, &terminal).await.unwrap());
    assert!(all.contains(&world.tenant) && all.contains(&other.tenant));
    let resident = world.subject(Subject::User(world.ids.next()), &[Role::Resident]);
    assert!(matches!(tenants::list(&mut tx, &resident).await, Err(Error::Denied(_))));
}

#[tokio::test]
async fn what_is_no_slug_is_refused_with_the_rule() {
    let world = World::start().await;
    for slug in ["", "-a", "a--b", "A", "ä", &"x".repeat(64), "a b"] {
        match ensure(&world, &world.service(), slug, "", &[]).await {
            Err(Error::Invalid(violations)) => assert_eq!(violations[0].field, "slug"),
            other => panic!("{slug}: {other:?}"),
        }
    }
    match ensure(&world, &world.service(), &world.slug, "", &["https://x.example"]).await {
        Err(Error::Invalid(violations)) => assert_eq!(violations[0].field, "hosts"),
        other => panic!("{other:?}"),
    }
}
