//! Starts, adopts and stops the server.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;
use url::Url;

use crate::find::{self, Installation};
use crate::init::{SUPERUSER, init};
use crate::log::{self, Log};
use crate::place::Place;
use crate::process::{self, POLL, PidFile, serves};
use crate::{Options, PgError};

/// How long a server may take to be ready, recovery after a crash included.
const READY: Duration = Duration::from_secs(60);
/// How long the processes of a killed server may hold its memory.
const RELEASE: Duration = Duration::from_secs(10);
/// How many other ports are tried when one is taken between looking and binding.
const PORTS: usize = 5;

/// A running private PostgreSQL.
///
/// Dropping it does **not** stop the server, and neither does killing the application: the next [`start`] with the
/// same data directory adopts it. Call [`PrivatePostgres::stop`].
pub struct PrivatePostgres {
    url: Url,
    running: Running,
    adopted: bool,
    place: Place,
    log_keeper: JoinHandle<()>,
}

/// Starts the data directory's server, or adopts the one that already runs there; returns when it accepts
/// connections.
pub async fn start(options: Options) -> Result<PrivatePostgres, PgError> {
    let mut place = Place::open(&options.data_dir)?;
    let path = place.keep.join("server.log");
    let mut log = Log::open(path.clone()).map_err(PgError::files(&path))?;
    let major = place.cluster_major()?;
    let found = if major.is_some() { adopt(&place, &options, &log).await? } else { None };
    let adopted = found.is_some();
    let (mut running, password) = if let Some(running) = found {
        (running, known_password(&place)?)
    } else {
        if major.is_none() {
            place.settle(&options)?;
        }
        let installation = installation(&place, &options, major).await?;
        let password = match major {
            Some(_) => known_password(&place)?,
            None => {
                (options.on_progress)("creating the database");
                init(&place, &installation).await?
            }
        };
        place.remember("initialised", &installation.major.to_string())?;
        (launch(&place, &options, &mut log, &installation).await?, password)
    };
    place.remember("port", &running.port.to_string())?;
    let url = url(&password, running.port);
    if let Err(error) = verify(&place, &url, running.port).await {
        if running.child.is_some() {
            running.stop(&place.cluster()).await?;
        }
        return Err(error);
    }
    let log_keeper = tokio::spawn(log::keep_small(path));
    Ok(PrivatePostgres { url, running, adopted, place, log_keeper })
}

impl PrivatePostgres {
    /// The superuser's address, password included.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The server's process.
    pub fn pid(&self) -> i32 {
        self.running.pid
    }

    /// Whether it was running already, left behind by an application that was killed.
    pub fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// Whether the server's process lives.
    pub fn is_running(&self) -> bool {
        serves(self.running.pid, &self.place.cluster())
    }

    /// Where the server's own words are.
    pub fn log(&self) -> PathBuf {
        self.place.keep.join("server.log")
    }

    /// Stops the server: ends its connections, writes everything and waits, 35 s at most.
    pub async fn stop(mut self) -> Result<(), PgError> {
        self.running.stop(&self.place.cluster()).await
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.log_keeper.abort();
    }
}

struct Running {
    pid: i32,
    port: u16,
    child: Option<Child>,
}

impl Running {
    fn has_ended(&mut self, cluster: &Path) -> bool {
        match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => !serves(self.pid, cluster),
        }
    }

    async fn stop(&mut self, cluster: &Path) -> Result<(), PgError> {
        process::stop(self.pid, || self.has_ended(cluster)).await
    }
}

fn known_password(place: &Place) -> Result<String, PgError> {
    place.recall("password")?.ok_or_else(|| PgError::Password(place.password_file()))
}

fn url(password: &str, port: u16) -> Url {
    // The password is URL-safe base64 and the rest constant.
    let text = format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres?sslmode=disable");
    Url::parse(&text).unwrap_or_else(|_| unreachable!("a constant address"))
}

/// The server that a killed application left, if it lives.
async fn adopt(place: &Place, options: &Options, log: &Log) -> Result<Option<Running>, PgError> {
    let cluster = place.cluster();
    let Some(file) = PidFile::read(&cluster) else { return Ok(None) };
    let pid = file.pid;
    if !serves(pid, &cluster) {
        // PostgreSQL handles a number that nobody has, but not one that another program has by now: it refuses.
        if kill(Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH) {
            let path = cluster.join("postmaster.pid");
            std::fs::remove_file(&path).map_err(PgError::files(&path))?;
        }
        return Ok(None);
    }
    let mut running = Running { pid, port: file.port, child: None };
    if file.stopping || options.port.is_some_and(|port| port != file.port) {
        running.stop(&cluster).await?;
        return Ok(None);
    }
    match wait_until_ready(place, &mut running, log).await {
        Ok(()) => Ok(Some(running)),
        Err(PgError::Exited { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn installation(place: &Place, options: &Options, major: Option<u32>) -> Result<Installation, PgError> {
    let found = find::choose(&place.versions(), major).await;
    #[cfg(feature = "fetch")]
    if options.fetch && matches!(found, Err(PgError::NotFound { .. })) {
        (options.on_progress)("downloading PostgreSQL, since the machine has none that fits (15 MB, once)");
        crate::fetch::fetch(&place.versions(), major).await?;
        return find::choose(&place.versions(), major).await;
    }
    let _ = options;
    found
}

async fn launch(
    place: &Place,
    options: &Options,
    log: &mut Log,
    installation: &Installation,
) -> Result<Running, PgError> {
    let begun = Instant::now();
    let remembered = place.recall("port")?.and_then(|port| port.parse().ok());
    let mut taken = 0;
    loop {
        let port = match options.port {
            Some(port) if !is_free(port) => return Err(PgError::PortInUse(port)),
            Some(port) => port,
            None => {
                remembered.filter(|port| taken == 0 && is_free(*port)).map_or_else(|| any_port(place), Ok)?
            }
        };
        log.mark().map_err(PgError::files(&log.path))?;
        let mut running = spawn(place, options, log, installation, port)?;
        match wait_until_ready(place, &mut running, log).await {
            Ok(()) => return Ok(running),
            Err(PgError::Exited { tail, .. })
                if tail.contains("could not bind") && options.port.is_none() && taken < PORTS =>
            {
                taken += 1;
            }
            Err(PgError::Exited { tail, .. })
                if tail.contains("pre-existing shared memory") && begun.elapsed() < RELEASE =>
            {
                tokio::time::sleep(POLL * 10).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn any_port(place: &Place) -> Result<u16, PgError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(bound.map_err(PgError::files(&place.keep))?.port())
}

fn spawn(
    place: &Place,
    options: &Options,
    log: &Log,
    installation: &Installation,
    port: u16,
) -> Result<Running, PgError> {
    let program = installation.bin.join("postgres");
    let mut command = place.command(&program);
    command.arg("-D").arg(place.cluster());
    let port_setting = format!("port={port}");
    // Given at every start instead of written into the cluster, so that a new version's settings reach old ones.
    let mut settings = vec![
        "listen_addresses=127.0.0.1",
        &port_setting,
        "unix_socket_directories=",
        "max_connections=200",
        "shared_buffers=64MB",
        "timezone=UTC",
        "log_timezone=UTC",
        "lc_messages=C",
        "log_destination=stderr",
        "logging_collector=off",
        "log_min_messages=warning",
        // Failing statements may hold personal data or a role's password; the application reports its own errors.
        "log_min_error_statement=panic",
        "log_error_verbosity=terse",
        "log_checkpoints=off",
    ];
    if !options.durable {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
    }
    command.args(settings.iter().flat_map(|setting| ["-c", setting]));
    let (out, err) = (log.writer(), log.writer());
    command.stdout(out.map_err(PgError::files(&log.path))?).stderr(err.map_err(PgError::files(&log.path))?);
    let child = command.spawn().map_err(|source| PgError::Run { program, source })?;
    Ok(Running { pid: child.id().cast_signed(), port, child: Some(child) })
}

/// Reads the server's state from its pid file: connecting would fill its log while it recovers.
async fn wait_until_ready(place: &Place, running: &mut Running, log: &Log) -> Result<(), PgError> {
    let (begun, cluster) = (Instant::now(), place.cluster());
    while begun.elapsed() < READY {
        if PidFile::read(&cluster).is_some_and(|file| file.pid == running.pid && file.ready) {
            return Ok(());
        }
        if running.has_ended(&cluster) {
            return Err(PgError::Exited { log: log.path.clone(), tail: log.tail() });
        }
        tokio::time::sleep(POLL).await;
    }
    Err(PgError::Timeout { seconds: READY.as_secs(), log: log.path.clone(), tail: log.tail() })
}

/// Connects once: the password is right, and it is our cluster that answers.
async fn verify(place: &Place, url: &Url, port: u16) -> Result<(), PgError> {
    let options: PgConnectOptions = url.as_str().parse().map_err(PgError::Connect)?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(|error| {
        match error.as_database_error().and_then(|e| e.code()).as_deref() {
            Some("28P01" | "28000") => PgError::Password(place.password_file()),
            _ => PgError::Connect(error),
        }
    })?;
    let directory: String = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(&mut connection)
        .await
        .map_err(PgError::Connect)?;
    connection.close().await.map_err(PgError::Connect)?;
    if Path::new(&directory) == place.cluster() { Ok(()) } else { Err(PgError::Stranger(port)) }
}
