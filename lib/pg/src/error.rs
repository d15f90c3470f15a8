//! What can go wrong, and what to do about it.

use std::path::{Path, PathBuf};

/// The private PostgreSQL cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// A file or directory of ours cannot be read or written.
    #[error("{path}: {source}. Check its permissions and the free disk space, or use another --data-dir")]
    Files {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another running process holds the data directory.
    #[error("{0} is in use by a running councilsense: stop that one, or use another --data-dir")]
    InUse(PathBuf),
    /// No PostgreSQL that fits.
    #[error(
        "no PostgreSQL {wanted} was found (found: {found}). Install it (for example: apt install postgresql), put its \
         bin directory on PATH, or set DATABASE_URL to a server that runs already"
    )]
    NotFound {
        /// Which versions would do.
        wanted: String,
        /// The versions that are there.
        found: String,
    },
    /// The download failed.
    #[error(
        "PostgreSQL is not installed and could not be downloaded: {0}. Install it (for example: apt install \
         postgresql), or set DATABASE_URL to a server that runs already"
    )]
    Fetch(String),
    /// Root may not run PostgreSQL, and nobody else can.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as: start councilsense \
         as an ordinary user, or set DATABASE_URL"
    )]
    NoUser,
    /// initdb failed.
    #[error("the database could not be created in {cluster}: {output}{}", hint(.output))]
    Init {
        /// Where.
        cluster: PathBuf,
        /// What initdb said.
        output: String,
    },
    /// There was a cluster, and it is no more.
    #[error(
        "the database that belongs to this data directory is gone from {cluster}: bring it back, or remove the data \
         directory to begin anew"
    )]
    Gone {
        /// Where it was.
        cluster: PathBuf,
    },
    /// The password is lost, or not the cluster's.
    #[error(
        "the database's password in {0} is missing or wrong: bring the file back, or remove the data directory to \
         begin anew"
    )]
    Password(PathBuf),
    /// The port that was asked for is taken.
    #[error("port {0} on 127.0.0.1 is in use: choose another, or none to take any that is free")]
    PortInUse(u16),
    /// The program cannot be run at all.
    #[error("{program} cannot be run: {source}. Check that its user may execute it")]
    Run {
        /// Which one.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server ended while it started.
    #[error("PostgreSQL did not start{}\nThe end of {log}:\n{tail}", hint(.tail))]
    Exited {
        /// Its log.
        log: PathBuf,
        /// The last lines of this start.
        tail: String,
    },
    /// The server was not ready in time; it goes on and the next start finds it.
    #[error(
        "PostgreSQL is not ready after {seconds} s; it may still be recovering: try again in a while\nThe end of \
         {log}:\n{tail}"
    )]
    Timeout {
        /// How long was waited.
        seconds: u64,
        /// Its log.
        log: PathBuf,
        /// The last lines of this start.
        tail: String,
    },
    /// It is ready but refuses us.
    #[error("PostgreSQL is up but refuses the connection: {0}")]
    Connect(#[source] sqlx::Error),
    /// Something else answers on the port.
    #[error("the server on port {0} is not this data directory's: start councilsense again")]
    Stranger(u16),
    /// It did not stop.
    #[error("PostgreSQL (process {pid}) did not stop within {seconds} s")]
    StillRunning {
        /// Its process.
        pid: i32,
        /// How long was waited.
        seconds: u64,
    },
}

impl PgError {
    pub(crate) fn files(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Files { path, source }
    }
}

/// What the server's own words mean to a user who does not know PostgreSQL.
fn hint(said: &str) -> &'static str {
    const HINTS: [(&str, &str); 5] = [
        ("No space left on device", ": there is no disk space left. Free some, or use another --data-dir"),
        ("could not bind", ": its port was taken meanwhile. Start councilsense again"),
        ("Permission denied", ": it may not use its files. Give the database directory back to its owner"),
        ("incompatible with server", ": the database was made by another major version of PostgreSQL"),
        (
            "shared memory",
            ": the system gives it no shared memory. Raise the limit (in a container: --shm-size=256m)",
        ),
    ];
    HINTS.iter().find(|(words, _)| said.contains(words)).map_or("", |(_, hint)| hint)
}
