//! The private PostgreSQL that `councilsense up` starts and stops itself.
//!
//! [`start`] finds PostgreSQL on the machine (or fetches it), makes a cluster in the data directory once, and runs
//! it on 127.0.0.1 with a password. As root it gives its privileges up, since PostgreSQL refuses to run as root. A
//! server that a killed application left behind is adopted. What it keeps in the data directory:
//!
//! ```text
//! postgres/password      the superuser's password, for its owner only
//! postgres/port          the port it had last
//! postgres/initialised   the cluster's major version, written when initdb is complete
//! postgres/place         where the rest lies, if the server's user cannot reach the data directory
//! postgres/server.log    emptied when it passes 10 MB
//! postgres/server/       the cluster, owned by the user that runs it
//! postgres/versions/     a fetched PostgreSQL
//! ```

mod error;
#[cfg(feature = "fetch")]
mod fetch;
mod find;
mod init;
mod log;
mod place;
mod process;
mod server;

use std::path::PathBuf;

pub use error::PgError;
pub use find::installed;
pub use server::{PrivatePostgres, start};

/// What to start.
pub struct Options {
    /// The application's data directory; made if missing.
    pub data_dir: PathBuf,
    /// The port on 127.0.0.1. `None`: the one it had last, or else any free one.
    pub port: Option<u16>,
    /// Whether to download PostgreSQL if the machine has none that fits (needs the feature `fetch`).
    pub fetch: bool,
    /// Whether what is committed survives a crash of the machine. Only tests say no.
    pub durable: bool,
    /// Where a root process puts the cluster if the server's user cannot reach the data directory.
    pub system_dir: PathBuf,
    /// Is told in a sentence what takes time.
    pub on_progress: Box<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// A durable server on any port, without downloads; progress goes to the log.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: None,
            fetch: false,
            durable: true,
            system_dir: PathBuf::from("/var/lib/councilsense"),
            on_progress: Box::new(|sentence| tracing::info!("{sentence}")),
        }
    }
}
