//! Against the PostgreSQL of this machine, as whoever runs the tests: as root it gives its privileges up.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cs_pg::{Options, PgError, PrivatePostgres, start};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use sqlx::{Connection, PgConnection};

/// A data directory that the server's user can reach, unlike the usual place of temporary directories.
fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    dir
}

fn options(dir: &Path) -> Options {
    Options { durable: false, ..Options::new(dir) }
}

async fn error(options: Options) -> PgError {
    start(options).await.err().expect("it must not start")
}

async fn ask(postgres: &PrivatePostgres, sql: &'static str) -> String {
    let mut connection = PgConnection::connect(postgres.url().as_str()).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

async fn write(postgres: &PrivatePostgres) {
    let mut connection = PgConnection::connect(postgres.url().as_str()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')")
        .execute(&mut connection)
        .await
        .unwrap();
}

const KEPT: &str = "SELECT word FROM kept";

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

async fn until_ended(postgres: &PrivatePostgres) {
    while postgres.is_running() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn it_starts_stops_and_starts_again_with_its_data_and_port() {
    let dir = data_dir();
    let begun = Instant::now();
    let postgres = start(Options::new(dir.path())).await.unwrap();
    println!("first start: {:?}", begun.elapsed());
    write(&postgres).await;
    assert_eq!(ask(&postgres, "SHOW fsync").await, "on");
    assert_eq!(ask(&postgres, "SHOW listen_addresses").await, "127.0.0.1");
    assert_eq!(ask(&postgres, "SHOW unix_socket_directories").await, "");
    assert_eq!(ask(&postgres, "SHOW server_encoding").await, "UTF8");
    assert_eq!(
        ask(&postgres, "SELECT count(*)::text FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'")
            .await,
        "0"
    );
    let url = postgres.url().clone();
    assert!(matches!(error(options(dir.path())).await, PgError::InUse(_)));

    let begun = Instant::now();
    postgres.stop().await.unwrap();
    println!("stop: {:?}", begun.elapsed());
    assert!(PgConnection::connect(url.as_str()).await.is_err());

    let begun = Instant::now();
    let postgres = start(Options::new(dir.path())).await.unwrap();
    println!("second start: {:?}", begun.elapsed());
    assert!(!postgres.is_adopted());
    assert_eq!(postgres.url(), &url);
    assert_eq!(ask(&postgres, KEPT).await, "still here");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn secrets_are_the_owners_and_a_wrong_password_does_not_connect() {
    let dir = data_dir();
    let postgres = start(options(dir.path())).await.unwrap();
    for name in ["password", "server.log", "lock"] {
        let mode = fs::metadata(dir.path().join("postgres").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mut wrong = postgres.url().clone();
    wrong.set_password(Some("guess")).unwrap();
    assert!(PgConnection::connect(wrong.as_str()).await.is_err());
    postgres.stop().await.unwrap();
    let password = dir.path().join("postgres/password");
    fs::write(&password, "guess").unwrap();
    assert!(matches!(error(options(dir.path())).await, PgError::Password(_)));
    fs::remove_file(&password).unwrap();
    assert!(matches!(error(options(dir.path())).await, PgError::Password(_)));
    assert!(!dir.path().join("postgres/server/cluster/postmaster.pid").exists(), "it was not left running");
}

#[tokio::test]
async fn what_a_killed_application_left_is_adopted() {
    let dir = data_dir();
    let first = start(options(dir.path())).await.unwrap();
    write(&first).await;
    let (pid, url) = (first.pid(), first.url().clone());
    drop(first);
    let begun = Instant::now();
    let second = start(options(dir.path())).await.unwrap();
    println!("adoption: {:?}", begun.elapsed());
    assert!(second.is_adopted());
    assert_eq!((second.pid(), second.url()), (pid, &url));
    assert_eq!(ask(&second, KEPT).await, "still here");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_recovers() {
    let dir = data_dir();
    let first = start(Options::new(dir.path())).await.unwrap();
    write(&first).await;
    signal(first.pid(), Signal::SIGKILL);
    until_ended(&first).await;
    drop(first);
    let second = start(Options::new(dir.path())).await.unwrap();
    assert!(!second.is_adopted());
    assert_eq!(ask(&second, KEPT).await, "still here");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_pid_file_whose_number_another_program_has_is_no_obstacle() {
    let dir = data_dir();
    start(options(dir.path())).await.unwrap().stop().await.unwrap();
    // A process of the server's own user is what PostgreSQL itself takes for a living server.
    let mut other = std::process::Command::new("sleep");
    other.arg("60");
    let cluster = dir.path().join("postgres/server/cluster");
    if Uid::effective().is_root() {
        use std::os::unix::{fs::MetadataExt, process::CommandExt};
        other.uid(fs::metadata(&cluster).unwrap().uid());
    }
    let mut other = other.spawn().unwrap();
    let pid_file = cluster.join("postmaster.pid");
    fs::write(
        &pid_file,
        format!("{}\n{}\n1700000000\n1\n\n127.0.0.1\n\nready\n", other.id(), cluster.display()),
    )
    .unwrap();
    let postgres = start(options(dir.path())).await.unwrap();
    assert_ne!(postgres.pid(), i32::try_from(other.id()).unwrap());
    other.kill().unwrap();
    other.wait().unwrap();
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_half_made_cluster_is_made_again_and_a_lost_one_is_not() {
    let dir = data_dir();
    let server = dir.path().join("postgres/server");
    fs::create_dir_all(server.join("cluster.new-1/base")).unwrap();
    fs::write(server.join("cluster.new-1/PG_VERSION"), "15\n").unwrap();
    fs::set_permissions(dir.path().join("postgres"), Permissions::from_mode(0o711)).unwrap();
    let postgres = start(options(dir.path())).await.unwrap();
    write(&postgres).await;
    postgres.stop().await.unwrap();
    let left: Vec<PathBuf> = fs::read_dir(&server).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, [server.join("cluster")]);

    // Killed between the rename and the note that it is complete.
    fs::remove_file(dir.path().join("postgres/initialised")).unwrap();
    let postgres = start(options(dir.path())).await.unwrap();
    assert_eq!(ask(&postgres, KEPT).await, "still here");
    postgres.stop().await.unwrap();

    fs::remove_dir_all(server.join("cluster")).unwrap();
    assert!(matches!(error(options(dir.path())).await, PgError::Gone { .. }));
}

#[tokio::test]
async fn a_taken_port_is_left_unless_it_was_asked_for() {
    let dir = data_dir();
    let first = start(options(dir.path())).await.unwrap();
    let port = first.url().port().unwrap();
    first.stop().await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let asked = error(Options { port: Some(port), ..options(dir.path()) }).await;
    assert!(matches!(asked, PgError::PortInUse(p) if p == port));
    let second = start(options(dir.path())).await.unwrap();
    assert_ne!(second.url().port(), Some(port));
    drop(listener);
    drop(second);
    // The one left behind has another port than what is asked for now.
    let third = start(Options { port: Some(port), ..options(dir.path()) }).await.unwrap();
    assert_eq!((third.url().port(), third.is_adopted()), (Some(port), false));
    third.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_another_version_and_a_broken_one_say_what_to_do() {
    let dir = data_dir();
    start(options(dir.path())).await.unwrap().stop().await.unwrap();
    let cluster = dir.path().join("postgres/server/cluster");
    let version = fs::read_to_string(cluster.join("PG_VERSION")).unwrap();
    fs::write(cluster.join("PG_VERSION"), "9\n").unwrap();
    let said = error(options(dir.path())).await.to_string();
    assert!(said.contains("no PostgreSQL 9") && said.contains(version.trim()), "{said}");
    fs::write(cluster.join("PG_VERSION"), version).unwrap();
    fs::remove_file(cluster.join("global/pg_control")).unwrap();
    let said = error(options(dir.path())).await.to_string();
    assert!(said.contains("server.log") && said.contains("pg_control"), "{said}");
}

#[tokio::test]
async fn as_root_a_closed_data_directory_sends_the_cluster_elsewhere() {
    if !Uid::effective().is_root() {
        println!("not root: nothing to give up");
        return;
    }
    let (closed, system) = (data_dir(), data_dir());
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let elsewhere = || Options { system_dir: system.path().join("councilsense"), ..options(closed.path()) };
    let postgres = start(elsewhere()).await.unwrap();
    write(&postgres).await;
    let directory = ask(&postgres, "SHOW data_directory").await;
    assert!(Path::new(&directory).starts_with(system.path()), "{directory}");
    postgres.stop().await.unwrap();
    let postgres = start(elsewhere()).await.unwrap();
    assert_eq!(ask(&postgres, KEPT).await, "still here");
    postgres.stop().await.unwrap();
}

/// Downloads some 20 MB, so only under CI and when asked.
#[cfg(feature = "fetch")]
#[tokio::test]
async fn postgres_is_fetched_for_a_version_that_is_not_installed() {
    #[expect(clippy::disallowed_methods, reason = "whether a test may download")]
    let told = |name: &str| std::env::var(name).is_ok_and(|value| value == "true");
    if !told("CI") && !told("COUNCILSENSE_FETCH") {
        println!("not under CI: COUNCILSENSE_FETCH=true cargo test -p cs-pg --features fetch downloads it");
        return;
    }
    let dir = data_dir();
    let keep = dir.path().join("postgres");
    start(options(dir.path())).await.unwrap().stop().await.unwrap();
    let cluster = keep.join("server/cluster");
    let version = fs::read_to_string(cluster.join("PG_VERSION")).unwrap();
    fs::write(cluster.join("PG_VERSION"), "18\n").unwrap();
    // The programs arrive and run; the cluster, which is not theirs, they refuse.
    let said = error(Options { fetch: true, ..options(dir.path()) }).await.to_string();
    assert!(said.contains("incompatible with server") || said.contains("not compatible"), "{said}");
    fs::write(cluster.join("PG_VERSION"), version).unwrap();

    // A new cluster gets the newest there is, which is now the fetched one.
    let other = data_dir();
    fs::create_dir(other.path().join("postgres")).unwrap();
    fs::rename(keep.join("versions"), other.path().join("postgres/versions")).unwrap();
    let postgres = start(options(other.path())).await.unwrap();
    assert!(ask(&postgres, "SHOW server_version").await.starts_with("18."));
    postgres.stop().await.unwrap();
}
