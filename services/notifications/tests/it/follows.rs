//! Follows, home cities and preferences.

use chrono::TimeDelta;
use cs_core::{CityId, FollowId, Subject, UserId};
use cs_proto::errors::v1::Reason;
use cs_proto::notifications::v1 as pb;
use cs_proto::notifications::v1::notifications_server::Notifications;
use cs_rpc::Failure;
use notifications::follow::{self, Target};
use notifications::preferences::{self, Change};
use notifications::{Error, NotificationsService};
use tonic::Request;

use crate::support::World;

/// Kind, origin and target of a person's follows.
async fn follows(world: &World, user: UserId) -> Vec<(String, String, String)> {
    let caller = world.person(user);
    let found = follow::list(&mut world.tx(&caller).await, &caller).await.unwrap();
    found.into_iter().map(|f| (f.kind, f.origin, f.target_id)).collect()
}

fn city(origin: &str, city: CityId) -> (String, String, String) {
    ("city".to_owned(), origin.to_owned(), city.to_string())
}

#[tokio::test]
async fn a_home_city_is_a_follow_that_moves_along() {
    let world = World::start("home_moves").await;
    let user: UserId = world.ids.next();
    let (one, two): (CityId, CityId) = (world.ids.next(), world.ids.next());
    let first = world.move_home(user, Some(one), 1).await;
    assert_eq!(follows(&world, user).await, [city("home_city", one)]);
    world.move_home(user, Some(two), 3).await;
    // The event before the last comes late, and the first a second time.
    world.move_home(user, Some(one), 2).await;
    world.moved(&first).await;
    assert_eq!(follows(&world, user).await, [city("home_city", two)]);
    world.move_home(user, None, 4).await;
    assert_eq!(follows(&world, user).await, []);
}

#[tokio::test]
async fn what_a_resident_follows_outlives_a_move() {
    let world = World::start("own_follow_stays").await;
    let user: UserId = world.ids.next();
    let (one, two): (CityId, CityId) = (world.ids.next(), world.ids.next());
    world.move_home(user, Some(one), 1).await;
    world.follow(user, &Target::City(one)).await;
    assert_eq!(follows(&world, user).await, [city("resident", one)], "one follow, now the resident's own");
    // The list is in the order of the ids, which is that of the clock.
    world.clock.advance(TimeDelta::milliseconds(1));
    world.follow(user, &Target::City(two)).await;
    world.move_home(user, Some(two), 2).await;
    world.move_home(user, None, 3).await;
    assert_eq!(follows(&world, user).await, [city("resident", one), city("resident", two)]);
}

fn request<T>(world: &World, user: UserId, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(world.person(user));
    request
}

#[tokio::test]
async fn following_twice_is_one_follow_and_what_does_not_exist_cannot_be_followed() {
    let world = World::start("following").await;
    let (user, eve): (UserId, UserId) = (world.ids.next(), world.ids.next());
    let service = NotificationsService::new(world.deps.clone());
    let ask = |kind: &str, target_id: String| {
        let message = pb::FollowRequest { kind: kind.to_owned(), target_id, ..Default::default() };
        service.follow(request(&world, user, message))
    };
    let (known_city, known_body) = (world.places.city.to_string(), world.places.body.to_string());
    let one = ask("city", known_city.clone()).await.unwrap().into_inner().follow.unwrap();
    let same = ask("city", known_city).await.unwrap().into_inner().follow.unwrap();
    assert_eq!(one, same);
    ask("body", known_body).await.unwrap();
    ask("topic", "housing".into()).await.unwrap();
    let nowhere = world.ids.next::<CityId>().to_string();
    for (kind, target, reason) in [
        ("city", nowhere.clone(), Reason::UnknownCity),
        ("body", nowhere, Reason::InvalidArgument),
        ("topic", "Not a topic".into(), Reason::InvalidArgument),
        ("saga", "x".into(), Reason::InvalidArgument),
    ] {
        let failure = Failure::from(&ask(kind, target).await.unwrap_err());
        assert_eq!(failure.reason, reason, "{kind}");
        assert!(!failure.fields.is_empty(), "{kind}");
    }

    // Another person's follow does not exist for anybody else.
    let foreign = service.unfollow(request(&world, eve, pb::UnfollowRequest { id: one.id.clone() })).await;
    assert_eq!(Failure::from(&foreign.unwrap_err()).reason, Reason::NotFound);
    assert_eq!(follows(&world, user).await.len(), 3);
    service.unfollow(request(&world, user, pb::UnfollowRequest { id: one.id.clone() })).await.unwrap();
    let again = service.unfollow(request(&world, user, pb::UnfollowRequest { id: one.id })).await;
    assert_eq!(Failure::from(&again.unwrap_err()).reason, Reason::NotFound);
    assert_eq!(follows(&world, user).await.len(), 2);
}

#[tokio::test]
async fn nobody_follows_without_end() {
    let world = World::start("many_follows").await;
    let user: UserId = world.ids.next();
    let caller = world.person(user);
    let mut tx = world.tx(&caller).await;
    for n in 0..500 {
        follow::follow(&mut tx, &caller, &world.ids, &Target::Topic(format!("t{n}"))).await.unwrap();
    }
    follow::follow(&mut tx, &caller, &world.ids, &Target::Topic("t7".into())).await.unwrap();
    let one_too_many = follow::follow(&mut tx, &caller, &world.ids, &Target::Topic("more".into())).await;
    assert!(matches!(one_too_many, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn preferences_change_field_by_field() {
    let world = World::start("preferences").await;
    let user: UserId = world.ids.next();
    let caller = world.person(user);
    let mut tx = world.tx(&caller).await;
    let usual = preferences::get(&mut tx, &caller).await.unwrap();
    assert_eq!(
        (usual.enabled, usual.pause_until, usual.channels.as_slice()),
        (true, None, &["in_app".to_owned()][..])
    );
    let until = world.now() + TimeDelta::days(1);
    let pause = Change { pause_until: Some(Some(until)), ..Default::default() };
    preferences::update(&mut tx, &caller, &world.deps, &pause).await.unwrap();
    let off = Change { enabled: Some(false), ..Default::default() };
    let kept = preferences::update(&mut tx, &caller, &world.deps, &off).await.unwrap();
    assert_eq!((kept.enabled, kept.pause_until), (false, Some(until)));
    let on = Change { pause_until: Some(None), enabled: Some(true), ..Default::default() };
    let kept = preferences::update(&mut tx, &caller, &world.deps, &on).await.unwrap();
    assert_eq!((kept.enabled, kept.pause_until), (true, None));
    let past = Change { pause_until: Some(Some(world.now())), ..Default::default() };
    assert!(matches!(
        preferences::update(&mut tx, &caller, &world.deps, &past).await,
        Err(Error::Invalid(_))
    ));
    assert_eq!(preferences::get(&mut tx, &caller).await.unwrap(), usual);
    let anonymous = cs_core::Caller { subject: Subject::Anonymous, ..world.service() };
    for caller in [anonymous, world.service()] {
        assert!(matches!(preferences::get(&mut tx, &caller).await, Err(Error::Denied(_))), "{caller:?}");
        let unfollowed = follow::unfollow(&mut tx, &caller, world.ids.next::<FollowId>()).await;
        assert!(matches!(unfollowed, Err(Error::Denied(_))));
    }
}
