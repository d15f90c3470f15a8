//! The inbox as it is read: pages, and the stream that misses nothing.

use std::time::Duration;

use cs_core::{Caller, UserId};
use cs_proto::common::v1::PageRequest;
use cs_proto::errors::v1::Reason;
use cs_proto::notifications::v1 as pb;
use cs_proto::notifications::v1::notifications_server::Notifications;
use cs_rpc::{Failure, Tasks};
use futures::{Stream, StreamExt};
use notifications::NotificationsService;
use notifications::follow::Target;
use notifications::preferences::Change;
use tonic::{Request, Status};

use crate::support::{World, until};

fn request<T>(caller: &Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

async fn follower(world: &World) -> Caller {
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    world.person(user)
}

type Watched = Result<pb::WatchInboxResponse, Status>;

async fn watch(
    service: &NotificationsService,
    caller: &Caller,
    after: &str,
) -> impl Stream<Item = Watched> + Unpin + use<> {
    let message = pb::WatchInboxRequest { after: after.to_owned() };
    let mut stream = service.watch_inbox(request(caller, message)).await.unwrap().into_inner();
    let opened = stream.next().await.unwrap().unwrap();
    assert!(
        opened.notification.is_none() && (after.is_empty() || opened.cursor == after),
        "first, where it stands"
    );
    stream
}

async fn next(stream: &mut (impl Stream<Item = Watched> + Unpin)) -> pb::WatchInboxResponse {
    let soon = tokio::time::timeout(Duration::from_secs(10), stream.next());
    soon.await.expect("a notification in time").expect("the stream goes on").unwrap()
}

#[tokio::test]
async fn pages_go_both_ways_and_stand_still_under_inserts() {
    let world = World::start("pages").await;
    let caller = follower(&world).await;
    let service = NotificationsService::new(world.deps.clone());
    for _ in 0..5 {
        world.publish(world.ids.next()).await;
    }
    let list = async |page: PageRequest| {
        let message = pb::ListNotificationsRequest { page: Some(page), unread_only: false };
        service.list_notifications(request(&caller, message)).await.map(tonic::Response::into_inner)
    };
    let ids = |answer: &pb::ListNotificationsResponse| -> Vec<String> {
        answer.notifications.iter().map(|n| n.meeting_id.clone()).collect()
    };
    let all = list(PageRequest::default()).await.unwrap();
    assert_eq!((all.notifications.len(), all.unread_count), (5, 5));
    let first = list(PageRequest { first: 2, ..Default::default() }).await.unwrap();
    assert_eq!(ids(&first), ids(&all)[..2]);
    let info = first.page_info.clone().unwrap();
    assert!(info.has_next_page && !info.has_previous_page);
    // A newer one moves nothing.
    world.publish(world.ids.next()).await;
    let after = PageRequest { first: 2, after: info.end_cursor, ..Default::default() };
    let second = list(after).await.unwrap();
    assert_eq!(ids(&second), ids(&all)[2..4]);
    let start = second.page_info.clone().unwrap().start_cursor;
    let back = list(PageRequest { last: 2, before: start, ..Default::default() }).await.unwrap();
    assert_eq!(ids(&back), ids(&first));
    assert!(back.page_info.clone().unwrap().has_previous_page, "the newer one");
    let rubbish = list(PageRequest { after: "rubbish".into(), ..Default::default() }).await.unwrap_err();
    assert_eq!(Failure::from(&rubbish).reason, Reason::InvalidCursor);
    let huge = list(PageRequest { first: 101, ..Default::default() }).await.unwrap_err();
    assert_eq!(Failure::from(&huge).reason, Reason::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_each_notification_once_in_order_and_resumes() {
    let world = World::start("watching").await;
    let (caller, other) = (follower(&world).await, follower(&world).await);
    let service = NotificationsService::new(world.deps.clone());
    world.publish(world.ids.next()).await;
    let mut stream = watch(&service, &caller, "").await;
    let tasks = Tasks::default();
    let wakeups = world.deps.wakeups.clone();
    let listening = tokio::spawn(wakeups.clone().listen(world.deps.db.clone(), cs_events::WAKE_CHANNEL));
    world.sender(vec![]).run(&tasks, &wakeups);
    let mut meetings = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let meeting = world.ids.next();
        world.announce(&world.published(meeting, |_| {})).await.unwrap();
        world.work().await;
        let seen = next(&mut stream).await;
        let notification = seen.notification.unwrap();
        assert_eq!(notification.meeting_id, meeting.to_string(), "what was there before is not repeated");
        assert_eq!(notification.reason, "You follow New Orleans");
        meetings.push(notification.meeting_id);
        if cursor.is_empty() {
            cursor = seen.cursor;
        }
    }
    // Back after the first: the other two, and then those to come.
    let mut resumed = watch(&service, &caller, &cursor).await;
    for meeting in &meetings[1..] {
        assert_eq!(next(&mut resumed).await.notification.unwrap().meeting_id, *meeting);
    }
    let nothing = tokio::time::timeout(Duration::from_millis(200), resumed.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    // The other follower got three of their own and none of these.
    let mut theirs = watch(&service, &other, &cursor).await;
    let first = next(&mut theirs).await.notification.unwrap();
    let mut own = watch(&service, &caller, &cursor).await;
    assert_ne!(first.id, next(&mut own).await.notification.unwrap().id);
    let anonymous = Caller { subject: cs_core::Subject::Anonymous, ..world.service() };
    let refused = service.watch_inbox(request(&anonymous, pb::WatchInboxRequest::default())).await;
    assert_eq!(Failure::from(&refused.err().unwrap()).reason, Reason::Unauthenticated);
    assert!(tasks.drain(Duration::from_secs(5)).await, "the sender drains");
    listening.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_commits_late_hides_nothing_from_a_watcher() {
    let world = World::start("late_commit").await;
    let caller = follower(&world).await;
    let service = NotificationsService::new(world.deps.clone());
    let mut stream = watch(&service, &caller, "").await;
    let by_mail = Change { channels: Some(vec!["in_app".into(), "email".into()]), ..Default::default() };
    world.prefer(caller.user().unwrap(), &by_mail).await;
    for _ in 0..2 {
        world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    }
    world.work().await;
    // Another transaction makes a message of the batch and does not end, so that the slow sender has given places in the
    // inbox and cannot commit them.
    let mut owner = world.owner().await;
    sqlx::raw_sql(
        "BEGIN; INSERT INTO notifications.messages (id, tenant_id, user_id, channel, dedupe_key, lane, state, due_at, traceparent, created_at)
         SELECT gen_random_uuid(), tenant_id, user_id, 'email', dedupe_key, 'email', 'pending', now(), '', now()
         FROM notifications.deliveries ORDER BY id DESC LIMIT 1",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let mut looking = world.owner().await;
    let mut blocked = async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut looking).await.unwrap()
    };
    let slow = world.sender(vec![]);
    let slow = tokio::spawn(async move { slow.step().await });
    until("the slow one waits for the other transaction", async || blocked().await == 1).await;
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    let sender = world.sender(vec![]);
    let quick = tokio::spawn(async move { sender.step().await });
    until("the quick one waits too, or is done", async || blocked().await == 2 || quick.is_finished()).await;
    // Were the later place visible now, the watcher's cursor would pass the earlier ones.
    assert!(!quick.is_finished(), "a later place was committed before the earlier ones");
    sqlx::raw_sql("ROLLBACK").execute(&mut owner).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(next(&mut stream).await.notification.unwrap().id);
    }
    assert_eq!((slow.await.unwrap().unwrap(), quick.await.unwrap().unwrap()), (2, 1));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_stream_ends_by_itself_after_what_is_there() {
    let world = World::start("stream_life").await;
    let caller = follower(&world).await;
    world.publish(world.ids.next()).await;
    let life = Duration::from_millis(300);
    let service = NotificationsService::new(world.deps.clone()).with_stream_life(life);
    let began = std::time::Instant::now();
    let seen: Vec<_> = watch(&service, &caller, &cs_core::page::encode_cursor(&0)).await.collect().await;
    assert_eq!(seen.len(), 1);
    assert!(seen[0].is_ok() && began.elapsed() >= life);
}
