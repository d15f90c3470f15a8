//! Reading in a process of its own. This test is its own reader: started with the child's argument it reads one document.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use cs_documents::{CHILD_COMMAND, ExtractError, Extracted, Limits, extract, extract_isolated, run_child};

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
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let script = dir.path().join("dies");
        std::fs::write(&script, "#!/bin/sh\nkill -SEGV $$\n").expect("a script");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        let died = read(&script, Limits::default(), "a.txt", b"words".to_vec()).await;
        assert!(matches!(died, Err(ExtractError::Damaged(_))), "{died:?}");
    }
}
