//! What a check of the compiled-in policies takes: `cargo run --release -p cs-policy --example check`.
//!
//! Two questions by four callers, each timed by itself: whether a caller may do something (of all actions in turn), and which
//! tags it may read, which a page of meetings is asked for once a service. Optimised code that takes longer than 0.2 ms at the
//! 95th percentile, for any of them, ends with 1 (`just deep-policy`).

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on is none")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cs_core::{Caller, Role, Subject, TenantId, Trace, UserId};
use cs_policy::{Action, Policies};

const CHECKS: usize = 20_000;
/// Milliseconds at the 95th percentile.
const MOST: f64 = 0.2;
const ACTIONS: [Action; 7] = [
    Action::Read,
    Action::ManageOwn,
    Action::Review,
    Action::Operate,
    Action::ManageSessions,
    Action::Administer,
    Action::Serve,
];

fn callers() -> [(&'static str, Caller); 4] {
    let somebody: UserId = "01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap();
    let caller = |subject: Subject, roles: &[Role]| Caller {
        subject,
        roles: roles.iter().copied().collect(),
        ..Caller::service("", TenantId::of_slug("default"), Trace::start())
    };
    let person = |role| caller(Subject::User(somebody), &[Role::Resident, role]);
    [
        ("anonymous", caller(Subject::Anonymous, &[])),
        ("resident", person(Role::Resident)),
        ("reviewer", person(Role::Reviewer)),
        ("operator", person(Role::Operator)),
    ]
}

/// The median and the 95th percentile of `check`, milliseconds.
fn measured(mut check: impl FnMut(usize)) -> [f64; 2] {
    // Caches and the branch predictor as they are in a process that serves.
    (0..CHECKS / 10).for_each(&mut check);
    let mut took: Vec<Duration> = (0..CHECKS)
        .map(|n| {
            let began = Instant::now();
            check(n);
            began.elapsed()
        })
        .collect();
    took.sort();
    [50, 95].map(|percent| took[CHECKS * percent / 100].as_secs_f64() * 1_000.0)
}

fn main() -> ExitCode {
    let policies = Policies::built_in();
    println!("{:<10} {:<8} {:>9} {:>9}", "caller", "question", "p50 ms", "p95 ms");
    let mut slowest: f64 = 0.0;
    for (name, caller) in callers() {
        let may = measured(|n| {
            black_box(policies.allow(black_box(&caller), ACTIONS[n % ACTIONS.len()])).ok();
        });
        let reads = measured(|_| {
            black_box(policies.visible(black_box(&caller)));
        });
        for (question, [p50, p95]) in [("may", may), ("reads", reads)] {
            println!("{name:<10} {question:<8} {p50:>9.4} {p95:>9.4}");
            slowest = slowest.max(p95);
        }
    }
    println!("slowest p95: {slowest:.4} ms, of {CHECKS} checks each");
    if cfg!(debug_assertions) {
        println!("not optimised, so nothing is said of {MOST} ms");
        return ExitCode::SUCCESS;
    }
    if slowest > MOST {
        eprintln!("that is more than {MOST} ms");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
