//! The real program where it cannot do what it is told: it says why and what to do, ends with an error, and leaves
//! nothing half made.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use councilsense::data_dir::DataDir;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::harness::MINUTES;
use crate::program::{Up, answer, councilsense, scratch};

const UP: [&str; 9] =
    ["up", "--demo", "false", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--idp", "127.0.0.1:0"];

/// What it says when it is refused. The words of the program's own error end it.
fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = councilsense(data, arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn meeting(documents: &Path, files: &[(&str, &[u8])]) {
    let folder = documents.join("2023-01-05-city-council");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

#[test]
fn what_another_instance_has_is_not_taken_from_it() {
    let dir = scratch();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    let (mut up, _) = Up::start(&data);
    let instance = DataDir::open(&data).unwrap().instance().unwrap();
    let http = instance.http.trim_start_matches("http://").trim_end_matches('/').to_owned();

    let said = refused(&data, &UP);
    let running = format!("process {}", up.0.id());
    for part in [data.to_str().unwrap(), "is in use by another councilsense", &running, &http, "--data-dir"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let grpc = instance.grpc.trim_start_matches("http://").trim_end_matches('/').to_owned();
    for (option, address) in [("--http", &http), ("--grpc", &grpc)] {
        let mut arguments = UP;
        let at = arguments.iter().position(|argument| *argument == option).unwrap() + 1;
        arguments[at] = address;
        let said = refused(&other, &arguments);
        assert!(said.contains(&format!("{address} cannot be used")) && said.contains(option), "{said}");
        // Found before anything is started.
        assert_eq!(names(&other), ["VERSION", "lock"]);
    }

    // The one that runs goes on, and is told of as before.
    assert_eq!(up.0.try_wait().unwrap(), None);
    assert_eq!(DataDir::open(&data).unwrap().instance().unwrap().pid, up.0.id());
    let mut connection = TcpStream::connect(&http).unwrap();
    write!(connection, "GET /healthz HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    connection.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    up.stop();
}

#[test]
fn a_port_that_another_program_has_is_named() {
    let dir = scratch();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut arguments = UP;
    arguments[8] = &address;
    let said = refused(dir.path(), &arguments);
    assert!(
        said.contains(&format!("{address} cannot be used")) && said.contains("--idp HOST:PORT"),
        "{said}"
    );
    assert_eq!(names(dir.path()), ["VERSION", "lock"]);
}

#[test]
fn a_directory_of_a_newer_version_stays_as_it_is() {
    let dir = scratch();
    let (data, documents) = (dir.path().join("data"), dir.path().join("documents"));
    meeting(&documents, &[("minutes.txt", MINUTES.as_bytes())]);
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("VERSION"), "99\n").unwrap();
    for arguments in [&UP[..], &["ingest", "--city", "springfield", documents.to_str().unwrap()], &["runs"]] {
        let said = refused(&data, arguments);
        for part in [data.to_str().unwrap(), "newer councilsense", "Install that version", "--data-dir"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(names(&data), ["VERSION"]);
        assert_eq!(std::fs::read_to_string(data.join("VERSION")).unwrap(), "99\n");
    }
}

#[test]
fn what_was_started_for_a_command_that_fails_is_stopped() {
    let dir = scratch();
    for more in [&[][..], &["--rollback"]] {
        let nobody = ["reindex", "--to", "opensearch", "--opensearch-url", "http://127.0.0.1:1"];
        let said = refused(dir.path(), &[&nobody, more].concat());
        let port = std::fs::read_to_string(dir.path().join("postgres/port")).unwrap().trim().parse().unwrap();
        assert!(TcpStream::connect::<(_, u16)>(("127.0.0.1", port)).is_err(), "Postgres still runs: {said}");
    }
}

/// An SNS that allows these credentials nothing, which no imitation of Amazon's services here can be told to be.
fn forbidding() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let said = "<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code>\
                    <Message>not authorized</Message></Error></ErrorResponse>";
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while connection.read_line(&mut line).unwrap() > 2 {
                if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = bytes.trim().parse().unwrap();
                }
                line.clear();
            }
            connection.read_exact(&mut vec![0; length]).unwrap();
            let size = said.len();
            let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-type: text/xml\r\ncontent-length: {size}");
            write!(connection.get_mut(), "{head}\r\nconnection: close\r\n\r\n{said}").unwrap();
        }
    });
    port
}

#[test]
fn who_may_make_no_queues_is_told_what_somebody_else_has_to_make() {
    let dir = scratch();
    let endpoint = format!("http://127.0.0.1:{}", forbidding());
    let ensure = ["bus", "ensure", "--bus", "sns", "--aws-endpoint-url", &endpoint];
    let mut command = councilsense(dir.path(), &ensure);
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1");
    let output = command.output().unwrap();
    let (printed, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("sns:CreateTopic is not allowed") && said.contains("was printed"), "{said}");
    assert!(printed.contains("topic_name = \"councilsense-events\""), "{printed}");
}

#[test]
fn a_folder_without_documents_is_told_before_anything_starts() {
    let dir = scratch();
    let (data, documents) = (dir.path().join("data"), dir.path().join("documents"));
    std::fs::create_dir(&documents).unwrap();
    let path = documents.to_str().unwrap();
    let said = refused(&data, &["ingest", "--city", "springfield", path]);
    assert!(said.contains(path) && said.contains("holds no documents; put agendas, minutes"), "{said}");
    let missing = documents.join("none");
    let said = refused(&data, &["ingest", "--city", "springfield", missing.to_str().unwrap()]);
    assert!(said.contains("no such file or folder"), "{said}");
    assert!(names(&data).is_empty(), "{:?}", names(&data));
}

#[test]
fn a_file_of_half_a_gigabyte_is_named_and_the_others_go_on() {
    let dir = scratch();
    let (data, documents) = (dir.path().join("data"), dir.path().join("documents"));
    meeting(&documents, &[("minutes.txt", MINUTES.as_bytes()), ("packet.pdf", b"%PDF-1.7\n")]);
    // No block of it is on the disk.
    let packet = documents.join("2023-01-05-city-council/packet.pdf");
    std::fs::File::options().write(true).open(packet).unwrap().set_len(500 << 20).unwrap();
    let alone = documents.join("2023-01-12-city-council");
    std::fs::create_dir(&alone).unwrap();
    std::fs::File::create(alone.join("minutes.pdf")).unwrap().set_len(500 << 20).unwrap();

    let output = councilsense(&data, &["ingest", "--json", "--city", "springfield"]).arg(&documents).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "one meeting failed");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [with, only] = told["meetings"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!(with["status"], "published", "{with}");
    for (meeting, file) in [(with, "packet.pdf"), (only, "minutes.pdf")] {
        let artifacts = meeting["artifacts"].as_array().unwrap();
        let artifact = artifacts.iter().find(|artifact| artifact["file"] == file).unwrap();
        assert_eq!(artifact["status"], "unreadable", "{artifact}");
        let reason = artifact["reason"].as_str().unwrap();
        assert!(
            reason.contains("too_large: 500 MB, at most 100 MB") && reason.contains("split it"),
            "{reason}"
        );
    }
    assert_eq!(only["status"], "failed", "{only}");
    assert!(only["reason"].as_str().unwrap().contains("none of its documents could be read"), "{only}");
    let kept = objects(&data.join("artifacts"));
    assert!(kept.len() == 1 && kept[0].metadata().unwrap().len() < 1 << 20, "only the minutes: {kept:?}");
}

/// Everything in an artifact store.
fn objects(store: &Path) -> Vec<PathBuf> {
    names(store)
        .iter()
        .flat_map(|part| names(&store.join(part)).into_iter().map(move |name| store.join(part).join(name)))
        .collect()
}

/// A disk of its own size.
struct Disk(PathBuf);

impl Disk {
    /// At a folder. `None`: who runs this may not mount one.
    fn mount(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let options = format!("size={size},mode=0711");
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).output();
        if output.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        println!(
            "not run: a full disk is tried on a small one of its own; run as root, who may mount it: {output:?}"
        );
        #[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "under CI every test must run");
        None
    }

    fn resize(&self, size: &str) {
        let output = Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(&self.0)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that failed may have left a server on it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_start_without_room_can_be_repeated_when_there_is_some() {
    let dir = scratch();
    let Some(disk) = Disk::mount(dir.path().join("data"), "1m") else { return };
    let data = disk.0.join("councilsense");
    let said = refused(&data, &UP);
    assert!(said.contains("there is no disk space left. Free some") && said.contains("--data-dir"), "{said}");
    assert_eq!(names(&data.join("postgres/server")), Vec::<String>::new(), "half a database was left");
    // To the last byte.
    std::fs::write(disk.0.join("filler"), vec![0; 2 << 20]).unwrap_err();
    let said = refused(&disk.0.join("another"), &UP);
    assert!(said.contains("another") && said.contains("disk space"), "{said}");

    disk.resize("600m");
    let (up, _) = Up::start(&data);
    up.stop();
}

#[test]
fn documents_without_room_are_waited_for_and_then_taken() {
    let dir = scratch();
    let (data, documents) = (dir.path().join("data"), dir.path().join("documents"));
    meeting(&documents, &[("minutes.txt", MINUTES.as_bytes()), ("packet.pdf", &vec![1; 3 << 20])]);
    let Some(disk) = Disk::mount(data.join("artifacts"), "2m") else { return };
    let mut ingest = councilsense(&data, &["ingest", "--json", "--city", "springfield"]);
    let mut ingest = ingest.arg(&documents).spawn().unwrap();
    let mut said = BufReader::new(ingest.stderr.take().unwrap()).lines();
    let waits = said.by_ref().map(Result::unwrap).find(|line| line.contains("trying again"));
    let waits = waits.expect("it says what it waits for");
    assert!(waits.contains("no room left to store this; free disk space"), "{waits}");
    disk.resize("64m");
    // Read to its end, so that it can say more.
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    let output = ingest.wait_with_output().unwrap();
    assert!(output.status.success(), "{rest:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["meetings"][0]["status"], "published", "{told}");
    // What stands there is what its name says, and nothing else does.
    let kept = objects(&disk.0);
    assert_eq!(kept.len(), 2, "{kept:?}");
    for path in kept {
        let digest = Sha256::digest(std::fs::read(&path).unwrap());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(path.ends_with(format!("{}/{}", &name[..2], &name[2..])), "{path:?}");
    }
    // Once, although it was sent more than once.
    let runs = answer(&data, &["runs"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
}
