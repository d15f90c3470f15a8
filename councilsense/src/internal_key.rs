//! The key by which roles know each other: the configured one, else the data directory's.

use std::path::PathBuf;

use cs_rpc::{KeyError, SigningKey};

use crate::config::Settings;
use crate::data_dir::DataDir;

/// The file of `--internal-key-file` is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("--internal-key-file {}: put it there, and let this program's user read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// It is no such key.
    #[error("--internal-key-file {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
}

/// The configured key, where there is one.
pub fn configured(settings: &Settings) -> Result<Option<SigningKey>, KeyFileError> {
    let Some(path) = settings.internal_key_file.clone() else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(pem) => match SigningKey::from_pem(&pem) {
            Ok(key) => Ok(Some(key)),
            Err(source) => Err(KeyFileError::Malformed { path, source }),
        },
        Err(source) => Err(KeyFileError::Unreadable { path, source }),
    }
}

/// Signs and checks caller tokens.
pub fn internal_key(settings: &Settings, dir: &DataDir) -> anyhow::Result<SigningKey> {
    match configured(settings)? {
        Some(key) => Ok(key),
        None => dir.secrets()?.internal_key(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn settings(line: String) -> Settings {
        crate::config::parse(line.split(' ').map(OsString::from)).unwrap().settings
    }

    #[test]
    fn the_configured_key_is_used_in_place_of_the_directory_s() {
        let scratch = tempfile::tempdir().unwrap();
        let (data, file) = (scratch.path().join("data"), scratch.path().join("key.pem"));
        let dir = DataDir::open(&data).unwrap();
        let own = settings(format!("councilsense token --data-dir {}", data.display()));
        let configured = settings(format!(
            "councilsense token --data-dir {} --internal-key-file {}",
            data.display(),
            file.display()
        ));
        let of = |settings: &Settings| internal_key(settings, &dir);
        assert_eq!(of(&own).unwrap().to_pem(), dir.secrets().unwrap().internal_key().unwrap().to_pem());

        let told = format!("{:#}", of(&configured).unwrap_err());
        assert!(told.contains("key.pem: put it there"), "{told}");
        std::fs::write(&file, "canary").unwrap();
        let told = format!("{:#}", of(&configured).unwrap_err());
        assert!(told.contains("openssl genpkey") && !told.contains("canary"), "{told}");
        let key = SigningKey::generate().unwrap();
        std::fs::write(&file, key.to_pem()).unwrap();
        assert_eq!(of(&configured).unwrap().to_pem(), key.to_pem());
    }
}
