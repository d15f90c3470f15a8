//! The server as a process: what its pid file says, and whether it lives.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::PgError;

/// How often a starting or stopping server is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// How long an orderly stop may take: it writes what is only in memory.
const FAST: Duration = Duration::from_secs(30);
/// How long a stop without that may take; the next start recovers from the write-ahead log.
const IMMEDIATE: Duration = Duration::from_secs(5);

/// What the server says of itself in `postmaster.pid` (storage/pidfile.h).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: i32,
    pub(crate) port: u16,
    pub(crate) ready: bool,
    pub(crate) stopping: bool,
}

impl PidFile {
    /// `None` if there is none, or it is only half written yet.
    pub(crate) fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(cluster.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let status = lines.get(7).copied().unwrap_or_default();
        Some(Self {
            pid: lines.first()?.parse().ok()?,
            port: lines.get(3).and_then(|line| line.parse().ok()).unwrap_or(0),
            ready: status == "ready",
            stopping: status == "stopping",
        })
    }
}

/// Whether a process lives and is the cluster's server: numbers are given to other programs again.
pub(crate) fn serves(pid: i32, cluster: &Path) -> bool {
    let line = if Path::new("/proc/self/cmdline").exists() {
        fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
    } else {
        Command::new("ps")
            .args(["-ww", "-o", "args=", "-p", &pid.to_string()])
            .output()
            .map_or(vec![], |o| o.stdout)
    };
    // A process that ended and was not waited for has an empty command line.
    String::from_utf8_lossy(&line).contains(&*cluster.to_string_lossy())
}

/// Stops the server: in order if it manages to in time, else at once. `gone` says whether it has ended.
pub(crate) async fn stop(pid: i32, mut gone: impl FnMut() -> bool) -> Result<(), PgError> {
    for (signal, limit) in [(Signal::SIGINT, FAST), (Signal::SIGQUIT, IMMEDIATE)] {
        let begun = Instant::now();
        if gone() || kill(Pid::from_raw(pid), signal) == Err(nix::errno::Errno::ESRCH) {
            return Ok(());
        }
        while begun.elapsed() < limit {
            if gone() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        tracing::warn!(pid, %signal, "PostgreSQL is slow to stop");
    }
    Err(PgError::StillRunning { pid, seconds: (FAST + IMMEDIATE).as_secs() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_is_read_at_every_stage() {
        assert_eq!(PidFile::parse(""), None);
        let starting = PidFile::parse("71\n/data\n1700000000\n5433\n\n127.0.0.1\n 52 1\nstarting\n").unwrap();
        assert_eq!(starting, PidFile { pid: 71, port: 5433, ready: false, stopping: false });
        assert!(PidFile::parse("71\n/data\n1\n5433\n\n127.0.0.1\n 52 1\nready   \n").unwrap().ready);
        assert!(PidFile::parse("71\n/data\n1\n5433\n\n127.0.0.1\n 52 1\nstopping\n").unwrap().stopping);
        assert_eq!(PidFile::parse("71\n").unwrap().port, 0);
    }

    #[test]
    fn a_living_process_that_is_not_the_server_is_not_taken_for_it() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(!serves(me, Path::new("/var/lib/no/such/cluster")));
    }
}
