//! Saved searches: kept, followed, tried on each meeting.

use cs_core::{MeetingId, SavedSearchId, UserId};
use cs_proto::events::v1::MeetingWithdrawn;
use notifications::follow::{self, Target};
use notifications::saved_search::{self, Filter, SavedSearch, Wanted};
use notifications::{Deps, Error, retract};

use crate::support::World;

async fn save(world: &World, user: UserId, wanted: Wanted) -> Result<SavedSearch, Error> {
    let caller = world.person(user);
    let mut tx = world.tx(&caller).await;
    let saved = saved_search::save(&mut tx, &caller, &world.ids, wanted).await?;
    tx.commit().await.unwrap();
    Ok(saved)
}

fn wanted(query: &str) -> Wanted {
    Wanted { query: query.into(), follow: true, ..Wanted::default() }
}

#[tokio::test]
async fn a_meeting_that_matches_is_told_once_with_the_search_as_the_reason() {
    let world = World::start("matching").await;
    *world.places.found.lock().unwrap() =
        ["regular", "short-term", "rentals", "housing"].map(str::to_owned).to_vec();
    let (one, two, both, other): (UserId, UserId, UserId, UserId) =
        (world.ids.next(), world.ids.next(), world.ids.next(), world.ids.next());
    save(&world, one, Wanted { name: "Hosts".into(), ..wanted("short-term rentals") }).await.unwrap();
    save(&world, one, wanted("housing")).await.unwrap();
    save(&world, two, wanted("Short-Term  rentals")).await.unwrap();
    save(&world, both, wanted("rentals")).await.unwrap();
    world.follow(both, &Target::City(world.places.city)).await;
    for query in ["rentals stadium", "stadium"] {
        save(&world, other, wanted(query)).await.unwrap();
    }
    let elsewhere =
        Filter { city_ids: vec![world.ids.next::<cs_core::CityId>().to_string()], ..Filter::default() };
    save(&world, other, Wanted { filter: elsewhere, ..wanted("rentals") }).await.unwrap();
    // Kept, and not followed.
    save(&world, other, Wanted { follow: false, ..wanted("housing") }).await.unwrap();
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    // Jobs of one moment are done in any order; the followers of searches are asked for later than the others.
    world.clock.advance(chrono::TimeDelta::milliseconds(1));
    world.work().await;
    let told = world.texts("SELECT reason FROM deliveries ORDER BY reason COLLATE \"C\"").await;
    assert_eq!(
        told,
        [
            "You follow New Orleans",
            "You follow the search “Hosts” and the search “housing”",
            "You follow the search “Short-Term rentals”"
        ]
    );
    assert_eq!(world.count("search_matches").await, 3, "the same search of two is tried once");
}

/// Search may be slow or away: those who follow the city do not wait for it.
#[tokio::test]
async fn followers_of_the_city_do_not_wait_for_searches() {
    let world = World::start("slow_search").await;
    save(&world, world.ids.next(), wanted("rentals")).await.unwrap();
    world.follow(world.ids.next(), &Target::City(world.places.city)).await;
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    let worker = notifications::job_worker(&world.deps, world.clock.clone());
    while worker.step().await.unwrap() > 0 {}
    assert_eq!(world.texts("SELECT reason FROM deliveries").await, ["You follow New Orleans"]);
    assert_eq!(world.count("jobs WHERE state = 'ready' AND type = 'notification.match.requested'").await, 1);
}

#[tokio::test]
async fn a_search_that_cannot_be_read_stops_no_other() {
    let world = World::start("unreadable_search").await;
    *world.places.found.lock().unwrap() = ["regular", "rentals", "housing"].map(str::to_owned).to_vec();
    let (one, two): (UserId, UserId) = (world.ids.next(), world.ids.next());
    let minutes = Filter { artifact_kinds: vec!["minutes".into()], ..Filter::default() };
    save(&world, one, Wanted { filter: minutes, ..wanted("rentals") }).await.unwrap();
    save(&world, two, wanted("housing")).await.unwrap();
    // Kept before kinds were checked.
    let mut owner = world.owner().await;
    let old = "UPDATE notifications.saved_searches SET filter = jsonb_set(filter, '{artifact_kinds}', '[\"video\"]')
               WHERE query = 'rentals'";
    sqlx::raw_sql(old).execute(&mut owner).await.unwrap();
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    assert_eq!(world.texts("SELECT reason FROM deliveries").await, ["You follow the search “housing”"]);
    assert_eq!(world.count("jobs WHERE state = 'dead'").await, 0);
}

#[tokio::test]
async fn it_is_waited_until_the_index_has_the_meeting() {
    let world = World::start("not_yet").await;
    let user: UserId = world.ids.next();
    save(&world, user, wanted("rentals")).await.unwrap();
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    let worker = notifications::match_worker(&world.deps, world.clock.clone());
    while worker.step().await.unwrap() > 0 {}
    assert_eq!(world.count("jobs WHERE state = 'ready' AND type = 'notification.match.requested'").await, 1);
    // Search away is waited for as well.
    world.clock.advance(chrono::TimeDelta::minutes(6));
    let without = Deps { search: None, ..world.deps.clone() };
    notifications::match_worker(&without, world.clock.clone()).step().await.unwrap();
    assert_eq!(world.count("jobs WHERE state = 'ready' AND error LIKE '%--services search%'").await, 1);
    *world.places.found.lock().unwrap() = ["regular", "rentals"].map(str::to_owned).to_vec();
    world.clock.advance(chrono::TimeDelta::minutes(6));
    world.work().await;
    assert_eq!(world.count("deliveries").await, 1);
}

#[tokio::test]
async fn an_index_that_lags_for_hours_drops_no_notice() {
    let world = World::start("lagging_index").await;
    let user: UserId = world.ids.next();
    save(&world, user, wanted("rentals")).await.unwrap();
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    // One that was published without any text is never in the index, and not waited for.
    world.announce(&world.published(world.ids.next(), |event| event.text_sha256.clear())).await.unwrap();
    let worker = notifications::match_worker(&world.deps, world.clock.clone());
    for _ in 0..15 {
        while worker.step().await.unwrap() > 0 {}
        world.clock.advance(chrono::TimeDelta::minutes(10));
    }
    assert_eq!(world.count("jobs WHERE state = 'ready' AND type = 'notification.match.requested'").await, 1);
    assert_eq!(world.count("deliveries").await, 0);
    *world.places.found.lock().unwrap() = ["regular", "rentals"].map(str::to_owned).to_vec();
    world.work().await;
    assert_eq!(world.count("deliveries").await, 1);
}

#[tokio::test]
async fn a_meeting_that_was_withdrawn_meanwhile_is_not_waited_for() {
    let world = World::start("withdrawn_search").await;
    save(&world, world.ids.next(), wanted("rentals")).await.unwrap();
    let meeting: MeetingId = world.ids.next();
    world.announce(&world.published(meeting, |_| {})).await.unwrap();
    let event = MeetingWithdrawn { meeting_id: meeting.to_string(), version: 1, ..Default::default() };
    let event = world.envelope("meeting.withdrawn", &event);
    retract::withdrawn(&world.deps, &event.caller("notifications"), &event).await.unwrap();
    world.work().await;
    assert_eq!(world.count("jobs WHERE state = 'done' AND type = 'notification.match.requested'").await, 1);
}

#[tokio::test]
async fn a_search_is_its_owner_s_and_ends_with_its_follow() {
    let world = World::start("own_searches").await;
    let (user, eve): (UserId, UserId) = (world.ids.next(), world.ids.next());
    let saved = save(&world, user, Wanted { name: "  Hosts ".into(), ..wanted(" a  b ") }).await.unwrap();
    assert_eq!((saved.name.as_str(), saved.query.as_str(), saved.followed), ("Hosts", "a b", true));
    let again = save(&world, user, Wanted { name: "Other".into(), ..wanted("A b") }).await.unwrap();
    assert_eq!((again.id, again.name.as_str()), (saved.id, "Other"), "the same search gets the new name");
    let (hers, his) = (world.person(user), world.person(eve));
    let mut tx = world.tx(&his).await;
    let id = SavedSearchId::from(saved.id);
    assert!(matches!(saved_search::delete(&mut tx, &his, id).await, Err(Error::NotFound(_))));
    let foreign = follow::follow(&mut tx, &his, &world.ids, &Target::SavedSearch(id)).await;
    assert!(matches!(foreign, Err(Error::NotFound(_))));
    assert!(saved_search::list(&mut tx, &his).await.unwrap().is_empty());
    drop(tx);
    let mut tx = world.tx(&hers).await;
    let follows = follow::list(&mut tx, &hers).await.unwrap();
    assert_eq!((follows[0].saved_search, follows[0].name.as_deref()), (Some(saved.id), Some("Other")));
    saved_search::delete(&mut tx, &hers, id).await.unwrap();
    assert!(follow::list(&mut tx, &hers).await.unwrap().is_empty());
    for bad in [
        wanted("  "),
        wanted(&"x".repeat(1001)),
        Wanted { name: "x".repeat(101), ..wanted("x") },
        Wanted { filter: Filter { city_ids: vec!["boston".into()], ..Filter::default() }, ..wanted("x") },
        Wanted {
            filter: Filter { artifact_kinds: vec!["Minutes; --".into()], ..Filter::default() },
            ..wanted("x")
        },
        Wanted {
            filter: Filter { artifact_kinds: vec!["minutes".into(), "video".into()], ..Filter::default() },
            ..wanted("x")
        },
    ] {
        let refused = saved_search::save(&mut tx, &hers, &world.ids, bad.clone()).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad:?}");
    }
}
