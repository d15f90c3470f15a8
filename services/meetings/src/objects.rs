//! The artifact store: bytes by their sha256, on disk. (S3 is a second implementation of the same seam.)

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Bytes by content.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Keeps `bytes` under their sha256. Keeping them again changes nothing.
    async fn put(&self, sha256: &str, bytes: Bytes) -> io::Result<()>;
    /// All of an object.
    async fn get(&self, sha256: &str) -> io::Result<Bytes>;
    /// Up to `length` bytes from `offset`.
    async fn read(&self, sha256: &str, offset: u64, length: usize) -> io::Result<Bytes>;
}

/// The name of bytes: their sha256 in hexadecimal.
pub(crate) fn name_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Objects as files, `ab/cdef…`, each written whole or not at all.
pub struct FileStore {
    root: PathBuf,
}

impl FileStore {
    /// Under `root`, which is made when first needed.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.root.join(&sha256[..2]).join(&sha256[2..])
    }
}

#[async_trait]
impl ObjectStore for FileStore {
    async fn put(&self, sha256: &str, bytes: Bytes) -> io::Result<()> {
        let path = self.path(sha256);
        if tokio::fs::try_exists(&path).await? {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.root);
        tokio::fs::create_dir_all(folder).await?;
        // Renaming is atomic: a crash leaves a stray temporary file, never half an object.
        let temporary = folder.join(format!(".{}.{:016x}", &sha256[2..10], rand::random::<u64>()));
        let written = async {
            let mut file = tokio::fs::File::create(&temporary).await?;
            file.write_all(&bytes).await?;
            file.sync_all().await?;
            tokio::fs::rename(&temporary, &path).await?;
            // The name must outlive a power cut as well as the bytes do.
            tokio::fs::File::open(folder).await?.sync_all().await
        };
        match written.await {
            Ok(()) => Ok(()),
            Err(error) => {
                // The disk may be full: leave nothing behind, and tell the first error.
                let _ = tokio::fs::remove_file(&temporary).await;
                Err(error)
            }
        }
    }

    async fn get(&self, sha256: &str) -> io::Result<Bytes> {
        Ok(tokio::fs::read(self.path(sha256)).await?.into())
    }

    async fn read(&self, sha256: &str, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut file = tokio::fs::File::open(self.path(sha256)).await?;
        file.seek(io::SeekFrom::Start(offset)).await?;
        let mut bytes = Vec::with_capacity(length.min(1 << 20));
        file.take(length as u64).read_to_end(&mut bytes).await?;
        Ok(bytes.into())
    }
}
