//! The server's log: what is told to the user when it does not start, and its size.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Emptied when larger, bytes.
const LIMIT: u64 = 10 << 20;
/// How often the size is looked at.
const INTERVAL: Duration = Duration::from_secs(60);
/// How many of its last lines an error message carries.
const TAIL: usize = 12;

/// The log of one start.
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    file: File,
    begin: u64,
}

impl Log {
    /// Opens it for appending; without that, emptying it would leave a hole before the server's next line.
    pub(crate) fn open(path: PathBuf) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path)?;
        trim(&file)?;
        let begin = file.metadata()?.len();
        Ok(Self { path, file, begin })
    }

    /// What follows is another start.
    pub(crate) fn mark(&mut self) -> std::io::Result<()> {
        self.begin = self.file.metadata()?.len();
        Ok(())
    }

    /// For the server to write to.
    pub(crate) fn writer(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }

    /// The last lines since it was opened.
    pub(crate) fn tail(&self) -> String {
        let mut bytes = Vec::new();
        let mut file = &self.file;
        let read = file.seek(SeekFrom::Start(self.begin)).and_then(|_| file.read_to_end(&mut bytes));
        if let Err(error) = read {
            return error.to_string();
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

/// Keeps the log small until aborted.
pub(crate) async fn keep_small(path: PathBuf) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if let Err(error) = open_and_trim(&path) {
            tracing::debug!(%error, path = %path.display(), "the server's log was not looked at");
        }
    }
}

fn open_and_trim(path: &Path) -> std::io::Result<()> {
    trim(&OpenOptions::new().append(true).open(path)?)
}

fn trim(file: &File) -> std::io::Result<()> {
    if file.metadata()?.len() > LIMIT { file.set_len(0) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_tail_is_of_this_start_and_a_large_log_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.log");
        std::fs::write(&path, "an earlier start\n").unwrap();
        let log = Log::open(path.clone()).unwrap();
        for line in 0..20 {
            writeln!(log.writer().unwrap(), "line {line}").unwrap();
        }
        let tail = log.tail();
        assert!(tail.starts_with("line 8\n") && tail.ends_with("line 19"), "{tail}");
        log.writer().unwrap().set_len(LIMIT + 1).unwrap();
        open_and_trim(&path).unwrap();
        writeln!(log.writer().unwrap(), "after").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
    }
}
