//! How documents are read: by a child process, or here.

use std::path::PathBuf;

use bytes::Bytes;

use crate::error::ExtractError;
use crate::extract::Extracted;
use crate::isolate::{Limits, Part, read_isolated};

/// How documents are read.
#[derive(Clone, Debug)]
pub enum Reader {
    /// By a child process of this program, within limits: a stranger's document can end only itself.
    Isolated(PathBuf, Limits),
    /// In this process: for documents that are no stranger's, and for tests of other things.
    InProcess,
}

impl Reader {
    /// By children of `program`, within the usual limits.
    pub fn isolated(program: PathBuf) -> Self {
        Self::Isolated(program, Limits::default())
    }

    /// Reads a document.
    pub async fn extract(&self, name: &str, bytes: Bytes) -> Result<Extracted, ExtractError> {
        match self {
            Self::Isolated(program, limits) => {
                read_isolated(program, *limits, Part::Whole, name, bytes).await
            }
            Self::InProcess => {
                let name = name.to_owned();
                tokio::task::spawn_blocking(move || Part::Whole.read(&name, &bytes))
                    .await
                    .unwrap_or_else(|e| Err(ExtractError::Damaged(e.to_string())))
            }
        }
    }

    /// Reads how a document introduces itself. It blocks: with children it belongs on a thread for that, in a runtime.
    pub(crate) fn introduction(&self, name: &str, bytes: Bytes) -> Result<Extracted, ExtractError> {
        match self {
            Self::Isolated(program, limits) => {
                let runtime =
                    tokio::runtime::Handle::try_current().map_err(|e| ExtractError::Reader(e.to_string()))?;
                // A few pages: who takes longer for them says nothing that is worth the wait.
                let limits = Limits { time: limits.time / 3, ..*limits };
                runtime.block_on(read_isolated(program, limits, Part::Introduction, name, bytes))
            }
            Self::InProcess => Part::Introduction.read(name, &bytes),
        }
    }
}
