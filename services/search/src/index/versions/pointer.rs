//! The small file that says which version is used.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::index::IndexError;

/// The first version's directory: it is used where no file says otherwise.
const FIRST: &str = "index";
const FILE: &str = "index.json";

/// Which directories hold versions of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pointer {
    /// The one that is used.
    pub(super) current: String,
    /// The one before, for going back.
    pub(super) previous: Option<String>,
    /// Since when the one before was not told everything any more.
    #[serde(default)]
    pub(super) apart: Option<DateTime<Utc>>,
}

impl Pointer {
    /// As the data directory says.
    pub(super) fn read(data: &Path) -> Result<Self, IndexError> {
        let path = data.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| IndexError::Pointer { path }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Self { current: FIRST.to_owned(), previous: None, apart: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes effect in one step, whenever it is read next.
    pub(super) fn write(&self, data: &Path) -> Result<(), IndexError> {
        let new = data.join("index.json.new");
        let file = File::create(&new)?;
        serde_json::to_writer(&file, self).map_err(super::engine)?;
        file.sync_all()?;
        Ok(fs::rename(new, data.join(FILE))?)
    }

    /// With the version after this one in use.
    pub(super) fn advanced(&self) -> Self {
        let number = self.current.strip_prefix("index-").and_then(|n| n.parse::<u32>().ok()).unwrap_or(1);
        Self { current: format!("index-{}", number + 1), previous: Some(self.current.clone()), apart: None }
    }

    /// With the version before in use, where it is still there.
    pub(super) fn back(&self, data: &Path) -> Option<Self> {
        let previous = self.previous.clone().filter(|previous| data.join(previous).exists())?;
        Some(Self { current: previous, previous: Some(self.current.clone()), apart: None })
    }

    /// Removes every directory that is neither in use nor the one before.
    pub(super) fn sweep(&self, data: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(data)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_version =
                name == FIRST || name.strip_prefix("index-").is_some_and(|n| n.parse::<u32>().is_ok());
            if is_version && name != self.current && Some(&name) != self.previous.as_ref() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_each_other_and_the_one_before_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = Pointer::read(dir.path()).unwrap();
        assert_eq!((first.current.as_str(), first.back(dir.path())), ("index", None));
        let second = first.advanced();
        second.write(dir.path()).unwrap();
        let third = Pointer::read(dir.path()).unwrap().advanced();
        assert_eq!((third.current.as_str(), third.previous.as_deref()), ("index-3", Some("index-2")));
        for name in ["index", "index-2", "index-3", "index-x"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        third.sweep(dir.path()).unwrap();
        let there = |name: &str| dir.path().join(name).exists();
        assert!(!there("index") && there("index-2") && there("index-3") && there("index-x"));
        let back = third.back(dir.path()).unwrap();
        assert_eq!((back.current.as_str(), back.previous.as_deref()), ("index-2", Some("index-3")));
    }

    #[test]
    fn one_written_before_it_said_since_when_is_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), r#"{"current":"index-2","previous":"index"}"#).unwrap();
        assert_eq!(Pointer::read(dir.path()).unwrap().apart, None);
    }

    #[test]
    fn a_damaged_pointer_is_said() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(Pointer::read(dir.path()).unwrap_err().to_string().contains("index.json"));
    }
}
