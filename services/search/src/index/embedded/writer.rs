//! One thread a tenant writes. It takes whatever changes have come in meanwhile, makes them durable with one commit,
//! shows the new state to readers, and only then answers: a change that has returned survives a crash and is searchable.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rayon::prelude::*;
use tantivy::indexer::IndexWriterOptions;
use tantivy::{Index, IndexReader, IndexWriter};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::schema::{Layout, LedgerEntry};
use super::snapshot::{Ledger, Snapshot};
use crate::index::{Applied, IndexError, Part, PassageDoc, PassageKind, Visibility};

/// Changes that share a commit, at most: so much is lost when it fails, and so long do they wait for each other.
const BATCH: usize = 256;
/// Passages that share a commit, at most.
const BATCH_PASSAGES: usize = 20_000;
/// After so long without a change the writer's memory and threads are given back.
const IDLE: Duration = Duration::from_secs(20);
/// Memory for postings in the making; tantivy asks for 15 MB at least.
const ARENA: usize = 32_000_000;

/// A change, and whom to tell.
pub(super) struct Change {
    pub(super) what: What,
    pub(super) done: oneshot::Sender<Result<Applied, IndexError>>,
}

/// What changes.
pub(super) enum What {
    Replace { meeting: Uuid, part: Part, version: i64, docs: Vec<PassageDoc> },
    Visibility { artifact: Uuid, version: i64, visibility: Visibility },
    Nothing,
}

/// The writing side of a tenant's index.
pub(super) struct WriterThread {
    pub(super) index: Index,
    pub(super) reader: IndexReader,
    pub(super) layout: Arc<Layout>,
    pub(super) current: Arc<RwLock<Arc<Snapshot>>>,
    pub(super) changes: Receiver<Change>,
}

impl WriterThread {
    /// Runs until the last sender is gone.
    pub(super) fn run(self) {
        let mut writer: Option<IndexWriter> = None;
        loop {
            let first = match self.changes.recv_timeout(IDLE) {
                Ok(change) => change,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(writer) = writer.take() {
                        self.rest(writer);
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let batch = self.batch(first);
            if writer.is_none() {
                match self.open_writer() {
                    Ok(opened) => writer = Some(opened),
                    Err(error) => {
                        refuse(batch, &error);
                        continue;
                    }
                }
            }
            if let Some(open) = writer.as_mut()
                && !self.apply(open, batch)
            {
                // A writer that failed may hold half a batch: a new one starts from the last commit.
                writer = None;
            }
        }
    }

    fn open_writer(&self) -> Result<IndexWriter, IndexError> {
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(ARENA)
            .build();
        self.index.writer_with_options(options).map_err(super::engine)
    }

    fn batch(&self, first: Change) -> Vec<Change> {
        let weight = |change: &Change| match &change.what {
            What::Replace { docs, .. } => docs.len(),
            What::Visibility { .. } | What::Nothing => 0,
        };
        let mut passages = weight(&first);
        let mut batch = vec![first];
        while batch.len() < BATCH && passages < BATCH_PASSAGES {
            let Ok(change) = self.changes.try_recv() else { break };
            passages += weight(&change);
            batch.push(change);
        }
        batch
    }

    /// Commits a batch and answers it. Gives back whether the writer can go on.
    fn apply(&self, writer: &mut IndexWriter, batch: Vec<Change>) -> bool {
        let mut ledger = self.snapshot().ledger.clone();
        let mut answers = Vec::with_capacity(batch.len());
        let mut changed = false;
        for Change { what, done } in batch {
            match self.stage(writer, &mut ledger, what) {
                Ok(applied) => {
                    changed |= applied == Some(Applied::Yes);
                    answers.push((done, applied.unwrap_or(Applied::Yes)));
                }
                Err(error) => {
                    // The staged half of this batch must not be committed by a later one.
                    let all = answers.into_iter().map(|(done, _)| done).chain([done]);
                    fail(all, &error);
                    return false;
                }
            }
        }
        if changed {
            let shown = writer.commit().map_err(super::engine).and_then(|_| self.show());
            if let Err(error) = shown {
                fail(answers.into_iter().map(|(done, _)| done), &error);
                return false;
            }
        }
        for (done, applied) in answers {
            // Nobody waits any more when the caller's deadline has passed; the change is made all the same.
            let _ = done.send(Ok(applied));
        }
        true
    }

    /// Hands one change to the writer; `None` where there is nothing to commit.
    fn stage(
        &self,
        writer: &mut IndexWriter,
        ledger: &mut Ledger,
        what: What,
    ) -> Result<Option<Applied>, IndexError> {
        match what {
            What::Nothing => Ok(None),
            What::Visibility { artifact, version, visibility } => {
                if let Some((indexed, _)) = ledger.artifacts.get(&artifact)
                    && *indexed > version
                {
                    return Ok(Some(Applied::Stale { indexed: *indexed }));
                }
                self.enter(writer, ledger, LedgerEntry::Artifact { artifact, version, visibility })?;
                Ok(Some(Applied::Yes))
            }
            What::Replace { meeting, part, version, docs } => {
                if let Some(indexed) = ledger.parts.get(&(meeting, part))
                    && *indexed > version
                {
                    return Ok(Some(Applied::Stale { indexed: *indexed }));
                }
                self.tighten(writer, ledger, &docs)?;
                writer.delete_term(self.layout.part_term(meeting, part));
                let layout = &*self.layout;
                let documents: Vec<_> =
                    docs.into_par_iter().map(|doc| layout.passage_document(part, doc)).collect();
                for document in documents {
                    writer.add_document(document.map_err(super::engine)?).map_err(super::engine)?;
                }
                self.enter(writer, ledger, LedgerEntry::Part { meeting, part, version })?;
                Ok(Some(Applied::Yes))
            }
        }
    }

    fn enter(
        &self,
        writer: &mut IndexWriter,
        ledger: &mut Ledger,
        entry: LedgerEntry,
    ) -> Result<(), IndexError> {
        writer.delete_term(self.layout.ledger_term(&entry));
        writer
            .add_document(self.layout.ledger_document(&entry).map_err(super::engine)?)
            .map_err(super::engine)?;
        ledger.enter(entry);
        Ok(())
    }

    /// An override that is laxer than the tag a fresh passage brings is out of date, whatever its version: events of
    /// the two come in any order, and the stricter word holds until a later one. A claim's tag says nothing of its
    /// document: another one may be the hidden one.
    fn tighten(
        &self,
        writer: &mut IndexWriter,
        ledger: &mut Ledger,
        docs: &[PassageDoc],
    ) -> Result<(), IndexError> {
        for doc in docs.iter().filter(|doc| doc.kind == PassageKind::Passage) {
            if let Some(&(version, tag)) = ledger.artifacts.get(&doc.artifact_id)
                && tag < doc.visibility
            {
                let entry =
                    LedgerEntry::Artifact { artifact: doc.artifact_id, version, visibility: doc.visibility };
                self.enter(writer, ledger, entry)?;
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Lets readers see the last commit.
    fn show(&self) -> Result<(), IndexError> {
        self.reader.reload().map_err(super::engine)?;
        let before = self.snapshot();
        let next = Snapshot::build(Arc::clone(&self.layout), self.reader.searcher(), Some(&before))?;
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    /// Finishes merges and lets the writer go.
    fn rest(&self, writer: IndexWriter) {
        let finished = writer.wait_merging_threads().map_err(super::engine).and_then(|()| self.show());
        if let Err(error) = finished {
            tracing::warn!(%error, "the search index could not finish its merges: it goes on unmerged");
        }
    }
}

fn refuse(batch: Vec<Change>, error: &IndexError) {
    fail(batch.into_iter().map(|change| change.done), error);
}

fn fail(waiting: impl Iterator<Item = oneshot::Sender<Result<Applied, IndexError>>>, error: &IndexError) {
    tracing::error!(%error, "changes to the search index failed");
    for done in waiting {
        let _ = done.send(Err(IndexError::Engine(error.to_string())));
    }
}
