//! What both engines do, on the real ones.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::engine::{Engine, Hash, Row, Which};
use super::seal::Sealed;
use super::{Claim, PostgresEngine, RedisEngine};

static MIGRATED: OnceCell<url::Url> = OnceCell::const_new();

async fn postgres() -> PostgresEngine {
    let secret = cs_testkit::postgres::ROLE_SECRET;
    let url = MIGRATED
        .get_or_init(|| async {
            let url = cs_testkit::postgres::database("session_engines");
            let spec = cs_db::SchemaSpec { name: "sessions", migrators: &[&crate::MIGRATOR] };
            cs_db::migrate(&url, secret, &[spec]).await.unwrap();
            url
        })
        .await;
    let options = cs_db::DbOptions {
        url: url.clone(),
        schema: "sessions".to_owned(),
        role_secret: secret.to_vec(),
        max_connections: 4,
    };
    PostgresEngine::new(options.pool("app", 4).unwrap())
}

/// Times as both engines keep them: microseconds.
fn now() -> DateTime<Utc> {
    let now = cs_core::Clock::now(&cs_core::SystemClock);
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap()
}

fn hash() -> Hash {
    let (one, two) = (id(), id());
    [one.into_bytes(), two.into_bytes()].concat().try_into().unwrap()
}

fn id() -> Uuid {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).unwrap();
    Uuid::from_bytes(bytes)
}

fn sealed(text: &str) -> Sealed {
    Sealed { key_id: "k".to_owned(), bytes: [b"\0\xff", text.as_bytes()].concat() }
}

fn row(now: DateTime<Utc>) -> Row {
    Row {
        hash: hash(),
        id: id(),
        user: id(),
        issuer: "https://id.example".to_owned(),
        subject: id().to_string(),
        sid: Some(id().to_string()),
        user_agent: None,
        created_at: now,
        last_seen_at: now,
        expires_at: now + TimeDelta::hours(1),
        ends_at: now + TimeDelta::hours(2),
        sealed: sealed("one"),
    }
}

async fn found(engine: &dyn Engine, which: Which<'_>, now: DateTime<Utc>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = engine.find(which, now).await.unwrap().into_iter().map(|row| row.id).collect();
    ids.sort();
    ids
}

async fn a_session_lives_and_ends(engine: &dyn Engine) {
    let now = now();
    let mut row = row(now);
    assert!(engine.load(&row.hash, now).await.unwrap().is_none());
    assert!(!engine.change(&row, now).await.unwrap(), "what is not there is not made by a change");
    assert!(engine.create(&row, now).await.unwrap());
    assert!(!engine.create(&row, now).await.unwrap(), "a hash is taken once");
    assert_eq!(engine.load(&row.hash, now).await.unwrap().unwrap(), row);

    row.sealed = sealed("two");
    row.ends_at = now + TimeDelta::minutes(90);
    row.last_seen_at = now + TimeDelta::minutes(1);
    assert!(engine.change(&row, now).await.unwrap());
    assert_eq!(engine.load(&row.hash, now).await.unwrap().unwrap(), row);

    let seen = Row { last_seen_at: now + TimeDelta::minutes(5), sealed: sealed("old"), ..row.clone() };
    engine.touch(&seen, now).await.unwrap();
    let kept = engine.load(&row.hash, now).await.unwrap().unwrap();
    assert_eq!((kept.last_seen_at, &kept.sealed), (seen.last_seen_at, &row.sealed), "only the times");

    assert!(engine.load(&row.hash, row.expires_at).await.unwrap().is_none(), "idle");
    assert!(found(engine, Which::Named(row.id), row.expires_at).await.is_empty());
    assert!(engine.remove(&row.hash).await.unwrap());
    assert!(!engine.remove(&row.hash).await.unwrap());
    assert!(!engine.change(&row, now).await.unwrap(), "what is over stays over");
    engine.touch(&row, now).await.unwrap();
    assert!(engine.load(&row.hash, now).await.unwrap().is_none());
}

async fn sessions_are_found(engine: &dyn Engine) {
    let now = now();
    let one = row(now);
    let two = Row { hash: hash(), id: id(), sid: Some(id().to_string()), ..one.clone() };
    let linked = Row { subject: id().to_string(), sid: None, ..Row { user: one.user, ..row(now) } };
    let other = Row {
        subject: one.subject.clone(),
        sid: one.sid.clone(),
        issuer: "https://other".into(),
        ..row(now)
    };
    for row in [&one, &two, &linked, &other] {
        assert!(engine.create(row, now).await.unwrap());
    }
    let sorted = |mut ids: Vec<Uuid>| {
        ids.sort();
        ids
    };
    let (issuer, subject, sid) = (&*one.issuer, &*one.subject, one.sid.as_deref().unwrap());
    assert_eq!(found(engine, Which::Named(two.id), now).await, [two.id]);
    assert_eq!(found(engine, Which::Of(one.user), now).await, sorted(vec![one.id, two.id, linked.id]));
    assert_eq!(found(engine, Which::Subject { issuer, subject }, now).await, sorted(vec![one.id, two.id]));
    assert_eq!(found(engine, Which::Sid { issuer, sid }, now).await, [one.id]);
    engine.remove(&one.hash).await.unwrap();
    assert!(found(engine, Which::Sid { issuer, sid }, now).await.is_empty());
    assert_eq!(found(engine, Which::Subject { issuer, subject }, now).await, [two.id]);
    assert!(found(engine, Which::Named(id()), now).await.is_empty());
}

async fn one_renews_at_a_time(engine: &dyn Engine) {
    let now = now();
    let row = row(now);
    let until = now + TimeDelta::seconds(30);
    assert!(!engine.lease(&row.hash, id(), until, now).await.unwrap(), "of no session");
    engine.create(&row, now).await.unwrap();
    let tries = (0..20).map(|_| async { engine.lease(&row.hash, id(), until, now).await.unwrap() });
    let taken = futures::future::join_all(tries).await.into_iter().filter(|taken| *taken).count();
    assert_eq!(taken, 1);
    engine.release(&row.hash, id()).await.unwrap();
    assert!(!engine.lease(&row.hash, id(), until, now).await.unwrap(), "another's release frees nothing");
    assert!(engine.load(&row.hash, now).await.unwrap().is_some());

    let other = Row { ..self::row(now) };
    engine.create(&other, now).await.unwrap();
    let holder = id();
    assert!(engine.lease(&other.hash, holder, until, now).await.unwrap());
    engine.release(&other.hash, holder).await.unwrap();
    assert!(engine.lease(&other.hash, id(), now + TimeDelta::milliseconds(30), now).await.unwrap());
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    let later = now + TimeDelta::milliseconds(60);
    assert!(engine.lease(&other.hash, id(), until, later).await.unwrap(), "it had run out");
}

async fn a_sign_in_is_taken_once(engine: &dyn Engine) {
    let now = now();
    let (state, browser, until) = (hash(), hash(), now + TimeDelta::minutes(10));
    engine.begin(&state, &browser, &sealed("x"), until, now).await.unwrap();
    assert!(engine.take(&state, &hash(), now).await.unwrap().is_none(), "another browser");
    assert_eq!(engine.take(&state, &browser, now).await.unwrap(), Some(sealed("x")));
    assert!(engine.take(&state, &browser, now).await.unwrap().is_none(), "a second time");
    engine.begin(&state, &browser, &sealed("y"), until, now).await.unwrap();
    assert!(engine.take(&state, &browser, until).await.unwrap().is_none(), "too late");
}

async fn what_came_is_remembered(engine: &dyn Engine) {
    let (now, what) = (now(), hash());
    let until = now + TimeDelta::minutes(2);
    assert!(engine.remember(&what, until, now).await.unwrap());
    assert!(!engine.remember(&what, until, now).await.unwrap());
    engine.forget(&what).await.unwrap();
    assert!(engine.remember(&what, until, now).await.unwrap());
}

async fn an_answer_is_repeated(engine: &dyn Engine) {
    let (now, user, one, two) = (now(), id(), hash(), hash());
    let until = now + TimeDelta::minutes(1);
    assert_eq!(engine.claim(user, "a:b", &one, until, now).await.unwrap(), Claim::New);
    assert_eq!(engine.claim(user, "a:b", &one, until, now).await.unwrap(), Claim::UnderWay);
    assert_eq!(engine.claim(user, "a:b", &two, until, now).await.unwrap(), Claim::Misused);
    assert_eq!(engine.claim(id(), "a:b", &two, until, now).await.unwrap(), Claim::New, "another person's");
    let answer = json!({"done": "caf\u{e9} \" {}", "n": [1, null]});
    engine.answer(user, "a:b", &answer, now + TimeDelta::days(1), now).await.unwrap();
    engine.unclaim(user, "a:b").await.unwrap();
    assert_eq!(engine.claim(user, "a:b", &one, until, now).await.unwrap(), Claim::Answered(answer));
    engine.forget_answers(id()).await.unwrap();
    assert!(matches!(engine.claim(user, "a:b", &one, until, now).await.unwrap(), Claim::Answered(_)));
    engine.forget_answers(user).await.unwrap();
    engine.forget_answers(user).await.unwrap();
    assert_eq!(engine.claim(user, "a:b", &two, until, now).await.unwrap(), Claim::New, "forgotten");
    engine.claim(user, "c", &one, until, now).await.unwrap();
    engine.unclaim(user, "c").await.unwrap();
    assert_eq!(engine.claim(user, "c", &two, until, now).await.unwrap(), Claim::New);
}

async fn all(engine: &dyn Engine) {
    engine.ping().await.unwrap();
    a_session_lives_and_ends(engine).await;
    sessions_are_found(engine).await;
    one_renews_at_a_time(engine).await;
    a_sign_in_is_taken_once(engine).await;
    what_came_is_remembered(engine).await;
    an_answer_is_repeated(engine).await;
    engine.sweep(now()).await.unwrap();
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    let engine = postgres().await;
    all(&engine).await;
    let row = row(now());
    engine.create(&row, row.created_at).await.unwrap();
    assert!(engine.sweep(row.expires_at).await.unwrap() >= 1);
    assert!(!engine.remove(&row.hash).await.unwrap(), "swept");
}

#[tokio::test]
async fn redis_keeps_the_contract_and_comes_back() {
    let Some(mut server) = cs_testkit::redis::Redis::start() else { return };
    let engine = RedisEngine::new(&server.url(), "test:").unwrap();
    all(&engine).await;
    let now = now();
    let row = row(now);
    engine.create(&row, now).await.unwrap();
    server.kill();
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        assert!(engine.load(&row.hash, now).await.is_err(), "away is an error, not nobody");
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "bounded: {:?}", began.elapsed());
    server.run();
    let mut back = None;
    for _ in 0..50 {
        if let Ok(found) = engine.load(&row.hash, now).await {
            back = found;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(back.unwrap(), row, "by itself, with what it held");
    // Nothing stays for ever.
    let mut connection =
        redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!(left > 0, "{key} has no end");
    }
}
