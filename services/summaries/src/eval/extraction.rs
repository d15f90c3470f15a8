//! `eval extraction DIR`: decisions and votes as the rules read them, against what structured records say.
//!
//! Two kinds of truth are looked for in the folder. Rolls (`[…] CAL. NO. 33,974 : Green: yeas, …`) are held against the votes
//! of the minutes beside them. A legislature's exported events and matters give both sides: an event's items are laid out as
//! the text a reader would get, with the sentence of the action and the roll, and go through the summarizer like any minutes;
//! the matters' histories, with their named actions, are the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cs_core::document::{ArtifactKind, ExtractedText, Section};
use cs_documents::Reader;
use cs_documents::folder::{FolderError, Introductions, scan};
use serde::Serialize;
use uuid::Uuid;

use super::folder::read;
use super::{legistar, rolls};
use crate::summarizer::{DecisionDetail, Extractive, MeetingInput, SourceText, Summarizer, Votes};
use crate::verify::Verifier;

/// What was found of what there is. Rates are from 0 to 1.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Agreement {
    /// Entries of the truth.
    pub truth: usize,
    /// Entries that the rules gave.
    pub extracted: usize,
    /// Entries of both.
    pub shared: usize,
    /// Shared ÷ extracted.
    pub precision: f64,
    /// Shared ÷ truth.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
}

impl Agreement {
    pub(super) fn of<T: Ord>(truth: &BTreeSet<T>, extracted: &BTreeSet<T>) -> Self {
        let shared = truth.intersection(extracted).count();
        let rate = |whole: usize| if whole == 0 { 0.0 } else { shared as f64 / whole as f64 };
        let (precision, recall) = (rate(extracted.len()), rate(truth.len()));
        let f1 = if shared == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
        Self { truth: truth.len(), extracted: extracted.len(), shared, precision, recall, f1 }
    }
}

/// One kind of source.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceReport {
    /// Matters that both sides know.
    pub matters: usize,
    /// Outcomes of matters; absent where the truth names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decisions: Option<Agreement>,
    /// Who voted how on what.
    pub votes: Agreement,
    /// Entries of one side only, the first of them.
    pub differences: Vec<String>,
}

/// The whole folder. A part is absent where the folder has no such source.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ExtractionReport {
    /// From minutes, against rolls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<SourceReport>,
    /// From a legislature's exported events, against the histories of its matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured: Option<SourceReport>,
}

/// Why a folder cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum ExtractionError {
    /// The folder cannot be scanned.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file cannot be read.
    #[error("{0}: {1}; check that it may be read")]
    Io(std::path::PathBuf, #[source] std::io::Error),
    /// Nothing to compare with.
    #[error(
        "{0}: no structured truth; the folder needs exported events and matters (JSON with Items and History) or rolls of votes beside minutes"
    )]
    NoTruth(std::path::PathBuf),
}

/// How somebody voted, as both sides name it.
pub(super) const KINDS: [&str; 5] = ["yeas", "nays", "abstain", "absent", "recused"];

/// Matter (in a meeting), person, vote.
pub(super) type Ballot = (String, String, &'static str);

/// Evaluates the structured sources of a folder. Writes nothing.
///
/// # Errors
/// The folder or one of its JSON files cannot be read, or holds no structured truth.
pub fn eval_extraction(dir: &Path) -> Result<ExtractionReport, ExtractionError> {
    let mut documents = Vec::new();
    json_files(dir, &mut documents)?;
    let rolls = rolls::read(&documents);
    let legislature = legistar::Legislature::read(&documents);
    let minutes = if rolls.is_empty() { None } else { Some(from_minutes(dir, &rolls)?) };
    let structured = (!legislature.is_empty()).then(|| from_events(&legislature));
    if minutes.is_none() && structured.is_none() {
        return Err(ExtractionError::NoTruth(dir.to_owned()));
    }
    Ok(ExtractionReport { minutes, structured })
}

fn json_files(dir: &Path, out: &mut Vec<serde_json::Value>) -> Result<(), ExtractionError> {
    let failed = |e| ExtractionError::Io(dir.to_owned(), e);
    let mut paths = std::fs::read_dir(dir)
        .map_err(failed)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            json_files(&path, out)?;
        } else if path.extension().is_some_and(|e| e == "json") {
            let bytes = std::fs::read(&path).map_err(|e| ExtractionError::Io(path.clone(), e))?;
            // Captions and the like are JSON too: what is none of ours is passed over by its readers.
            out.extend(serde_json::from_slice(&bytes).ok());
        }
    }
    Ok(())
}

/// The verified decisions of a meeting: what readers would get.
fn decisions(input: &MeetingInput) -> Vec<DecisionDetail> {
    let verifier = Verifier::new(&input.texts);
    let draft = Extractive::default().summarize(input);
    draft.claims.iter().filter_map(|c| verifier.verify(c).ok()?.into_claim().decision).collect()
}

fn from_minutes(dir: &Path, rolls: &BTreeSet<Ballot>) -> Result<SourceReport, ExtractionError> {
    let mut extracted = BTreeSet::new();
    for meeting in scan(dir, &Introductions::new(Reader::InProcess))?.meetings {
        let texts: Vec<SourceText> = meeting
            .artifacts
            .iter()
            .filter(|a| a.kind == ArtifactKind::Minutes)
            .enumerate()
            .filter_map(|(place, artifact)| read(artifact, place).ok())
            .collect();
        let input = MeetingInput { title: meeting.title, body: meeting.body, date: String::new(), texts };
        for detail in decisions(&input) {
            // A roll gives one vote a matter, the last one; a step on the way is not it.
            if let (Some(number), Some(votes), None) = (&detail.file_number, &detail.votes, &detail.motion) {
                extracted.extend(ballots(&rolls::key(number), votes, rolls::surname));
            }
        }
    }
    let matters = |set: &BTreeSet<Ballot>| set.iter().map(|b| b.0.clone()).collect::<BTreeSet<_>>();
    let both: BTreeSet<String> = matters(rolls).intersection(&matters(&extracted)).cloned().collect();
    let shared = |set: &BTreeSet<Ballot>| -> BTreeSet<Ballot> {
        set.iter().filter(|b| both.contains(&b.0)).cloned().collect()
    };
    let (truth, extracted) = (shared(rolls), shared(&extracted));
    Ok(SourceReport {
        matters: both.len(),
        decisions: None,
        votes: Agreement::of(&truth, &extracted),
        differences: differences(&truth, &extracted),
    })
}

pub(super) fn ballots(matter: &str, votes: &Votes, name: impl Fn(&str) -> String) -> Vec<Ballot> {
    let lists = [&votes.yeas, &votes.nays, &votes.abstain, &votes.absent, &votes.recused];
    KINDS
        .iter()
        .zip(lists)
        .flat_map(|(kind, names)| names.iter().map(|n| (matter.to_owned(), name(n), *kind)))
        .collect()
}

fn from_events(legislature: &legistar::Legislature) -> SourceReport {
    let (mut outcomes, mut votes) = (BTreeSet::new(), BTreeSet::new());
    for (event, text) in legislature.texts() {
        let sections = vec![Section {
            ordinal: 0,
            heading: None,
            start: 0,
            end: text.chars().count() as u32,
            page: None,
            time_ms: None,
        }];
        let source = SourceText {
            artifact_id: Uuid::nil(),
            kind: ArtifactKind::Minutes,
            text_sha256: String::new(),
            text: ExtractedText { text, sections, marks: Vec::new() },
        };
        let input = MeetingInput {
            title: String::new(),
            body: String::new(),
            date: String::new(),
            texts: vec![source],
        };
        for detail in decisions(&input).into_iter().filter(|d| d.motion.is_none()) {
            let Some(number) = &detail.file_number else { continue };
            let matter = format!("{event} {number}");
            if !legislature.knows(&matter) {
                continue;
            }
            votes.extend(detail.votes.iter().flat_map(|v| ballots(&matter, v, legistar::person)));
            outcomes.insert((matter, detail.outcome.as_str()));
        }
    }
    let mut different = differences(&legislature.outcomes, &outcomes);
    different.extend(differences(&legislature.ballots, &votes));
    SourceReport {
        matters: legislature.matters(),
        decisions: Some(Agreement::of(&legislature.outcomes, &outcomes)),
        votes: Agreement::of(&legislature.ballots, &votes),
        differences: different,
    }
}

/// The first entries of one side only, to be read by a person.
fn differences<T: Ord + std::fmt::Debug>(truth: &BTreeSet<T>, extracted: &BTreeSet<T>) -> Vec<String> {
    const MOST: usize = 40;
    let missed = truth.difference(extracted).map(|e| format!("missed {e:?}"));
    let invented = extracted.difference(truth).map(|e| format!("not in the truth {e:?}"));
    missed.take(MOST).chain(invented.take(MOST)).collect()
}

/// Groups by the first element.
pub(super) fn grouped<K: Ord, V>(pairs: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, Vec<V>> {
    let mut out: BTreeMap<K, Vec<V>> = BTreeMap::new();
    for (key, value) in pairs {
        out.entry(key).or_default().push(value);
    }
    out
}
