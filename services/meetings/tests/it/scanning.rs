//! A source is scanned whatever its documents do to their reader.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use cs_core::document::ArtifactKind;
use cs_core::{Clock, ManualClock, SystemClock, Visibility};
use cs_documents::Limits;
use cs_events::RetryPolicy;
use meetings::ingest::{NewArtifact, NewCity, NewMeeting};
use meetings::{Extractor, ingest, job_worker, scan};
use tokio::sync::Mutex;

use crate::support::World;

/// A program that ends, or never ends, by what it is to read, and else tells the same of every document.
fn reader(dir: &Path) -> Extractor {
    let program = dir.join("reader");
    let kept = dir.join("kept");
    let told = r#"{"Ok":{"media_type":"text/plain","text":{"text":"MINUTES\nCity Council\nheld on Thursday, April 6, 2023","sections":[],"marks":[]},"pages":null}}"#;
    let script = format!(
        "#!/bin/sh\ncat > {kept}\nif grep -q DIES {kept}; then kill -SEGV $$; fi\n\
         if grep -q LOOPS {kept}; then exec sleep 1000; fi\ncat <<'END'\n{told}\nEND\n",
        kept = kept.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    // Beginnings get a third of it: long enough for those that end, on any machine.
    Extractor::Isolated(program, Limits { time: Duration::from_secs(60), ..Limits::default() })
}

fn springfield() -> NewCity {
    NewCity {
        slug: "springfield".to_owned(),
        name: "Springfield".to_owned(),
        time_zone: "UTC".to_owned(),
        language: "en".to_owned(),
    }
}

fn meeting(artifacts: Vec<NewArtifact>) -> NewMeeting {
    NewMeeting {
        meeting_uid: "first".to_owned(),
        title: "First".to_owned(),
        body: "City Council".to_owned(),
        date: NaiveDate::from_ymd_opt(2023, 1, 5).unwrap(),
        starts_at: None,
        location: None,
        status: None,
        visibility: Visibility::Public,
        derivation: Vec::new(),
        artifacts,
    }
}

/// Workers take jobs of every tenant: one test at a time has any.
static WORKING: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_ends_its_reader_or_keeps_it_busy_takes_only_itself() {
    let _one = WORKING.lock().await;
    let world = World::start().await;
    let dir = tempfile::tempdir().unwrap();
    let deps = world.deps(reader(dir.path()), &dir.path().join("artifacts"));
    let operator = world.operator();
    let (city, first) = (springfield(), meeting(Vec::new()));
    // None of these names has a date: what stands in them is looked at.
    let documents = dir.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    for (name, text) in [("a.txt", "Called to order."), ("b.txt", "It DIES."), ("c.txt", "It LOOPS.")] {
        std::fs::write(documents.join(name), text).unwrap();
    }
    let mut tx = world.db.tenant(&operator).await.unwrap();
    ingest::ingest(&mut tx, &operator, &world.ids, &city, &first).await.unwrap();
    let place = documents.to_str().unwrap();
    scan::add_source(&mut tx, &operator, &world.ids, "springfield", "folder", place, "").await.unwrap();
    scan::scan_city(&mut tx, &operator, &world.ids, "springfield").await.unwrap();
    tx.commit().await.unwrap();

    // The scan, then the one meeting that it found.
    let worker = job_worker(&deps, Arc::new(SystemClock));
    let told = "SELECT last_scan_status || ': ' || last_scan_reason FROM sources";
    let found = "SELECT meeting_uid FROM meetings ORDER BY meeting_uid";
    for _ in 0..20 {
        worker.step().await.unwrap();
        if world.texts(found).await.len() > 1 {
            break;
        }
    }
    let told = &world.texts(told).await[0];
    assert!(told.starts_with("ok: 2 files are ignored: b.txt: "), "{told}");
    assert!(told.contains("(damaged)") && told.contains("its content ended the reader"), "{told}");
    assert!(told.contains("c.txt: ") && told.contains("(timeout)"), "{told}");
    assert_eq!(world.texts(found).await, ["city-council-2023-04-06", "first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_whose_reader_is_away_has_all_its_tries_at_each_replay() {
    let _one = WORKING.lock().await;
    let world = World::start().await;
    let dir = tempfile::tempdir().unwrap();
    let nowhere = Extractor::Isolated(dir.path().join("nowhere"), Limits::default());
    let deps = world.deps(nowhere, &dir.path().join("artifacts"));
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    deps.objects.put(sha256, "test".into()).await.unwrap();
    let document = NewArtifact {
        kind: ArtifactKind::Minutes,
        title: "Minutes".to_owned(),
        file_name: "minutes.txt".to_owned(),
        source_url: None,
        sha256: sha256.to_owned(),
        size_bytes: 4,
        refused: None,
    };
    let operator = world.operator();
    let mut tx = world.db.tenant(&operator).await.unwrap();
    ingest::ingest(&mut tx, &operator, &world.ids, &springfield(), &meeting(vec![document])).await.unwrap();
    tx.commit().await.unwrap();

    let clock = Arc::new(ManualClock::default());
    clock.advance(SystemClock.now() - clock.now());
    let worker = job_worker(&deps, clock.clone());
    for _ in 0..3 {
        for tries in 1..=RetryPolicy::STANDARD.attempts {
            assert_eq!(world.texts("SELECT state FROM jobs").await, ["ready"]);
            clock.advance(TimeDelta::hours(1));
            // Workers take every tenant's jobs.
            while world.texts("SELECT attempt::text FROM jobs").await != [tries.to_string()] {
                worker.step().await.unwrap();
            }
        }
        assert_eq!(world.texts("SELECT state FROM jobs").await, ["dead"]);
        assert_eq!(world.texts("SELECT status FROM artifacts").await, ["unreadable"]);
        world.run("UPDATE jobs SET state = 'ready', attempt = 0, finished_at = NULL").await.unwrap();
    }
}
