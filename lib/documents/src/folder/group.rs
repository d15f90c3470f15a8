//! Files to meetings: those with a folder of their own, and loose ones by body and date.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use super::describe::{COUNCIL, Described, Lazy, describe, kind, relative, stem};
use super::guess::Introductions;
use super::walk::{File, Tree};
use super::{FolderError, FolderScan, FoundArtifact, FoundMeeting, city, manifest, names};
use crate::limits::MAX_INPUT_BYTES;

pub(super) fn group(tree: Tree, reading: &Introductions) -> Result<FolderScan, FolderError> {
    let mut scan = FolderScan { ignored: tree.ignored, ..FolderScan::default() };
    let mut loose = Vec::new();
    let mut folders: BTreeMap<PathBuf, Vec<File>> = BTreeMap::new();
    let manifests: HashSet<PathBuf> = tree
        .files
        .iter()
        .filter(|f| named(f, manifest::FILE))
        .filter_map(|f| f.path.parent().map(Path::to_owned))
        .collect();
    for file in tree.files {
        if named(&file, "city.toml") {
            if file.path.parent() == Some(tree.root.as_path()) {
                scan.city = city::read(&file)?;
            } else {
                scan.ignored.push((file.path, "city.toml counts at the top of the folder only".into()));
            }
            continue;
        }
        match meeting_folder(&file.path, &tree.root, &manifests) {
            Some(folder) => folders.entry(folder).or_default().push(file),
            None => loose.push(file),
        }
    }
    for folder in tree.empty {
        // A meeting without documents is told as such; any other empty folder is only named.
        match meeting_folder(&folder.join("document"), &tree.root, &manifests) {
            Some(meeting) => drop(folders.entry(meeting).or_default()),
            None => scan.ignored.push((folder, "the folder is empty".into())),
        }
    }
    let default_body = scan.city.default_body.clone().unwrap_or_else(|| COUNCIL.to_owned());
    for (folder, files) in folders {
        let mut meeting = of_folder(&folder, files, &default_body, reading);
        if scan.meetings.iter().any(|m| m.meeting_uid == meeting.meeting_uid) {
            // Two folders are two meetings, even of one body on one day.
            let apart = format!("{}-{}", meeting.meeting_uid, names::slug(&relative(&folder, &tree.root)));
            meeting
                .derivation
                .push(format!("meeting_uid {apart}: {} is another folder's", meeting.meeting_uid));
            meeting.meeting_uid = apart;
        }
        scan.meetings.push(meeting);
    }
    add_loose(&mut scan, loose, &tree.root, &default_body, reading);
    for meeting in &mut scan.meetings {
        meeting.artifacts.sort_by(|a, b| (a.kind, &a.file).cmp(&(b.kind, &b.file)));
    }
    scan.meetings.sort_by(|a, b| (a.date, &a.meeting_uid).cmp(&(b.date, &b.meeting_uid)));
    scan.ignored.sort();
    Ok(scan)
}

fn named(file: &File, name: &str) -> bool {
    file.path.file_name().is_some_and(|n| n == name)
}

/// The folder of the meeting a file belongs to: the nearest with a `meeting.json`, else the outermost whose name begins with a date.
fn meeting_folder(path: &Path, root: &Path, manifests: &HashSet<PathBuf>) -> Option<PathBuf> {
    let within: Vec<&Path> = path.ancestors().skip(1).take_while(|a| a.starts_with(root)).collect();
    let described = within.iter().find(|a| manifests.contains(**a));
    let dated = within.iter().rev().find(|a| {
        let name = a.file_name().unwrap_or_default().to_string_lossy();
        leading_date(&name).is_some()
    });
    described.or(dated).map(|a| a.to_path_buf())
}

fn leading_date(folder: &str) -> Option<NaiveDate> {
    let date = folder.get(..10)?;
    let apart = folder[10..].chars().next().is_none_or(|c| !c.is_alphanumeric());
    NaiveDate::parse_from_str(date, "%Y-%m-%d").ok().filter(|_| apart)
}

fn of_folder(folder: &Path, files: Vec<File>, default_body: &str, reading: &Introductions) -> FoundMeeting {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut derivation = Vec::new();
    let mut error = None;
    let mut given = manifest::Manifest::default();
    if let Some(file) = files.iter().find(|f| named(f, manifest::FILE) && f.path.parent() == Some(folder)) {
        match file.small().map_err(|e| e.to_string()).and_then(|b| manifest::parse(&b)) {
            Ok(read) => given = read,
            Err(e) => error = Some(format!("{name}/{}: {e}; correct the file or remove it", manifest::FILE)),
        }
    }
    let (starts_at, said) = given.times().unwrap_or_else(|e| {
        error.get_or_insert(format!("{name}/{}: {e}", manifest::FILE));
        (None, None)
    });
    let files: Vec<File> = files
        .into_iter()
        .filter(|f| !(named(f, manifest::FILE) && f.path.parent() == Some(folder)))
        .collect();
    let mut date = said;
    if date.is_none() {
        date = leading_date(&name).or_else(|| names::date_in_name(&name).map(|f| f.date));
        derivation.extend(date.map(|d| format!("date {d} from the folder's name")));
    }
    for file in &files {
        if date.is_some() {
            break;
        }
        let named = names::date_in_name(&stem(&file.path)).map(|f| f.date);
        date = named.or_else(|| Lazy::new(file, reading).get().ok().and_then(|i| i.date));
        derivation.extend(date.map(|d| format!("date {d} from {}", relative(&file.path, folder))));
    }
    if date.is_none() {
        error.get_or_insert(format!(
            "{name}: the meeting has no date; give \"date\" in {} or begin the folder's name with YYYY-MM-DD",
            manifest::FILE
        ));
    }
    let words = names::words(&name);
    let body = given.body.clone().filter(|b| !b.trim().is_empty()).unwrap_or_else(|| {
        let body = names::body(&words).flatten().unwrap_or_else(|| default_body.to_owned());
        derivation.push(format!("body {body} from the folder's name"));
        body
    });
    let title = given.title.clone().filter(|t| !t.trim().is_empty()).unwrap_or_else(|| {
        let title = if words.is_empty() {
            format!("{body} Meeting")
        } else {
            names::title_case(&words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        derivation.push(format!("title {title} from the folder's name"));
        title
    });
    let meeting_uid = given.meeting_uid.clone().filter(|u| usable_uid(u)).unwrap_or_else(|| {
        if given.meeting_uid.is_some() {
            error.get_or_insert(format!(
                "{name}/{}: \"meeting_uid\" is empty, too long or holds blanks",
                manifest::FILE
            ));
        }
        let uid = uid(&body, date, &name, &words);
        derivation.push(format!("meeting_uid {uid} from body and date"));
        uid
    });
    let mut artifacts = listed(&given, folder, (&name, &files), reading, &mut error);
    for file in &files {
        let file_name = relative(&file.path, folder);
        if artifacts.iter().any(|a| a.file == file_name) {
            continue;
        }
        let words = names::words(&stem(&file.path));
        let (kind, from) = kind(&words, file, folder, &mut Lazy::new(file, reading));
        derivation.push(format!("{file_name}: kind {} from {from}", kind.as_str()));
        artifacts.push(artifact(file, file_name, kind, stem_title(&file.path)));
    }
    if artifacts.is_empty() {
        error.get_or_insert(format!(
            "{name}: the meeting's folder holds no document; add its agenda, minutes or captions"
        ));
    }
    let (location, status) = (given.location, given.status);
    FoundMeeting { meeting_uid, title, body, date, starts_at, location, status, artifacts, derivation, error }
}

/// The artifacts `meeting.json` lists; one that cannot be had says so itself.
fn listed(
    given: &manifest::Manifest,
    folder: &Path,
    (name, files): (&str, &[File]),
    reading: &Introductions,
    error: &mut Option<String>,
) -> Vec<FoundArtifact> {
    let mut artifacts: Vec<FoundArtifact> = Vec::new();
    for (i, entry) in given.artifacts.iter().enumerate() {
        let Some(file_name) = entry.file.as_deref().map(|f| f.trim_start_matches("./").replace('\\', "/"))
        else {
            error.get_or_insert(format!("{name}/{}: artifact {} has no \"file\"", manifest::FILE, i + 1));
            continue;
        };
        if artifacts.iter().any(|a| a.file == file_name) {
            continue;
        }
        let found = files.iter().find(|f| relative(&f.path, folder) == file_name);
        let missing = File { path: folder.join(manifest::FILE), size: 0 };
        let file = found.unwrap_or(&missing);
        let said = entry.kind().unwrap_or_else(|e| {
            error.get_or_insert(format!("{name}/{}: artifact {file_name}: {e}", manifest::FILE));
            None
        });
        let guessed = || {
            let words = names::words(&stem(Path::new(&file_name)));
            found.map_or(names::kind(&words), |f| Some(kind(&words, f, folder, &mut Lazy::new(f, reading)).0))
        };
        let kind = said.or_else(guessed).unwrap_or(cs_core::document::ArtifactKind::Attachment);
        let title = entry.title.clone().unwrap_or_else(|| stem_title(Path::new(&file_name)));
        let mut artifact = artifact(file, file_name.clone(), kind, title);
        artifact.source_url.clone_from(&entry.source_url);
        if found.is_none() {
            artifact.path = folder.to_owned();
            let (json, apart) =
                (manifest::FILE, file_name.starts_with('/') || file_name.split('/').any(|p| p == ".."));
            artifact.error = Some(if apart {
                format!("{json} names a file outside of the meeting's folder; put a copy into the folder")
            } else {
                format!("{json} names it, but the folder has no such file; add it, or take it off the list")
            });
        }
        artifacts.push(artifact);
    }
    artifacts
}

fn add_loose(
    scan: &mut FolderScan,
    files: Vec<File>,
    root: &Path,
    default_body: &str,
    reading: &Introductions,
) {
    let mut by_day: BTreeMap<(NaiveDate, String), Vec<Described>> = BTreeMap::new();
    for (file, twin) in with_twins(files) {
        if let Some(twin) = twin {
            scan.ignored.push((file.path, format!("the same bytes as {}", relative(&twin, root))));
            continue;
        }
        match describe(&file, root, default_body, reading) {
            Ok(d) => by_day.entry((d.date, names::slug(&d.body))).or_default().push(d),
            Err(reason) => scan.ignored.push((file.path, reason)),
        }
    }
    for ((date, body_slug), found) in by_day {
        let meeting_uid = format!("{body_slug}-{date}");
        let derivation = found.iter().flat_map(|d| d.derivation.clone());
        let artifacts = found.iter().map(|d| {
            let file = File { path: d.path.clone(), size: d.size };
            artifact(&file, d.file.clone(), d.kind, stem_title(&d.path))
        });
        // A folder of that very meeting may stand beside the loose files.
        if let Some(meeting) = scan.meetings.iter_mut().find(|m| m.meeting_uid == meeting_uid) {
            meeting.derivation.extend(derivation);
            meeting.artifacts.extend(artifacts);
            continue;
        }
        let body = found[0].body.clone();
        // The name that tells most of the sitting: "Regular City Council Meeting" before "Full Council Meeting".
        let titles = found.iter().filter_map(|d| d.name_title.as_deref());
        let title = titles
            .min_by_key(|t| {
                (!t.starts_with("Regular") && !t.starts_with("Special"), t.starts_with("Full"), t.len(), *t)
            })
            .map_or_else(|| format!("{body} Meeting"), str::to_owned);
        let derivation =
            derivation.chain([format!("meeting_uid {meeting_uid} from body and date")]).collect();
        scan.meetings.push(FoundMeeting {
            meeting_uid,
            title,
            artifacts: artifacts.collect(),
            derivation,
            date: Some(date),
            body,
            starts_at: None,
            location: None,
            status: None,
            error: None,
        });
    }
}

/// Pairs each file with an earlier one of the same bytes. Only files of one size are read.
fn with_twins(files: Vec<File>) -> Vec<(File, Option<PathBuf>)> {
    let mut sizes: HashMap<u64, usize> = HashMap::new();
    for file in &files {
        *sizes.entry(file.size).or_default() += 1;
    }
    let mut seen: HashMap<[u8; 32], PathBuf> = HashMap::new();
    let twin_of = |file: &File| {
        if sizes.get(&file.size).copied().unwrap_or(0) < 2 || file.size == 0 || file.size > MAX_INPUT_BYTES {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(std::fs::read(&file.path).ok()?).into();
        match seen.get(&hash) {
            Some(first) => Some(first.clone()),
            None => {
                seen.insert(hash, file.path.clone());
                None
            }
        }
    };
    let twins: Vec<Option<PathBuf>> = files.iter().map(twin_of).collect();
    files.into_iter().zip(twins).collect()
}

fn artifact(
    file: &File,
    name: String,
    kind: cs_core::document::ArtifactKind,
    title: String,
) -> FoundArtifact {
    FoundArtifact {
        path: file.path.clone(),
        file: name,
        kind,
        title,
        source_url: None,
        size_bytes: file.size,
        error: None,
    }
}

/// The name of a file as a title; its date and part stay, they tell it from its like.
fn stem_title(path: &Path) -> String {
    stem(path).replace('_', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Body and date, and what else the folder's name says of the sitting ("special", "budget hearing"); the folder's name where there is no date.
fn uid(body: &str, date: Option<NaiveDate>, folder: &str, words: &[String]) -> String {
    let Some(date) = date else { return names::slug(folder) };
    let body = names::slug(body);
    if leading_date(folder).is_none() {
        return format!("{body}-{date}");
    }
    let plain = ["regular", "meeting", "meetings", "full", "council", "city", "of", "the", "and", "final"];
    let rest: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|w| !plain.contains(w) && !body.split('-').any(|b| b == *w))
        .collect();
    let rest = names::slug(&rest.join("-"));
    if rest.is_empty() { format!("{body}-{date}") } else { format!("{body}-{date}-{rest}") }
}

fn usable_uid(uid: &str) -> bool {
    (1..=200).contains(&uid.len()) && !uid.chars().any(|c| c.is_control() || c.is_whitespace())
}
