//! Makes trouble: kills workers and servers, cuts connections, makes them fail in other ways, duplicates and reorders messages,
//! ends leases early.

use std::time::{Duration, Instant};

use councilsense::wiring::Role;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::{Builder, Runtime};

use crate::world::World;

/// Longest wait for messages on their way: relays look once a second, or are cut off.
const ON_ITS_WAY: Duration = Duration::from_secs(5);
/// Workers at once. Between the two pairs are calls.
const WORKERS: [&[Role]; 4] = [&[Role::Meetings], &[Role::Meetings], &BOTH, &BOTH];
const BOTH: [Role; 2] = [Role::Summaries, Role::Notifications];

/// What was done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acts {
    pub(crate) kills: u32,
    pub(crate) servers: u32,
    pub(crate) cuts: u64,
    pub(crate) duplicates: u64,
    pub(crate) reorderings: u64,
    pub(crate) takeovers: u64,
    pub(crate) faults: u32,
}

impl Acts {
    /// Whether there was some of each, as far as it can be had here.
    pub(crate) fn of_each_kind(self, world: &World) -> bool {
        let faults = self.faults > 0 || world.faults.is_none();
        self.kills > 2
            && self.servers > 2
            && self.cuts > 0
            && self.duplicates > 0
            && self.reorderings > 0
            && faults
    }
}

/// What toxiproxy does to a connection: it ends it at once, stops to carry anything, carries so many bytes and ends it,
/// is slow, or cuts what it carries into small pieces.
const FAULTS: [(&str, &str); 5] = [
    ("reset_peer", r#"{"timeout":0}"#),
    ("timeout", r#"{"timeout":400}"#),
    ("limit_data", r#"{"bytes":6000}"#),
    ("latency", r#"{"latency":250,"jitter":200}"#),
    ("slicer", r#"{"average_size":200,"size_variation":150,"delay":500}"#),
];

pub(crate) struct Monkey<'a> {
    world: &'a World,
    random: StdRng,
    workers: Vec<Option<Runtime>>,
    acts: Acts,
}

impl<'a> Monkey<'a> {
    pub(crate) fn new(world: &'a World, random: StdRng) -> Self {
        let workers = WORKERS.map(|roles| Some(worker(world, roles))).into();
        Self { world, random, workers, acts: Acts::default() }
    }

    /// A while, then some trouble.
    pub(crate) fn act(&mut self, runtime: &Runtime) {
        std::thread::sleep(Duration::from_millis(self.random.random_range(100..1_200)));
        self.world.servers.keep();
        match self.random.random_range(0..15) {
            0..=2 => {
                let victim = self.random.random_range(0..WORKERS.len());
                kill(self.workers[victim].take());
                self.workers[victim] = Some(worker(self.world, WORKERS[victim]));
                self.acts.kills += 1;
            }
            3..=4 => {
                let seed = self.random.random();
                self.acts.cuts += runtime.block_on(self.world.run_by_chance(
                    seed,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name LIKE 'councilsense %' AND random() < 0.4",
                ));
            }
            // What was published is published again: later, twice, and in between other things.
            5..=6 => self.acts.duplicates += self.publish_again(runtime, 0.3),
            7..=8 => {
                // Workers are quick: there has to be something on its way, and it is waited for.
                let again = self.publish_again(runtime, 0.5);
                self.acts.duplicates += again;
                // How often it is tried depends on the machine: what comes after follows from the seed all the same.
                let mut chances = StdRng::seed_from_u64(self.random.random());
                let began = Instant::now();
                loop {
                    let (reordered, doubled) = runtime.block_on(self.world.jumble(chances.random()));
                    self.acts.reorderings += reordered;
                    self.acts.duplicates += doubled;
                    if reordered > 0 || again == 0 || began.elapsed() > ON_ITS_WAY {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            9..=11 => self.fault(),
            12..=13 => {
                let which = self.random.random_range(0..Role::ALL.len());
                self.world.servers.kill(which, Duration::from_millis(self.random.random_range(0..1_500)));
                self.acts.servers += 1;
            }
            _ => {
                // Two workers come to hold the same job, or the same message.
                for held in [
                    "UPDATE meetings.jobs SET run_at = now() WHERE state = 'running'",
                    "UPDATE summaries.jobs SET run_at = now() WHERE state = 'running'",
                    "UPDATE notifications.jobs SET run_at = now() WHERE state = 'running'",
                    "UPDATE notifications.deliveries SET due_at = now() WHERE state = 'sending'",
                    "UPDATE notifications.messages SET due_at = now() WHERE state = 'sending'",
                ] {
                    self.acts.takeovers += runtime.block_on(self.world.run(held));
                }
            }
        }
    }

    /// The ways to the database, to the bus, or to a service fail for a while.
    fn fault(&mut self) {
        let Some(faults) = &self.world.faults else { return };
        let way = &self.world.ways[self.random.random_range(0..self.world.ways.len())];
        let long = Duration::from_millis(self.random.random_range(200..2_000));
        let which = self.random.random_range(0..=FAULTS.len());
        if let Some((kind, attributes)) = FAULTS.get(which) {
            faults.poison(way, kind, attributes);
            std::thread::sleep(long);
            faults.cure(way, kind);
        } else {
            faults.open(way, false);
            std::thread::sleep(long);
            faults.open(way, true);
        }
        self.acts.faults += 1;
    }

    /// Publishes a share of all facts again; gives how many.
    pub(crate) fn publish_again(&mut self, runtime: &Runtime, share: f64) -> u64 {
        let mut sum = 0;
        for schema in ["meetings", "summaries"] {
            let again = format!(
                "UPDATE {schema}.outbox SET published_at = NULL WHERE published_at IS NOT NULL AND random() <= {share}"
            );
            sum += runtime.block_on(self.world.run_by_chance(self.random.random(), &again));
        }
        sum
    }

    /// What was done so far.
    pub(crate) fn acts(&self) -> Acts {
        self.acts
    }
}

impl Drop for Monkey<'_> {
    fn drop(&mut self) {
        self.workers.iter_mut().for_each(|worker| kill(worker.take()));
    }
}

fn worker(world: &World, roles: &'static [Role]) -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // The stack is kept by its own tasks; with the runtime all of it goes.
    let recipe = world.recipe.clone();
    runtime.spawn(async move {
        let _stack = recipe.worker(roles).await;
        std::future::pending::<()>().await;
    });
    runtime
}

/// Every task stops where it stands, without a word to anybody.
fn kill(worker: Option<Runtime>) {
    if let Some(runtime) = worker {
        runtime.shutdown_background();
    }
}
