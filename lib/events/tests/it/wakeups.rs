//! Whoever listens to the database knows when something may have been missed.

use std::time::Duration;

use cs_db::{Db, DbOptions, Wakeups};
use cs_testkit::postgres;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::World;

const CHANNEL: &str = cs_events::WAKE_CHANNEL;

async fn woken(calls: &mut watch::Receiver<()>) {
    tokio::time::timeout(Duration::from_secs(60), calls.changed()).await.expect("nobody is woken").unwrap();
}

/// Waits until a call comes through: it listens.
async fn listens(world: &World, calls: &mut watch::Receiver<()>) {
    woken(calls).await;
    world.admin(&format!("SELECT pg_notify('{CHANNEL}', 'x')")).await;
    woken(calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_woken_when_the_connection_was_lost() {
    let world = World::new("wakeups_cut").await;
    let wakeups = Wakeups::default();
    let mut calls = wakeups.watch("x");
    let lane = wakeups.get("y");
    let listening = tokio::spawn(wakeups.clone().listen(world.bus_db.clone(), CHANNEL));
    listens(&world, &mut calls).await;
    lane.notified().await;
    // What is notified from here until it listens again is lost.
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(world.number(cut).await, 1);
    woken(&mut calls).await;
    tokio::time::timeout(Duration::from_secs(60), lane.notified()).await.expect("a lane sleeps on");
    listening.abort();
}

/// A way to the database that carries nothing any more, and says nothing of it, for those that took it before.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_is_asked_whether_it_is_there() {
    let world = World::new("wakeups_silent").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut url = world.url.clone();
    let there = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let forget = watch::Sender::new(());
    let forgetting = forget.clone();
    let carrying = tokio::spawn(async move {
        let mut silent = Vec::new();
        loop {
            let (mut here, _) = listener.accept().await.unwrap();
            let mut there = TcpStream::connect(&there).await.unwrap();
            let (mut forget, (gone, open)) = (forgetting.subscribe(), tokio::sync::oneshot::channel());
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                    // Neither side hears of it.
                    _ = forget.changed() => { let _ = gone.send((here, there)); }
                }
            });
            silent.push(open);
        }
    });
    let schema = "bus".to_owned();
    let options = DbOptions { url, schema, role_secret: postgres::ROLE_SECRET.to_vec(), max_connections: 2 };
    let wakeups = Wakeups::default();
    let mut calls = wakeups.watch("x");
    let quiet = Duration::from_millis(200);
    let listening = tokio::spawn(wakeups.clone().listen_asking(Db::new(&options).unwrap(), CHANNEL, quiet));
    listens(&world, &mut calls).await;
    // It was asked meanwhile, and answers: nobody is woken for nothing.
    tokio::time::sleep(quiet * 5).await;
    assert!(!calls.has_changed().unwrap());
    forget.send_replace(());
    listens(&world, &mut calls).await;
    listening.abort();
    carrying.abort();
}
