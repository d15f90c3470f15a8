//! Minutes against the lists that readers made of them: number (or first words) and outcome of every recorded decision, and
//! on the later lists mover, seconder, yeas and nays.
//!
//! Three of the documents are in `demo/`. For all of them set `COUNCILSENSE_CORPUS` to the folder that holds `new_orleans/`.

use std::path::PathBuf;

use cs_core::document::ArtifactKind;

use super::super::{DecisionDetail, Draft, SourceText};
use super::{source, summarize};

const LISTS: [&str; 14] = [
    include_str!("readers/2021-05-20.tsv"),
    include_str!("readers/2021-06-03.tsv"),
    include_str!("readers/2021-08-19.tsv"),
    include_str!("readers/2022-01-24.tsv"),
    include_str!("readers/2022-04-21.tsv"),
    include_str!("readers/2022-09-01.tsv"),
    include_str!("readers/2022-12-15.tsv"),
    include_str!("readers/2023-01-05.tsv"),
    include_str!("readers/2023-01-23.tsv"),
    include_str!("readers/2023-02-02.tsv"),
    include_str!("readers/2023-03-09.tsv"),
    include_str!("readers/2023-04-20.tsv"),
    include_str!("readers/2023-06-08.tsv"),
    include_str!("readers/2023-08-08.tsv"),
];

#[derive(Default)]
struct Score {
    listed: usize,
    found: usize,
    right: usize,
    proposed: usize,
    /// Decisions found whose list names a mover, and those of them whose mover, seconder and vote are the listed ones.
    moved: usize,
    moved_right: usize,
}

/// Lists whose documents are in the repository, and where they stand under `demo/`.
const BUNDLED: [(&str, &str); 3] = [
    (include_str!("readers/2023-01-05.tsv"), "new-orleans/2023-01-05-city-council/minutes.docx"),
    (include_str!("readers/2023-02-02.tsv"), "new-orleans/2023-02-02-city-council/minutes.docx"),
    (include_str!("readers/2023-06-08.tsv"), "later/2023-06-08-city-council/minutes.docx"),
];

#[test]
fn decisions_of_the_bundled_documents_against_readers_lists() {
    let demo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../demo");
    let documents =
        BUNDLED.map(|(list, file)| (list.split_once('\n').expect("a first line").1, demo.join(file)));
    judge(documents);
}

#[test]
fn decisions_against_a_readers_list() {
    let Some(corpus) = std::env::var_os("COUNCILSENSE_CORPUS").map(PathBuf::from) else {
        println!("skipped: COUNCILSENSE_CORPUS is not set");
        return;
    };
    judge(LISTS.map(|list| {
        let (head, list) = list.split_once('\n').expect("a first line that names the document");
        (list, corpus.join(head.trim_start_matches("# ")))
    }));
}

/// Summarizes documents and compares what is found with their lists.
fn judge(documents: impl IntoIterator<Item = (&'static str, PathBuf)>) {
    let mut total = Score::default();
    for (list, path) in documents {
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = cs_documents::extract(&name, &bytes).expect("a readable document").text;
        let minutes = SourceText { text, ..source(ArtifactKind::Minutes, "") };
        let score = compare(list, &summarize_leniently(minutes), &path.display().to_string());
        total.listed += score.listed;
        total.found += score.found;
        total.right += score.right;
        total.proposed += score.proposed;
        total.moved += score.moved;
        total.moved_right += score.moved_right;
    }
    assert!(total.listed > 0 && total.proposed > 0 && total.moved > 0, "nothing was compared");
    let rate = |a: usize, b: usize| a as f64 / b as f64;
    let (recall, precision, outcome) =
        (rate(total.found, total.listed), rate(total.found, total.proposed), rate(total.right, total.found));
    let moved = rate(total.moved_right, total.moved);
    println!(
        "{} listed: recall {recall:.3}, precision {precision:.3}, outcome right {outcome:.3}; mover, seconder and vote right {moved:.3} of {}",
        total.listed, total.moved
    );
    assert!(recall >= 0.95 && precision >= 0.95 && outcome >= 0.98 && moved >= 0.95);
}

/// Claims that the verifier refuses are not published, so they do not count; everything else of [`summarize`] holds.
fn summarize_leniently(minutes: SourceText) -> Draft {
    use crate::summarizer::{Extractive, MeetingInput, Summarizer};
    let meeting =
        MeetingInput { title: String::new(), body: String::new(), date: String::new(), texts: vec![minutes] };
    let mut draft = Extractive::default().summarize(&meeting);
    let verifier = crate::verify::Verifier::new(&meeting.texts);
    draft.claims.retain(|c| verifier.verify(c).is_ok());
    draft
}

/// A line of a list; the last three columns may be missing.
struct Entry<'a> {
    key: &'a str,
    outcome: &'a str,
    mover: &'a str,
    seconder: &'a str,
    votes: &'a str,
}

impl<'a> Entry<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut columns = line.split('\t');
        let (key, outcome) = (columns.next()?, columns.next()?);
        let mut next = || columns.next().unwrap_or_default();
        Some(Self { key, outcome, mover: next(), seconder: next(), votes: next() })
    }

    /// Whether mover, seconder and vote are the listed ones. A zero that the page has lost is no vote against.
    fn same_vote(&self, found: &DecisionDetail) -> bool {
        let votes = found.votes.as_ref().map(|v| (v.counts.yeas, v.counts.nays.unwrap_or(0)));
        let listed = self.votes.split_once('-').map(|(y, n)| (y.parse().ok(), n.parse().unwrap_or(0)));
        found.mover.as_deref().unwrap_or_default() == self.mover
            && found.seconder.as_deref().unwrap_or_default() == self.seconder
            && votes == listed
    }
}

fn compare(list: &str, draft: &Draft, name: &str) -> Score {
    let bare =
        |t: &str| t.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect::<String>();
    let mut open: Vec<(String, &DecisionDetail)> =
        draft.claims.iter().filter_map(|c| Some((bare(&c.text), c.decision.as_ref()?))).collect();
    let mut score = Score { proposed: open.len(), ..Score::default() };
    let mut entries: Vec<Entry<'_>> = list.lines().filter_map(Entry::read).collect();
    score.listed = entries.len();
    // The same matter may be decided in several steps: the strictest likeness is looked for first.
    for strictness in [2, 1, 0] {
        entries.retain(|entry| {
            let key = bare(entry.key);
            let place = open.iter().position(|(text, found)| {
                text.contains(&key)
                    && (strictness == 0 || found.outcome.as_str() == entry.outcome)
                    && (strictness < 2 || entry.same_vote(found))
            });
            let Some(i) = place else { return true };
            let (_, found) = open.remove(i);
            score.found += 1;
            score.right += usize::from(strictness > 0);
            if !entry.mover.is_empty() {
                score.moved += 1;
                score.moved_right += usize::from(entry.same_vote(found));
            }
            if strictness == 0 {
                println!("{name}: {} was {}, not {}", entry.key, entry.outcome, found.outcome.as_str());
            } else if !entry.mover.is_empty() && !entry.same_vote(found) {
                println!("{name}: {} has another vote: {found:?}", entry.key);
            }
            false
        });
    }
    for entry in entries {
        println!("{name}: {} ({}) was missed", entry.key, entry.outcome);
    }
    for (text, found) in open {
        println!(
            "{name}: not on the list: {} {}",
            found.outcome.as_str(),
            text.chars().take(90).collect::<String>()
        );
    }
    score
}

#[test]
fn the_lists_are_well_formed() {
    let outcomes = ["adopted", "failed", "deferred", "withdrawn", "referred", "received"];
    for list in LISTS {
        assert!(list.starts_with("# new_orleans/"));
        for line in list.lines().skip(1) {
            let entry = Entry::read(line).expect("two columns at least");
            assert!(entry.key.len() > 4 && outcomes.contains(&entry.outcome), "{line}");
            assert!(entry.votes.is_empty() || entry.votes.contains('-'), "{line}");
        }
    }
    assert!(summarize(vec![]).claims.is_empty());
}
