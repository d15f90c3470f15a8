//! The real program, killed with SIGKILL at any moment and started again, ends in the same state; said again, the same
//! command changes nothing.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use crate::harness::MINUTES;
use crate::program::{councilsense, scratch};

fn ingest(data: &Path, documents: &Path) -> Child {
    councilsense(data, &["ingest", "--json", "--city", "springfield"]).arg(documents).spawn().unwrap()
}

/// What the command tells, once it is let finish.
fn told(data: &Path, documents: &Path) -> Value {
    let output = ingest(data, documents).wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {errors}"))
}

#[test]
fn killed_at_any_moment_it_ends_in_the_same_state() {
    let dir = scratch();
    let documents = dir.path().join("documents");
    for day in 1..=3 {
        let folder = documents.join(format!("2023-01-0{day}-city-council"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("minutes.txt"), format!("{MINUTES}\nDay {day}\n")).unwrap();
    }
    let clean = told(&dir.path().join("clean"), &documents);
    let data = dir.path().join("killed");
    for millis in [50, 400, 900, 1_300, 1_700, 2_200, 2_800] {
        let mut running = ingest(&data, &documents);
        std::thread::sleep(Duration::from_millis(millis));
        running.kill().unwrap();
        running.wait().unwrap();
    }
    let after = told(&data, &documents);
    assert_eq!(after, clean);
    let states: Vec<&str> =
        after["meetings"].as_array().unwrap().iter().filter_map(|m| m["status"].as_str()).collect();
    assert_eq!(states, ["published"; 3]);
    assert_eq!(told(&data, &documents), after, "the same again changes nothing");
}
