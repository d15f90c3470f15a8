//! One tenant's index: a directory of its own, so that no other tenant's words weigh in its scores.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use tantivy::{Index, IndexSettings, ReloadPolicy};
use tokio::sync::oneshot;

use super::disk::Disk;
use super::schema::Layout;
use super::snapshot::Snapshot;
use super::writer::{Change, What, WriterThread};
use crate::index::{Applied, IndexError};

/// An open tenant's index.
pub(super) struct Shard {
    current: Arc<RwLock<Arc<Snapshot>>>,
    changes: Mutex<Option<Sender<Change>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Shard {
    /// Opens the index in `path`, or makes an empty one there. What is there is checked byte by byte first.
    pub(super) fn open(path: &Path) -> Result<Self, IndexError> {
        fs::create_dir_all(path)?;
        let damaged = |reason: String| IndexError::Corrupt { path: path.to_owned(), reason };
        let layout = Arc::new(Layout::new());
        let directory = || Disk::open(path).map_err(|e| damaged(e.to_string()));
        if path.join("meta.json").exists() {
            let index = Index::open(directory()?).map_err(|e| damaged(e.to_string()))?;
            if index.schema() != layout.schema {
                return Err(damaged("its fields are not those of this format".to_owned()));
            }
            let files = index.validate_checksum().map_err(|e| damaged(e.to_string()))?;
            if let Some(file) = files.iter().next() {
                return Err(damaged(format!("{} is not what was written", file.display())));
            }
        }
        let index = Index::builder()
            .schema(layout.schema.clone())
            .settings(IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() })
            .open_or_create(directory()?)
            .map_err(|e| damaged(e.to_string()))?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(|e: tantivy::TantivyError| damaged(e.to_string()))?;
        let snapshot = Snapshot::build(Arc::clone(&layout), reader.searcher(), None)
            .map_err(|e| damaged(e.to_string()))?;
        let current = Arc::new(RwLock::new(Arc::new(snapshot)));
        let (changes, receiver) = channel();
        let writer = WriterThread { index, reader, layout, current: Arc::clone(&current), changes: receiver };
        let thread =
            std::thread::Builder::new().name("search-writer".to_owned()).spawn(move || writer.run())?;
        Ok(Self { current, changes: Mutex::new(Some(changes)), thread: Mutex::new(Some(thread)) })
    }

    /// What a search sees now.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a change, and waits until it is durable and searchable.
    pub(super) async fn change(&self, what: What) -> Result<Applied, IndexError> {
        let (done, answer) = oneshot::channel();
        {
            let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let sender = changes.as_ref().ok_or(IndexError::Closed)?;
            sender.send(Change { what, done }).map_err(|_| IndexError::Closed)?;
        }
        answer.await.map_err(|_| IndexError::Closed)?
    }

    /// Ends the writing thread after what it was handed.
    pub(super) fn close(&self) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the search index's writing thread panicked");
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.close();
    }
}
