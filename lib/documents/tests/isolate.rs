//! Reading in a process of its own. This test is its own reader: started with the child's argument it reads one document.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cs_documents::folder::{FolderScan, Introductions, scan};
use cs_documents::{
    CHILD_COMMAND, ExtractError, Extracted, Limits, Reader, extract, extract_isolated, run_child,
};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CHILD_COMMAND) {
        return run_child();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let own = std::env::current_exe().expect("the path of this test");
        a_document_comes_back_whole(&own).await;
        errors_come_back_as_they_are(&own).await;
        memory_is_bounded(&own).await;
        time_is_bounded(&own).await;
        a_reader_that_fails_takes_one_document(&own).await;
        #[cfg(unix)]
        a_scan_outlives_what_documents_do_to_their_reader(&own).await;
    });
    println!("isolate: ok");
    ExitCode::SUCCESS
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).expect("a fixture")
}

async fn read(exe: &Path, limits: Limits, name: &str, bytes: Vec<u8>) -> Result<Extracted, ExtractError> {
    extract_isolated(exe, limits, name, Bytes::from(bytes)).await
}

async fn a_document_comes_back_whole(own: &Path) {
    for name in ["minutes.pdf", "minutes.docx", "captions.vtt"] {
        let here = extract(name, &fixture(name));
        assert_eq!(read(own, Limits::default(), name, fixture(name)).await, here, "{name}");
    }
}

async fn errors_come_back_as_they_are(own: &Path) {
    for name in ["scan.pdf", "encrypted.pdf", "truncated.pdf"] {
        let here = extract(name, &fixture(name));
        assert!(here.is_err());
        assert_eq!(read(own, Limits::default(), name, fixture(name)).await, here, "{name}");
    }
}

async fn memory_is_bounded(own: &Path) {
    if !cfg!(target_os = "linux") {
        return;
    }
    let text = "The council met and did what it had to do.\n".repeat(400_000).into_bytes();
    let limits = Limits { memory_bytes: 48 << 20, ..Limits::default() };
    let error = read(own, limits, "long.txt", text).await.expect_err("more than the bound");
    assert_eq!(error.code(), "too_large", "{error}");
}

async fn time_is_bounded(own: &Path) {
    let limits = Limits { time: Duration::from_millis(1), ..Limits::default() };
    let text = "The council met.\n".repeat(1_000_000).into_bytes();
    assert_eq!(read(own, limits, "long.txt", text).await, Err(ExtractError::Timeout(1)));
}

async fn a_reader_that_fails_takes_one_document(own: &Path) {
    let missing = read(&own.join("none"), Limits::default(), "a.txt", b"words".to_vec()).await;
    assert!(matches!(missing, Err(ExtractError::Reader(_))), "{missing:?}");
    #[cfg(unix)]
    {
        let dir = tempfile::tempdir().expect("a folder");
        let script = script(dir.path(), "kill -SEGV $$");
        let died = read(&script, Limits::default(), "a.txt", b"words".to_vec()).await;
        assert!(matches!(died, Err(ExtractError::Damaged(_))), "{died:?}");
    }
}

#[cfg(unix)]
fn script(dir: &Path, text: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let script = dir.join("reader");
    std::fs::write(&script, format!("#!/bin/sh\n{text}\n")).expect("a script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    script
}

/// Its dates stand in the documents only, so that each is read; one ends its reader, one keeps it busy for ever.
#[cfg(unix)]
async fn a_scan_outlives_what_documents_do_to_their_reader(own: &Path) {
    let dir = tempfile::tempdir().expect("a folder");
    let [kept, starts, calm] = ["kept", "starts", "calm"].map(|name| dir.path().join(name));
    let reader = script(
        dir.path(),
        &format!(
            "echo >> {starts}\ncat > {kept}\nif grep -q DIES {kept}; then kill -SEGV $$; fi\n\
             if grep -q LOOPS {kept} && [ ! -e {calm} ]; then exec sleep 1000; fi\nexec {own} {CHILD_COMMAND} < {kept}",
            starts = starts.display(),
            kept = kept.display(),
            calm = calm.display(),
            own = own.display()
        ),
    );
    let documents = dir.path().join("documents");
    std::fs::create_dir(&documents).expect("a folder");
    let put = |name: &str, text: &str| {
        std::fs::write(
            documents.join(name),
            format!("MINUTES\n{text}\nheld on Thursday, April 6, 2023 at noon"),
        )
        .expect("a document");
    };
    put("a.txt", "City Council");
    put("b.txt", "DIES");
    put("c.txt", "LOOPS");
    put("d.txt", "Parks Commission");
    let started = || std::fs::read_to_string(&starts).unwrap_or_default().lines().count();
    // The beginning gets a third of it.
    let limits = Limits { time: Duration::from_secs(30), ..Limits::default() };
    let waiting = |first_wait| {
        let reader = Reader::Isolated(reader.clone(), limits);
        Arc::new(Introductions::new(reader).patient(first_wait))
    };
    let reading = waiting(Duration::from_secs(3600));
    let found = async |reading: &Arc<Introductions>| -> FolderScan {
        let (documents, reading) = (documents.clone(), reading.clone());
        let found = tokio::task::spawn_blocking(move || scan(&documents, &reading)).await;
        found.expect("it does not panic").expect("a scan")
    };
    let first = found(&reading).await;
    let uids: Vec<&str> = first.meetings.iter().map(|m| m.meeting_uid.as_str()).collect();
    assert_eq!(uids, ["city-council-2023-04-06", "parks-commission-2023-04-06"], "{first:?}");
    let why = |found: &FolderScan, name: &str| {
        let ignored = found.ignored.iter().find(|(path, _)| path.ends_with(name));
        ignored.map(|(_, why)| why.clone()).unwrap_or_default()
    };
    assert!(
        why(&first, "b.txt").contains("(damaged): the document is damaged (its content ended the reader")
    );
    assert!(why(&first, "c.txt").contains("(timeout): reading the document took longer than 10000 ms"));

    assert_eq!(started(), 4);

    // It costs its time once, until it changes.
    assert_eq!(found(&reading).await, first);
    assert_eq!(started(), 4, "it was read again");
    put("c.txt", "Harbour Board");
    let later = found(&reading).await;
    assert_eq!((later.meetings.len(), why(&later, "c.txt").as_str()), (3, ""), "{later:?}");
    assert_eq!(started(), 5);

    // Or until its wait is over: then the one that took too long is read again, and no other. It was the machine's fault.
    put("c.txt", "LOOPS");
    let reading = waiting(Duration::ZERO);
    assert!(why(&found(&reading).await, "c.txt").contains("(timeout)"));
    assert_eq!(started(), 9);
    std::fs::write(&calm, "").expect("a file");
    assert_eq!(why(&found(&reading).await, "c.txt"), "");
    assert_eq!(started(), 10);
}
