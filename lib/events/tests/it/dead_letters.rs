//! What an operator can do with dead letters, and that it is written down.

use std::sync::Arc;

use cs_core::{Caller, Role, Subject, TenantId, Trace};
use cs_events::{Bus, DeadLetterPart, DeadLetters, Ledger, PostgresBus, Relay, outbox};
use cs_events::{gauges, jobs};
use cs_proto::ops::v1 as pb;
use cs_proto::ops::v1::dead_letters_server::DeadLetters as Service;
use tonic::{Code, Request};

use crate::support::{SCHEMA, World};

struct Desk {
    world: World,
    bus: Arc<dyn Bus>,
    letters: DeadLetters,
}

impl Desk {
    async fn new(name: &str) -> Self {
        let world = World::new(name).await;
        let bus: Arc<dyn Bus> = Arc::new(PostgresBus::new(world.bus_db.clone(), world.clock.clone()));
        bus.subscribe("q", &["a", "b"]).await.unwrap();
        let parts = vec![DeadLetterPart { db: Some(world.db.clone()), queue: "q".to_owned() }];
        let ledger = Ledger::new(world.bus_db.clone(), world.ids.clone());
        let letters = DeadLetters::new(parts, bus.clone(), ledger, world.clock.clone());
        Self { world, bus, letters }
    }

    fn ask<T>(&self, message: T) -> Request<T> {
        self.ask_in(self.world.tenant, message)
    }

    fn ask_in<T>(&self, tenant: TenantId, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(Caller {
            subject: Subject::Operator("olga".to_owned()),
            roles: [Role::Operator].into(),
            ..Caller::service("test", tenant, Trace::start())
        });
        request
    }

    /// Dead letters of a queue and of jobs.
    async fn bury(&self, kinds: &[&str]) {
        let sent: Vec<_> = kinds.iter().map(|kind| self.world.envelope(kind, "city")).collect();
        self.bus.publish(&sent).await.unwrap();
        for delivery in self.bus.receive("q", 100, std::time::Duration::from_secs(30)).await.unwrap() {
            self.bus.bury(&delivery, "first cause: second cause").await.unwrap();
        }
        let mut tx = self.world.db.tenant(&self.world.caller()).await.unwrap();
        for kind in kinds {
            jobs::put(&mut tx, &self.world.envelope(kind, "city")).await.unwrap();
        }
        tx.commit().await.unwrap();
        self.world
            .admin("UPDATE toy.jobs SET state = 'dead', error = 'the job failed', attempt = 3, finished_at = now() WHERE state = 'ready'")
            .await;
    }

    async fn list(&self, kind: &str) -> Vec<pb::DeadLetter> {
        let request = pb::ListDeadLettersRequest { r#type: kind.to_owned(), ..Default::default() };
        self.letters.list_dead_letters(self.ask(request)).await.unwrap().into_inner().dead_letters
    }

    async fn replay(&self, ids: Vec<String>, kind: &str, all: bool) -> Vec<String> {
        let request = pb::ReplayDeadLettersRequest { ids, r#type: kind.to_owned(), all };
        self.letters.replay_dead_letters(self.ask(request)).await.unwrap().into_inner().ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_listed_shown_replayed_and_discarded() {
    let desk = Desk::new("letters").await;
    desk.bury(&["a", "a", "b"]).await;
    assert_eq!(desk.list("").await.len(), 6);
    let cut = async |first| {
        let request = pb::ListDeadLettersRequest { first, ..Default::default() };
        let page = desk.letters.list_dead_letters(desk.ask(request)).await.unwrap().into_inner();
        (page.dead_letters.len(), page.more)
    };
    assert_eq!((cut(5).await, cut(6).await), ((5, true), (6, false)));
    let listed = desk.list("b").await;
    assert_eq!(
        listed.iter().map(|l| l.origin.as_str()).collect::<std::collections::BTreeSet<_>>(),
        ["job", "queue"].into()
    );
    let queued = listed.iter().find(|l| l.origin == "queue").unwrap();
    let request = pb::GetDeadLetterRequest { id: queued.id.clone() };
    let shown =
        desk.letters.get_dead_letter(desk.ask(request)).await.unwrap().into_inner().dead_letter.unwrap();
    assert_eq!(shown.error, "first cause: second cause");
    assert!(shown.payload.contains("city") && shown.attempts == 1 && shown.traceparent.starts_with("00-"));
    assert_eq!((shown.place.as_str(), shown.queue.as_str()), ("q", "q"));

    // One, then the same again: nothing more happens.
    assert_eq!(desk.replay(vec![queued.id.clone()], "", false).await, [queued.id.as_str()]);
    assert!(desk.replay(vec![queued.id.clone()], "", false).await.is_empty());
    let many = pb::ReplayDeadLettersRequest { ids: vec![queued.id.clone(); 501], ..Default::default() };
    let refused = desk.letters.replay_dead_letters(desk.ask(many)).await.unwrap_err();
    assert_eq!(
        (refused.code(), cs_rpc::Failure::from(&refused).fields[0].field.as_str()),
        (Code::InvalidArgument, "ids")
    );
    // All of a type, of jobs and queues alike.
    assert_eq!(desk.replay(Vec::new(), "a", false).await.len(), 4);
    let left = desk.list("").await;
    assert_eq!(left.len(), 1);
    // Which must be said.
    let nothing = desk.letters.replay_dead_letters(desk.ask(pb::ReplayDeadLettersRequest::default())).await;
    assert_eq!(nothing.unwrap_err().code(), Code::InvalidArgument);

    let discard =
        |reason: &str| pb::DiscardDeadLetterRequest { id: left[0].id.clone(), reason: reason.to_owned() };
    let silent = desk.letters.discard_dead_letter(desk.ask(discard(" "))).await;
    assert_eq!(silent.unwrap_err().code(), Code::InvalidArgument);
    desk.letters.discard_dead_letter(desk.ask(discard("a test's own"))).await.unwrap();
    assert!(desk.list("").await.is_empty());
    let gone = desk.letters.discard_dead_letter(desk.ask(discard("again"))).await;
    assert_eq!(gone.unwrap_err().code(), Code::NotFound);

    // Who did what is kept, and cannot be changed.
    let request = desk.ask(pb::ListInterventionsRequest { first: 0 });
    let done = desk.letters.list_interventions(request).await.unwrap().into_inner().interventions;
    assert_eq!(done.len(), 6);
    assert!(done.iter().all(|i| i.actor == "operator:olga"));
    assert_eq!((done[0].action.as_str(), done[0].reason.as_str()), ("discard", "a test's own"));
    let mut connection =
        <sqlx::PgConnection as sqlx::Connection>::connect(desk.world.url.as_str()).await.unwrap();
    let refused = sqlx::raw_sql("DELETE FROM bus.interventions").execute(&mut connection).await.unwrap_err();
    assert!(refused.to_string().contains("append-only"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_is_counted_wherever_it_lies() {
    let desk = Desk::new("letters_counted").await;
    desk.bury(&["a", "b"]).await;
    let world = &desk.world;
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    jobs::put(&mut tx, &world.envelope("a", "city")).await.unwrap();
    tx.commit().await.unwrap();
    world
        .admin(
            "CREATE FUNCTION toy.count_beside() RETURNS bigint LANGUAGE sql AS 'SELECT 3::bigint';
             UPDATE toy.jobs SET run_at = '2026-01-01T00:00:00Z' WHERE state = 'ready'",
        )
        .await;
    let now = "2026-01-01T00:01:40Z".parse().unwrap();
    let behind = gauges::behind(&world.db, now).await.unwrap();
    assert_eq!((behind.jobs, behind.jobs_lag, behind.dead_jobs, behind.dead_beside), (1, 100.0, 2, 3));
    let backlog = desk.letters.get_backlog(desk.ask(pb::GetBacklogRequest {})).await.unwrap().into_inner();
    assert_eq!((backlog.jobs, backlog.dead), (1, 2 + 2 + 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_read_to_its_end_by_cursors() {
    let desk = Desk::new("letters_pages").await;
    // The same event given up by its queue and as a job: two letters of one id.
    desk.bury(&["a", "b", "b"]).await;
    desk.world
        .admin(
            "UPDATE toy.jobs SET finished_at = m.dead_at, id = m.event_id FROM bus.messages m WHERE m.type = 'a' AND toy.jobs.type = 'a';
             INSERT INTO toy.jobs (id, tenant_id, type, idempotency_key, envelope, state, run_at, created_at, finished_at, error, attempt)
             SELECT gen_random_uuid(), tenant_id, type, gen_random_uuid()::text, envelope, 'dead', now(), now(),
                    finished_at - n / 3 * interval '1 ms', 'e', 1
             FROM toy.jobs, generate_series(1, 400) n WHERE type = 'b'",
        )
        .await;
    let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = pb::ListDeadLettersRequest { first: 97, after, ..Default::default() };
        let page = desk.letters.list_dead_letters(desk.ask(request)).await.unwrap().into_inner();
        assert_eq!(page.dead_letters.len(), page.cursors.len());
        seen.extend(page.dead_letters.into_iter().map(|l| (l.failed_at, l.origin, l.id)));
        pages += 1;
        if !page.more {
            break;
        }
        after = page.cursors.last().unwrap().clone();
        assert!(pages < 20, "it ends");
    }
    assert_eq!(seen.len(), 806, "more than one answer can hold");
    assert!(seen.is_sorted_by(|one, other| one.0 >= other.0), "newest first");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 806, "each once");
    let request = pb::ListDeadLettersRequest { after: "elsewhere".to_owned(), ..Default::default() };
    let refused = desk.letters.list_dead_letters(desk.ask(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_and_whoever_is_no_operator_get_nothing() {
    let desk = Desk::new("letters_closed").await;
    desk.bury(&["a"]).await;
    let id = desk.list("").await[0].id.clone();
    let elsewhere = TenantId::of_slug("elsewhere");
    let request = desk.ask_in(elsewhere, pb::ListDeadLettersRequest::default());
    assert!(desk.letters.list_dead_letters(request).await.unwrap().into_inner().dead_letters.is_empty());
    let request = desk.ask_in(elsewhere, pb::GetDeadLetterRequest { id: id.clone() });
    assert_eq!(desk.letters.get_dead_letter(request).await.unwrap_err().code(), Code::NotFound);
    let mut request = desk.ask(pb::ReplayDeadLetterRequest { id });
    let resident = Caller {
        subject: Subject::User(desk.world.ids.next()),
        roles: [Role::Reviewer].into(),
        ..desk.world.caller()
    };
    request.extensions_mut().insert(resident);
    assert_eq!(desk.letters.replay_dead_letter(request).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_is_sent_to_one_queue_again() {
    let desk = Desk::new("letters_outbox").await;
    desk.bus.subscribe("other", &["a"]).await.unwrap();
    let put = async |kind: &str| {
        let envelope = desk.world.envelope(kind, "city");
        let mut tx = desk.world.db.tenant(&desk.world.caller()).await.unwrap();
        outbox::put(&mut tx, &envelope).await.unwrap();
        tx.commit().await.unwrap();
        let relay = Relay::new(SCHEMA, desk.world.db.clone(), desk.bus.clone(), desk.world.clock.clone());
        assert_eq!(relay.step().await.unwrap(), 1);
        envelope.id
    };
    put("a").await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let since = desk.world.clock.now().to_rfc3339();
    let wanted = [put("a").await, put("b").await, put("a").await];
    for queue in ["q", "other"] {
        let taken = desk.bus.receive(queue, 100, std::time::Duration::from_secs(30)).await.unwrap();
        desk.bus.done(&taken).await.unwrap();
    }
    let replay = async |kind: &str, queue: &str| {
        let request =
            pb::ReplayOutboxRequest { since: since.clone(), r#type: kind.into(), queue: queue.into() };
        desk.letters.replay_outbox(desk.ask(request)).await.map(|answer| answer.into_inner().facts)
    };
    assert_eq!(replay("", "q").await.unwrap(), 3);
    let again = desk.bus.receive("q", 100, std::time::Duration::from_secs(30)).await.unwrap();
    let again: Vec<_> = again.iter().map(|d| d.envelope.as_ref().unwrap().id).collect();
    assert_eq!(again, wanted, "oldest first");
    assert_eq!(desk.bus.count("other").await.unwrap(), (0, 0), "no other queue gets anything");
    assert_eq!(replay("a", "other").await.unwrap(), 2);
    assert_eq!(replay("", "nowhere").await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_all_ends_though_everything_dies_again() {
    let desk = Desk::new("letters_again").await;
    for _ in 0..6 {
        let sent: Vec<_> = (0..100).map(|_| desk.world.envelope("a", "city")).collect();
        desk.bus.publish(&sent).await.unwrap();
    }
    let bus = desk.bus.clone();
    let die = async move |until: usize| {
        let mut died = 0;
        while died < until {
            let taken = bus.receive("q", 100, std::time::Duration::from_secs(30)).await.unwrap();
            died += taken.len();
            for delivery in taken {
                bus.bury(&delivery, "again").await.unwrap();
            }
        }
    };
    die(600).await;
    let dying = tokio::spawn(async move { die(usize::MAX).await });
    let replayed =
        tokio::time::timeout(std::time::Duration::from_secs(60), desk.replay(Vec::new(), "", true));
    assert_eq!(replayed.await.expect("it ends").len(), 600);
    dying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_changes_sides_is_waited_for() {
    let world = World::new("transient").await;
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(world.url.as_str()).await.unwrap();
    for (code, passes) in [
        ("25006", true),
        ("25P03", true),
        ("25P04", true),
        ("57P01", true),
        ("25001", false),
        ("42P01", false),
    ] {
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$");
        let error = sqlx::raw_sql(sqlx::AssertSqlSafe(raise)).execute(&mut connection).await.unwrap_err();
        assert_eq!(cs_db::DbError::from(error).is_transient(), passes, "{code}");
    }
}
