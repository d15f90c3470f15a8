//! The data directory: its lock, its version, its secrets, and the note that says which instance runs on it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The layout this program reads and writes.
const FORMAT: u32 = 1;

/// A data directory.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

/// The right to change a data directory. Let go when dropped, or when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Where a running instance can be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Its process.
    pub pid: u32,
    /// Its gRPC address.
    pub grpc: String,
    /// Its web address.
    pub http: String,
}

/// What only the installation knows. Kept in a file that only its owner reads.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// From which the database roles' passwords are derived, base64.
    role_secret: String,
    /// Signs caller tokens, PKCS#8 PEM.
    internal_key: String,
    /// Seals sessions, base64 of 32 bytes.
    session_key: String,
    /// Between the BFF and the development identity provider.
    pub development_client_secret: String,
    /// Signs the development identity provider's tokens, PKCS#8 PEM.
    pub development_idp_key: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(redacted)")
    }
}

impl Secrets {
    fn generate() -> anyhow::Result<Self> {
        Ok(Self {
            role_secret: STANDARD.encode(rand::random::<[u8; 32]>()),
            internal_key: cs_rpc::SigningKey::generate()?.to_pem().to_owned(),
            session_key: STANDARD.encode(rand::random::<[u8; 32]>()),
            development_client_secret: STANDARD.encode(rand::random::<[u8; 24]>()),
            development_idp_key: cs_devidp::SigningKey::generate()?.to_pem()?,
        })
    }

    /// For the database roles' passwords.
    pub fn role_secret(&self) -> anyhow::Result<Vec<u8>> {
        STANDARD.decode(&self.role_secret).context("role_secret in the secrets file is not base64")
    }

    /// Signs caller tokens.
    pub fn internal_key(&self) -> anyhow::Result<cs_rpc::SigningKey> {
        Ok(cs_rpc::SigningKey::from_pem(&self.internal_key)?)
    }

    /// Seals sessions.
    pub fn session_key(&self) -> anyhow::Result<bff::SessionKey> {
        let bytes =
            STANDARD.decode(&self.session_key).context("session_key in the secrets file is not base64")?;
        let secret = bytes
            .try_into()
            .map_err(|_| anyhow::anyhow!("session_key in the secrets file is not 32 bytes"))?;
        Ok(bff::SessionKey { id: "1".to_owned(), secret })
    }
}

impl DataDir {
    /// Opens a directory, or makes it. One of a newer version is refused.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| {
            format!("the data directory {} cannot be made; choose another with --data-dir", path.display())
        })?;
        let dir = Self::existing(path)?;
        let version = dir.root.join("VERSION");
        if !version.exists() {
            write_private(&version, format!("{FORMAT}\n").as_bytes())
                .with_context(|| unwritable(&version))?;
        }
        Ok(dir)
    }

    /// The same of one that is there, in which nothing is made or changed.
    pub fn existing(path: &Path) -> anyhow::Result<Self> {
        let root = path
            .canonicalize()
            .with_context(|| format!("the data directory {} cannot be used", path.display()))?;
        let dir = Self { root };
        let version = dir.root.join("VERSION");
        if version.exists() {
            let text = std::fs::read_to_string(&version)
                .with_context(|| format!("{} cannot be read: is it yours?", version.display()))?;
            let Ok(found) = text.trim().parse::<u32>() else {
                bail!(
                    "{} holds {:?} where the number of a format belongs, so nobody knows what made this directory. \
                     Put back the file of a backup, or choose another directory with --data-dir",
                    version.display(),
                    text.trim().chars().take(20).collect::<String>()
                );
            };
            if found > FORMAT {
                bail!(
                    "the data directory {} was made by a newer councilsense (format {found}; this one reads up to {FORMAT}). \
                     Install that version, or choose another directory with --data-dir",
                    dir.root.display()
                );
            }
        }
        Ok(dir)
    }

    /// Whether `up` has been through with it before.
    pub fn is_begun(&self) -> bool {
        self.root.join("BEGUN").exists()
    }

    /// `up` is through with it: the bundled city is loaded, or was not wanted.
    pub fn begun(&self) -> anyhow::Result<()> {
        let path = self.root.join("BEGUN");
        write_private(&path, b"").with_context(|| unwritable(&path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Takes the right to change it.
    pub fn lock(&self) -> anyhow::Result<Lock> {
        let path = self.root.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        self.take(file.with_context(|| unwritable(&path))?)
    }

    /// Whether it could be had now; refused as the lock is. Nothing is made.
    pub fn is_free(&self) -> anyhow::Result<()> {
        let path = self.root.join("lock");
        match File::open(&path) {
            Ok(file) => self.take(file).map(drop),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => {
                Err(error).with_context(|| format!("{} cannot be read: is it yours?", path.display()))
            }
        }
    }

    fn take(&self, file: File) -> anyhow::Result<Lock> {
        if file.try_lock().is_err() {
            let who =
                self.instance().map(|i| format!(" (process {}, {})", i.pid, i.http)).unwrap_or_default();
            bail!(
                "the data directory {} is in use by another councilsense{who}. Stop it, or choose another directory with --data-dir",
                self.root.display()
            );
        }
        Ok(Lock { _file: file })
    }

    /// The secrets; made when first asked for.
    pub fn secrets(&self) -> anyhow::Result<Secrets> {
        let path = self.root.join("secrets.toml");
        if !path.exists() {
            let secrets = Secrets::generate()?;
            write_private(&path, toml::to_string(&secrets)?.as_bytes()).with_context(|| unwritable(&path))?;
            return Ok(secrets);
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        // What is wrong and where: never the value, nor the line that it stands on.
        let damaged = |why: String| {
            anyhow::anyhow!(
                "{} is damaged: restore it, or delete it to make new secrets (everybody is signed out): {why}",
                path.display()
            )
        };
        let table: toml::Table =
            text.parse().map_err(|error| damaged(crate::config::toml_error(&text, &error)))?;
        for (name, value) in &table {
            if !value.is_str() {
                return Err(damaged(format!("{name} is no text")));
            }
        }
        table.try_into().map_err(|error: toml::de::Error| damaged(error.message().to_owned()))
    }

    /// Notes how this instance is reached.
    pub fn announce(&self, instance: &Instance) -> anyhow::Result<()> {
        let path = self.root.join("instance.json");
        write_private(&path, serde_json::to_string_pretty(instance)?.as_bytes())
            .with_context(|| unwritable(&path))
    }

    /// The instance that noted itself, running or not.
    pub fn instance(&self) -> Option<Instance> {
        serde_json::from_slice(&std::fs::read(self.root.join("instance.json")).ok()?).ok()
    }

    /// The instance is gone.
    pub fn retract(&self) {
        let _ = std::fs::remove_file(self.root.join("instance.json"));
    }
}

/// What to do where a file of the directory cannot be written; the system's own word follows.
fn unwritable(path: &Path) -> String {
    format!(
        "{} cannot be written: free disk space, let this user write there, or choose another directory with --data-dir",
        path.display()
    )
}

/// Writes a file only its owner reads, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("councilsense-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn one_at_a_time_and_secrets_stay() {
        let path = scratch("lock");
        let dir = DataDir::open(&path).unwrap();
        assert!(!dir.is_begun());
        let lock = dir.lock().unwrap();
        assert!(dir.lock().unwrap_err().to_string().contains("in use"));
        drop(lock);
        dir.lock().unwrap();
        let first = dir.secrets().unwrap().role_secret().unwrap();
        assert_eq!(dir.secrets().unwrap().role_secret().unwrap(), first);
        dir.begun().unwrap();
        assert!(DataDir::open(&path).unwrap().is_begun());
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_named_with_advice() {
        let path = scratch("unwritable");
        let dir = DataDir::open(&path).unwrap();
        // In the way of the file that is written first, and of the lock: not even root writes to a directory.
        std::fs::create_dir(path.join("secrets.new")).unwrap();
        std::fs::create_dir(path.join("lock")).unwrap();
        for (told, file) in [(dir.secrets().unwrap_err(), "secrets.toml"), (dir.lock().unwrap_err(), "lock")]
        {
            let told = format!("{told:#}");
            assert!(told.contains(file) && told.contains("--data-dir") && told.contains("disk"), "{told}");
        }
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn damaged_secrets_are_not_shown() {
        let path = scratch("damaged");
        let dir = DataDir::open(&path).unwrap();
        dir.secrets().unwrap();
        let file = path.join("secrets.toml");
        let whole = std::fs::read_to_string(&file).unwrap();
        for (text, why) in [
            (whole.replacen("session_key = \"", "session_key = \"canary", 1).replacen("=\"", "", 1), "line "),
            ("role_secret = \"canary".to_owned(), "line 1, column "),
            ("role_secret = 4711".to_owned(), "role_secret is no text"),
            ("role_secret = \"canary\"".to_owned(), "internal_key"),
        ] {
            std::fs::write(&file, text).unwrap();
            let told = format!("{:#}", dir.secrets().unwrap_err());
            assert!(told.contains("is damaged: restore it") && told.contains(why), "{told}");
            assert!(!told.contains("canary") && !told.contains("4711"), "{told}");
        }
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_newer_directory_is_refused_with_advice() {
        let path = scratch("newer");
        DataDir::open(&path).unwrap();
        std::fs::write(path.join("VERSION"), "99\n").unwrap();
        assert!(DataDir::open(&path).unwrap_err().to_string().contains("newer"));
        std::fs::write(path.join("VERSION"), "rubbish\n").unwrap();
        assert!(DataDir::open(&path).unwrap_err().to_string().contains("holds \"rubbish\""));
        std::fs::remove_dir_all(path).unwrap();
    }
}
