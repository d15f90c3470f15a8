//! Nothing lost, nothing twice: workers, relays and servers are killed at random, connections to the database, to the bus and
//! between services are cut, reset, stalled and starved, messages are duplicated and reordered, while meetings come in;
//! afterwards every meeting is in a terminal state with one current version and is found by search, every follower was told
//! once, by every channel they chose, the outboxes are empty, and every dead letter is explained. Once on the embedded bus,
//! and once on SNS and SQS.
//!
//! `COUNCILSENSE_CHAOS=long` is `just chaos`: 500 meetings and 10,000 followers. `COUNCILSENSE_CHAOS_BUS=postgres` or `sns`
//! runs one of the two, `COUNCILSENSE_CHAOS_SEED` repeats a run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod door;
mod end;
mod monkey;
mod outside;
mod rest;
mod servers;
mod world;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;

use monkey::Monkey;
use world::{Plan, World};

fn plan(sns: bool) -> Option<Plan> {
    #[expect(clippy::disallowed_methods, reason = "a test's own switches")]
    let said = |name: &str| std::env::var(name).ok();
    let bus = if sns { "sns" } else { "postgres" };
    if let Some(chosen) = said("COUNCILSENSE_CHAOS_BUS") {
        assert!(["postgres", "sns"].contains(&chosen.as_str()), "COUNCILSENSE_CHAOS_BUS={chosen}");
        if chosen != bus {
            return None;
        }
    }
    let long = said("COUNCILSENSE_CHAOS").is_some_and(|size| size == "long");
    let seed = said("COUNCILSENSE_CHAOS_SEED").and_then(|seed| seed.parse().ok()).unwrap_or(20_231_105);
    Some(if long {
        Plan {
            sns,
            seed,
            meetings: 500,
            cities: 50,
            followers: 10_000,
            outside: 5,
            acts: 600,
            patience: Duration::from_secs(3_600),
        }
    } else {
        Plan {
            sns,
            seed,
            meetings: 24,
            cities: 4,
            followers: 200,
            outside: 5,
            // Elsewhere everything takes longer.
            acts: if sns { 20 } else { 30 },
            patience: Duration::from_secs(600),
        }
    })
}

#[test]
fn nothing_is_lost_and_nothing_happens_twice() {
    run(plan(false));
}

#[test]
fn nothing_is_lost_and_nothing_happens_twice_on_sns_and_sqs() {
    run(plan(true));
}

fn run(plan: Option<Plan>) {
    // One after the other: both want the machine to themselves.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(plan) = plan else { return };
    println!("chaos with seed {}: {} meetings, {} followers", plan.seed, plan.meetings, plan.followers);
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let Some(world) = runtime.block_on(World::start(&plan)) else { return };
    let mut monkey = Monkey::new(&world, StdRng::seed_from_u64(plan.seed));
    let taking_in = runtime.spawn(world.door().take_in(plan.clone()));
    // The trouble lasts for so many acts, until there was some of each kind, and for as long as meetings come in.
    let mut made = 0;
    while made < plan.acts || !monkey.acts().of_each_kind(&world) || !taking_in.is_finished() {
        monkey.act(&runtime);
        made += 1;
        assert!(began.elapsed() < plan.patience, "{}", runtime.block_on(world.open()));
    }
    runtime.block_on(taking_in).unwrap();
    let acts = monkey.acts();
    println!("after {:?}: {acts:?}", began.elapsed());
    // From here on nobody is killed.
    rest(&runtime, &world, began, &plan);
    // What died too often in somebody's hands was put aside and not lost: an operator sends it again.
    let replayed = runtime.block_on(async {
        end::explained(&world).await;
        world.door().replay_dead_letters().await
    });
    println!("dead letters sent again: {replayed}");
    rest(&runtime, &world, began, &plan);
    // And once more every fact that there was.
    monkey.publish_again(&runtime, 1.0);
    rest(&runtime, &world, began, &plan);
    println!("at rest after {:?}", began.elapsed());
    runtime.block_on(end::check(&world, &plan));
    drop(monkey);
    runtime.shutdown_timeout(Duration::from_secs(5));
}

/// Waits until all of it has come to rest.
fn rest(runtime: &Runtime, world: &World, began: Instant, plan: &Plan) {
    let mut waited = 0;
    loop {
        // Whatever they died of, a fault at their start among it.
        world.servers.keep();
        if runtime.block_on(world.at_rest()) {
            return;
        }
        // The dead are not waited for; but who works has time to.
        if waited % 20 == 0 {
            let open = runtime.block_on(world.open());
            println!("{:?}: {open}", began.elapsed());
            runtime.block_on(world.end_leases_of_the_dead(&open));
        }
        waited += 1;
        std::thread::sleep(Duration::from_millis(500));
        assert!(began.elapsed() < plan.patience, "{}", runtime.block_on(world.open()));
    }
}
