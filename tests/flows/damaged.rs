//! The real program: an index that is damaged or gone is built anew at the next start, and said; the next version is
//! built while the instance runs.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::MINUTES;

fn councilsense(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_councilsense"));
    command.args(arguments).args(["--log", "warn", "--data-dir"]).arg(data);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a command answers in JSON.
fn answer(data: &Path, arguments: &[&str]) -> Value {
    let output = councilsense(data, arguments).arg("--json").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {errors}"))
}

/// A running instance, stopped as an operator stops it. What it says at the end has somewhere to go until then.
struct Up(Child, Lines<BufReader<ChildStdout>>);

impl Up {
    /// Starts it, and gives what it says until it can be used.
    fn start(data: &Path) -> (Self, String) {
        let here = "127.0.0.1:0";
        let arguments = ["up", "--demo", "false", "--http", here, "--grpc", here, "--idp", here];
        let mut child = councilsense(data, &arguments).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut up = Self(child, lines);
        let mut said = String::new();
        while !said.contains("\nOpen ") {
            let line = up.1.next().unwrap_or_else(|| panic!("it ended: {said}")).unwrap();
            said.push_str(&line);
            said.push('\n');
        }
        (up, said)
    }

    fn stop(mut self) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        assert!(self.1.by_ref().all(|line| line.is_ok()), "it says that it stops");
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already gone where the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn only_store(index: &Path) -> PathBuf {
    let tenant = std::fs::read_dir(index.join("tenants")).unwrap().next().unwrap().unwrap().path();
    let files = std::fs::read_dir(tenant).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|e| e == "store")).max().unwrap()
}

#[test]
fn a_damaged_index_is_built_anew_and_the_next_version_while_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    // The database's own user has to reach it.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let documents = dir.path().join("documents");
    for day in 1..=2 {
        let folder = documents.join(format!("2023-01-0{day}-city-council"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("minutes.txt"), format!("{MINUTES}\nDay {day}\n")).unwrap();
    }
    let data = dir.path().join("data");
    let taken = answer(&data, &["ingest", "--city", "springfield", documents.to_str().unwrap()]);
    assert_eq!(taken["meetings"].as_array().unwrap().len(), 2, "{taken}");

    // Gone, where `up` has never been.
    std::fs::remove_dir_all(data.join("index")).unwrap();
    let (up, said) = Up::start(&data);
    assert!(said.contains("search index built anew"), "{said}");
    up.stop();

    let store = only_store(&data.join("index-2"));
    let mut bytes = std::fs::read(&store).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&store, bytes).unwrap();
    let (up, said) = Up::start(&data);
    assert!(said.contains("search index built anew"), "{said}");

    // Built and compared by the instance that runs; a second one goes back.
    let built = answer(&data, &["reindex"]);
    assert_eq!(built, json!([{ "meetings": 2, "engine": "embedded", "version": "index-4" }]));
    assert_eq!(answer(&data, &["reindex", "--rollback"]), json!([{ "version": "index-3" }]));
    up.stop();

    // Nothing is damaged now, and nothing is built at the next start; nobody runs, so the command is an instance.
    let built = answer(&data, &["reindex"]);
    assert_eq!(built[0]["version"], "index-4");
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("index-") {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let (up, said) = Up::start(&data);
    assert!(said.contains("search index built anew"), "an index that is gone: {said}");
    up.stop();
    let (up, said) = Up::start(&data);
    assert!(!said.contains("search index built anew"), "{said}");
    up.stop();
}
