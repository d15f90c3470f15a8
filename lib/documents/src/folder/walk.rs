//! Every file under a folder, in a stable order, within bounds and without leaving it.

use std::path::{Path, PathBuf};

use super::FolderError;

/// Most files a scan takes.
const MAX_FILES: usize = 50_000;
/// Largest file that describes others, such as `meeting.json`, bytes.
const MAX_SMALL_BYTES: u64 = 1 << 20;
/// How deep folders may nest.
const MAX_DEPTH: usize = 12;

/// What lies under a folder.
pub(super) struct Tree {
    /// The folder; the parent where a single file was given.
    pub(super) root: PathBuf,
    /// By path.
    pub(super) files: Vec<File>,
    pub(super) ignored: Vec<(PathBuf, String)>,
    /// Folders with nothing in them, below the top.
    pub(super) empty: Vec<PathBuf>,
}

/// A file that may be read.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

impl File {
    /// The bytes of a file that describes others.
    pub(super) fn small(&self) -> std::io::Result<Vec<u8>> {
        if self.size > MAX_SMALL_BYTES {
            let most = MAX_SMALL_BYTES >> 20;
            return Err(std::io::Error::other(format!(
                "it has {} MB, at most {most} MB are read",
                self.size >> 20
            )));
        }
        std::fs::read(&self.path)
    }
}

pub(super) fn walk(path: &Path) -> Result<Tree, FolderError> {
    let root = path.canonicalize().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => FolderError::NotFound(path.to_owned()),
        _ => FolderError::Io { path: path.to_owned(), source },
    })?;
    if root.is_file() {
        let size = root.metadata().map_err(|source| FolderError::Io { path: root.clone(), source })?.len();
        let parent = root.parent().unwrap_or(&root).to_owned();
        return Ok(Tree {
            files: vec![File { path: root, size }],
            root: parent,
            ignored: Vec::new(),
            empty: Vec::new(),
        });
    }
    let mut tree = Tree { root: root.clone(), files: Vec::new(), ignored: Vec::new(), empty: Vec::new() };
    descend(&root, 0, &mut tree)?;
    Ok(tree)
}

fn descend(folder: &Path, depth: usize, tree: &mut Tree) -> Result<(), FolderError> {
    let refused = |source| FolderError::Io { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // A closed folder below the top takes nothing else with it.
        Err(e) if depth > 0 => {
            tree.ignored.push((folder.to_owned(), format!("the folder cannot be read: {e}")));
            return Ok(());
        }
        Err(e) => return Err(refused(e)),
    };
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    paths.sort();
    if paths.is_empty() && depth > 0 {
        tree.empty.push(folder.to_owned());
    }
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut ignore = |reason: &str| tree.ignored.push((path.clone(), reason.to_owned()));
        if name.starts_with('.')
            || name.starts_with("~$")
            || matches!(name.as_str(), "Thumbs.db" | "desktop.ini")
        {
            ignore("a hidden or temporary file");
            continue;
        }
        let link = path.symlink_metadata().is_ok_and(|m| m.is_symlink());
        if link && !path.canonicalize().is_ok_and(|target| target.starts_with(&tree.root) && target.is_file())
        {
            ignore("a link to a folder, to nothing, or out of the folder that was given");
            continue;
        }
        match path.metadata() {
            Ok(meta) if meta.is_dir() && depth >= MAX_DEPTH => ignore("the folders nest too deep"),
            Ok(meta) if meta.is_dir() => descend(&path, depth + 1, tree)?,
            Ok(meta) if meta.is_file() => tree.files.push(File { path, size: meta.len() }),
            Ok(_) => ignore("neither a file nor a folder"),
            Err(e) => ignore(&format!("it cannot be read: {e}")),
        }
        if tree.files.len() > MAX_FILES {
            return Err(FolderError::TooMany { path: tree.root.clone(), most: MAX_FILES });
        }
    }
    Ok(())
}
