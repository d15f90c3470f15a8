//! The configured search engine. The embedded one keeps its versions in directories, and a small file says which is used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::opensearch::{OpenSearchIndex, Options};
use search::index::{IndexError, SearchIndex};
use search::rank::RankParams;
use serde::{Deserialize, Serialize};

use crate::config::{SearchEngine, Settings};
use crate::data_dir::DataDir;

/// The first version's directory: it is used where no file says otherwise.
const FIRST: &str = "index";
const POINTER: &str = "index.json";

/// An engine, open.
pub(crate) struct Engine {
    pub(crate) index: Arc<dyn SearchIndex>,
    /// Some tenant's index was damaged, and is empty now.
    pub(crate) rebuild: bool,
}

/// Opens the configured engine. An OpenSearch that does not answer is no reason not to start.
pub(crate) async fn open(settings: &Settings, dir: &DataDir, dimensions: usize) -> anyhow::Result<Engine> {
    match settings.search_engine {
        SearchEngine::Embedded => {
            let path = dir.path().join(Versions::read(dir.path())?.current);
            let (index, damaged) = EmbeddedIndex::open(&path, RankParams::default(), OnDamage::StartEmpty)?;
            Ok(Engine { index: Arc::new(index), rebuild: !damaged.is_empty() })
        }
        SearchEngine::Opensearch => {
            let index = match OpenSearchIndex::connect(opensearch(settings, dimensions)).await {
                Err(error @ IndexError::Unavailable { .. }) => {
                    tracing::error!(%error, "search answers that it is unavailable until then");
                    OpenSearchIndex::lazy(opensearch(settings, dimensions))?
                }
                connected => connected?,
            };
            Ok(Engine { index: Arc::new(index), rebuild: false })
        }
    }
}

/// How the configured OpenSearch is reached.
pub(crate) fn opensearch(settings: &Settings, dimensions: usize) -> Options {
    let mut options = Options::new(settings.opensearch_url.clone(), dimensions);
    options.prefix.clone_from(&settings.opensearch_prefix);
    options
}

/// Which directories hold versions of the embedded index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// The one that is used.
    pub(crate) current: String,
    /// The one before, for going back.
    pub(crate) previous: Option<String>,
}

impl Versions {
    /// As the data directory says.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Self> {
        let path = data.join(POINTER);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{} is not what was written: delete it to use {FIRST}/ again", path.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self { current: FIRST.to_owned(), previous: None })
            }
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Takes effect in one step, whenever it is read next.
    pub(crate) fn write(&self, data: &Path) -> anyhow::Result<()> {
        let new = data.join("index.json.new");
        let file = std::fs::File::create(&new)?;
        serde_json::to_writer(&file, self)?;
        file.sync_all()?;
        Ok(std::fs::rename(new, data.join(POINTER))?)
    }

    /// The directory of the version after the current one.
    pub(crate) fn next(&self) -> String {
        let number = self.current.strip_prefix("index-").and_then(|n| n.parse::<u32>().ok()).unwrap_or(1);
        format!("index-{}", number + 1)
    }

    /// With the next version in use.
    pub(crate) fn advanced(&self) -> Self {
        Self { current: self.next(), previous: Some(self.current.clone()) }
    }

    /// Removes every directory that is neither in use nor the one before.
    pub(crate) fn sweep(&self, data: &Path) -> std::io::Result<()> {
        for entry in std::fs::read_dir(data)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_version =
                name == FIRST || name.strip_prefix("index-").is_some_and(|n| n.parse::<u32>().is_ok());
            if is_version && name != self.current && Some(&name) != self.previous.as_ref() {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Where a version lies.
pub(crate) fn path(data: &Path, version: &str) -> PathBuf {
    data.join(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_each_other_and_the_one_before_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = Versions::read(dir.path()).unwrap();
        assert_eq!((first.current.as_str(), first.next().as_str()), ("index", "index-2"));
        let second = first.advanced();
        second.write(dir.path()).unwrap();
        let third = Versions::read(dir.path()).unwrap().advanced();
        assert_eq!((third.current.as_str(), third.previous.as_deref()), ("index-3", Some("index-2")));
        for name in ["index", "index-2", "index-3", "index-x"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        third.sweep(dir.path()).unwrap();
        let there = |name: &str| dir.path().join(name).exists();
        assert!(!there("index") && there("index-2") && there("index-3") && there("index-x"));
    }

    #[test]
    fn a_damaged_pointer_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(POINTER), "{").unwrap();
        assert!(Versions::read(dir.path()).unwrap_err().to_string().contains("index.json"));
    }
}
