//! A file by itself: whose paper it is, of which day, of which kind, and how that is known.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use cs_core::document::ArtifactKind;

use super::guess::{Introduction, Introductions};
use super::names;
use super::walk::File;
use crate::detect::ends_with;
use crate::error::ExtractError;

/// The city's council where neither the city nor the name says otherwise.
pub(super) const COUNCIL: &str = "City Council";

/// What is known of a file.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) path: PathBuf,
    pub(super) file: String,
    pub(super) size: u64,
    pub(super) body: String,
    pub(super) date: NaiveDate,
    pub(super) kind: ArtifactKind,
    /// What its name calls the meeting.
    pub(super) name_title: Option<String>,
    pub(super) derivation: Vec<String>,
}

/// Reads the beginning of a file at most once, and only if asked.
pub(super) struct Lazy<'a> {
    file: &'a File,
    reading: &'a Introductions,
    read: Option<Result<Introduction, ExtractError>>,
}

impl<'a> Lazy<'a> {
    pub(super) fn new(file: &'a File, reading: &'a Introductions) -> Self {
        Self { file, reading, read: None }
    }

    pub(super) fn get(&mut self) -> Result<&Introduction, &ExtractError> {
        self.read.get_or_insert_with(|| self.reading.of(self.file)).as_ref()
    }
}

/// Describes a loose file, or says why it is no document of a meeting.
pub(super) fn describe(
    file: &File,
    root: &Path,
    default_body: &str,
    reading: &Introductions,
) -> Result<Described, String> {
    let relative = relative(&file.path, root);
    let stem = stem(&file.path);
    let words = names::words(&stem);
    let mut content = Lazy::new(file, reading);
    let mut derivation = Vec::new();
    if let Some(reason) = no_document(file, &mut content) {
        return Err(reason);
    }
    let date = match (
        names::date_in_name(&stem),
        folder_names(&file.path, root).find_map(|n| names::date_in_name(&n)),
    ) {
        (Some(found), _) => (found.date, "its name".to_owned()),
        (None, Some(found)) => (found.date, "the name of its folder".to_owned()),
        (None, None) => match content.get() {
            Ok(read) => match read.date {
                Some(date) => (date, "its first pages".to_owned()),
                None => return Err(
                    "no date in its name, its folder or its first pages; put the meeting's date in its name"
                        .into(),
                ),
            },
            Err(e) => {
                return Err(format!(
                    "no date in its name, and its content cannot be read ({}): {e}",
                    e.code()
                ));
            }
        },
    };
    derivation.push(format!("{relative}: date {} from {}", date.0, date.1));
    let (body, from) = body(&words, file, root, &mut content, default_body);
    derivation.push(format!("{relative}: body {body} from {from}"));
    let (kind, from) = kind(&words, file, root, &mut content);
    derivation.push(format!("{relative}: kind {} from {from}", kind.as_str()));
    Ok(Described {
        path: file.path.clone(),
        file: relative,
        size: file.size,
        body,
        date: date.0,
        kind,
        name_title: names::title(&words),
        derivation,
    })
}

/// Why a loose file is no document: JSON beside the documents is data unless it holds captions; so is what no reader knows and no name dates.
fn no_document(file: &File, content: &mut Lazy<'_>) -> Option<String> {
    let name = file.path.to_string_lossy();
    let data =
        ends_with(&name, &["json", "csv", "tsv", "xml", "ics", "toml", "yaml", "yml", "jsonl", "db", "log"]);
    if file.size == 0 {
        return Some("the file is empty".into());
    }
    if !data {
        return None;
    }
    match content.get() {
        Err(ExtractError::UnsupportedFormat(what)) => Some(format!("no document of a meeting: {what}")),
        Err(e) if !matches!(e, ExtractError::TooLarge(_)) => Some(format!("no document of a meeting: {e}")),
        _ => None,
    }
}

fn body(
    words: &[String],
    file: &File,
    root: &Path,
    content: &mut Lazy<'_>,
    default_body: &str,
) -> (String, &'static str) {
    let named = |body: Option<String>| body.unwrap_or_else(|| default_body.to_owned());
    if let Some(body) = names::body(words) {
        return (named(body), "its name");
    }
    if let Some(body) = folder_names(&file.path, root).find_map(|n| names::body(&names::words(&n))) {
        return (named(body), "the name of its folder");
    }
    if let Some(body) = content.get().ok().and_then(|read: &Introduction| read.body.clone()) {
        return (named(body), "its first pages");
    }
    let rest = names::other_words(words);
    if rest.is_empty() {
        (default_body.to_owned(), "nothing else: the default body")
    } else {
        (names::title_case(&rest), "its name")
    }
}

/// The kind of a file by its name, its folders, its format, its title.
pub(super) fn kind(
    words: &[String],
    file: &File,
    root: &Path,
    content: &mut Lazy<'_>,
) -> (ArtifactKind, &'static str) {
    if let Some(kind) = names::kind(words) {
        return (kind, "its name");
    }
    if let Some(kind) = folder_names(&file.path, root).find_map(|n| names::kind(&names::words(&n))) {
        return (kind, "the name of its folder");
    }
    if ends_with(&file.path.to_string_lossy(), &["vtt", "srt"]) {
        return (ArtifactKind::Transcript, "its format");
    }
    match content.get().ok().and_then(|read| read.kind) {
        Some(kind) => (kind, "its content"),
        None => (ArtifactKind::Attachment, "nothing else"),
    }
}

/// The names of the folders a file lies in, nearest first, up to and with the root.
fn folder_names(path: &Path, root: &Path) -> impl Iterator<Item = String> {
    let names: Vec<String> = path
        .ancestors()
        .skip(1)
        .take_while(|a| a.starts_with(root))
        .filter_map(|a| a.file_name().map(|n| n.to_string_lossy().into_owned()))
        .collect();
    names.into_iter()
}

pub(super) fn relative(path: &Path, root: &Path) -> String {
    let parts: Vec<String> = path
        .strip_prefix(root)
        .unwrap_or(path)
        .components()
        .map(|c| c.as_os_str().to_string_lossy().into_owned())
        .collect();
    parts.join("/")
}

/// The name without its extension; what follows the last dot of `Agenda 6.1.2023` is none.
pub(super) fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.rsplit_once('.') {
        Some((stem, end)) if end.len() <= 8 && end.chars().any(char::is_alphabetic) && !end.contains(' ') => {
            stem.to_owned()
        }
        _ => name.into_owned(),
    }
}
