//! Where everything lies, and as which user the server runs.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nix::unistd::{Uid, User};

use crate::{Options, PgError};

/// The directories of one data directory's PostgreSQL; locked as long as it lives.
pub(crate) struct Place {
    /// Ours, inside the data directory: secrets and what is remembered.
    pub(crate) keep: PathBuf,
    /// Holds `server/` and `versions/`: the same as `keep`, if the server's user can reach it.
    home: PathBuf,
    /// As whom the server runs (user, group), if not as we do.
    user: Option<(u32, u32)>,
    lock: File,
}

impl Place {
    /// Opens or makes the directories of a data directory and locks them.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, PgError> {
        let data_dir = std::path::absolute(data_dir).map_err(PgError::files(data_dir))?;
        private_dir(&data_dir).map_err(PgError::files(&data_dir))?;
        let data_dir = data_dir.canonicalize().map_err(PgError::files(&data_dir))?;
        let keep = data_dir.join("postgres");
        private_dir(&keep).map_err(PgError::files(&keep))?;
        let lock = keep.join("lock");
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock);
        let file = file.map_err(PgError::files(&lock))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => PgError::InUse(data_dir),
            TryLockError::Error(source) => PgError::Files { path: lock, source },
        })?;
        let mut place = Self { home: keep.clone(), user: None, keep, lock: file };
        if let Some(home) = place.recall("place")? {
            place.home = PathBuf::from(home);
        }
        if Uid::effective().is_root() {
            place.user = Some(place.unprivileged()?);
        }
        Ok(place)
    }

    /// The cluster's owner, so that a change of machine or of `postgres`' number changes nothing; else the usual ones.
    fn unprivileged(&self) -> Result<(u32, u32), PgError> {
        if let Ok(metadata) = fs::metadata(self.cluster())
            && metadata.uid() != 0
        {
            return Ok((metadata.uid(), metadata.gid()));
        }
        let named = |name| User::from_name(name).ok().flatten();
        let user = named("postgres").or_else(|| named("nobody")).ok_or(PgError::NoUser)?;
        Ok((user.uid.as_raw(), user.gid.as_raw()))
    }

    pub(crate) fn server_dir(&self) -> PathBuf {
        self.home.join("server")
    }

    pub(crate) fn cluster(&self) -> PathBuf {
        self.server_dir().join("cluster")
    }

    pub(crate) fn versions(&self) -> PathBuf {
        self.home.join("versions")
    }

    /// The major version of the cluster, if there is one. That there was one and it is gone is an error: a new, empty
    /// one would not fit what else is in the data directory.
    pub(crate) fn cluster_major(&self) -> Result<Option<u32>, PgError> {
        let major = fs::read_to_string(self.cluster().join("PG_VERSION"));
        match major.ok().and_then(|text| text.trim().parse().ok()) {
            None if self.recall("initialised")?.is_some() => Err(PgError::Gone { cluster: self.cluster() }),
            major => Ok(major),
        }
    }

    /// Makes the server's directory where its user can reach it.
    pub(crate) fn settle(&mut self, options: &Options) -> Result<(), PgError> {
        self.make_server_dir()?;
        if self.user.is_none() || self.is_reached()? {
            return Ok(());
        }
        fs::remove_dir(self.server_dir()).map_err(PgError::files(&self.home))?;
        self.home = options.system_dir.join(format!("{:016x}", rand::random::<u64>()));
        fs::create_dir_all(&self.home).map_err(PgError::files(&self.home))?;
        for dir in [&options.system_dir, &self.home] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).map_err(PgError::files(dir))?;
        }
        self.make_server_dir()?;
        self.remember("place", &self.home.to_string_lossy())?;
        (options.on_progress)(&format!(
            "the database goes to {}: the user that runs it cannot reach the data directory",
            self.home.display()
        ));
        if self.is_reached()? {
            return Ok(());
        }
        Err(PgError::Files { path: self.server_dir(), source: ErrorKind::PermissionDenied.into() })
    }

    fn make_server_dir(&self) -> Result<(), PgError> {
        let dir = self.server_dir();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        let owned =
            made.and_then(|()| self.user.map_or(Ok(()), |(uid, gid)| chown(&dir, Some(uid), Some(gid))));
        owned.map_err(PgError::files(&dir))
    }

    /// Asks the system instead of reading modes, which say nothing of access lists and mounts.
    fn is_reached(&self) -> Result<bool, PgError> {
        match self.command(Path::new("true")).status() {
            Ok(status) => Ok(status.success()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
            Err(source) => Err(PgError::Run { program: "true".into(), source }),
        }
    }

    /// A program run as the server's user, with none of the application's environment: it may hold secrets. Without
    /// privileges it has no supplementary groups either; the standard library drops them with the user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.server_dir()).stdin(Stdio::null()).env_clear().env("LC_ALL", "C");
        for name in ["PATH", "LD_LIBRARY_PATH"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // Ctrl-C in the terminal is the application's; it stops the server after its own work.
        command.process_group(0);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// A file for the server's user alone.
    pub(crate) fn hand_over(&self, path: &Path, text: &str) -> Result<(), PgError> {
        write_secret(path, text)
            .and_then(|()| self.user.map_or(Ok(()), |(uid, gid)| chown(path, Some(uid), Some(gid))))
            .map_err(PgError::files(path))
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.keep.join("password")
    }

    /// A new password, for a new cluster.
    pub(crate) fn new_password(&self) -> Result<String, PgError> {
        let password = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        self.remember("password", &password)?;
        Ok(password)
    }

    /// Reads a remembered line.
    pub(crate) fn recall(&self, name: &str) -> Result<Option<String>, PgError> {
        let path = self.keep.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|line| !line.is_empty())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PgError::files(&path)(error)),
        }
    }

    /// Keeps a line, wholly or not at all.
    pub(crate) fn remember(&self, name: &str, line: &str) -> Result<(), PgError> {
        let path = self.keep.join(name);
        let new = self.keep.join(format!("{name}.new"));
        write_secret(&new, line).and_then(|()| fs::rename(&new, &path)).map_err(PgError::files(&path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a process that another thread is starting at this moment.
        if let Err(error) = self.lock.unlock() {
            tracing::debug!(%error, "the data directory stays locked until the process ends");
        }
    }
}

/// Makes a directory for its owner; as root others may pass through, since the server's user must.
fn private_dir(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mode = if Uid::effective().is_root() { 0o711 } else { 0o700 };
    DirBuilder::new().mode(mode).create(path)
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
