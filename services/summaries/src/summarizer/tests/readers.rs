//! Five minutes against the list a reader made of them: number (or first words) and outcome of every recorded decision.
//!
//! The documents are not in the repository. Set `COUNCILSENSE_CORPUS` to the folder that holds `new_orleans/`.

use std::path::PathBuf;

use cs_core::document::ArtifactKind;

use super::super::{Draft, SourceText};
use super::{source, summarize};

const LISTS: [&str; 5] = [
    include_str!("readers/2021-06-03.tsv"),
    include_str!("readers/2021-08-19.tsv"),
    include_str!("readers/2023-02-02.tsv"),
    include_str!("readers/2023-03-09.tsv"),
    include_str!("readers/2023-04-20.tsv"),
];

#[derive(Default)]
struct Score {
    listed: usize,
    found: usize,
    right: usize,
    proposed: usize,
}

#[test]
fn decisions_against_a_readers_list() {
    let Some(corpus) = std::env::var_os("COUNCILSENSE_CORPUS").map(PathBuf::from) else {
        println!("skipped: COUNCILSENSE_CORPUS is not set");
        return;
    };
    let mut total = Score::default();
    for list in LISTS {
        let (head, list) = list.split_once('\n').expect("a first line that names the document");
        let path = corpus.join(head.trim_start_matches("# "));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = cs_documents::extract(&name, &bytes).expect("a readable document").text;
        let minutes = SourceText { text, ..source(ArtifactKind::Minutes, "") };
        let score = compare(list, &summarize_leniently(minutes), &name);
        total.listed += score.listed;
        total.found += score.found;
        total.right += score.right;
        total.proposed += score.proposed;
    }
    let rate = |a: usize, b: usize| a as f64 / b as f64;
    let (recall, precision, outcome) =
        (rate(total.found, total.listed), rate(total.found, total.proposed), rate(total.right, total.found));
    println!(
        "{} listed: recall {recall:.3}, precision {precision:.3}, outcome right {outcome:.3}",
        total.listed
    );
    assert!(recall >= 0.95 && precision >= 0.95 && outcome >= 0.98);
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

fn compare(list: &str, draft: &Draft, name: &str) -> Score {
    let bare =
        |t: &str| t.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect::<String>();
    let mut open: Vec<(String, &str)> = draft
        .claims
        .iter()
        .filter_map(|c| Some((bare(&c.text), c.decision.as_ref()?.outcome.as_str())))
        .collect();
    let mut score = Score { proposed: open.len(), ..Score::default() };
    let entries: Vec<(&str, &str)> = list.lines().filter_map(|l| l.split_once('\t')).collect();
    score.listed = entries.len();
    let mut second = Vec::new();
    for (key, outcome) in entries {
        match open.iter().position(|(text, o)| *o == outcome && text.contains(&bare(key))) {
            Some(i) => {
                open.remove(i);
                (score.found, score.right) = (score.found + 1, score.right + 1);
            }
            None => second.push((key, outcome)),
        }
    }
    for (key, outcome) in second {
        match open.iter().position(|(text, _)| text.contains(&bare(key))) {
            Some(i) => {
                println!("{name}: {key} was {outcome}, not {}", open[i].1);
                open.remove(i);
                score.found += 1;
            }
            None => println!("{name}: {key} ({outcome}) was missed"),
        }
    }
    for (text, outcome) in open {
        println!("{name}: not on the list: {outcome} {}", text.chars().take(90).collect::<String>());
    }
    score
}

#[test]
fn the_lists_are_well_formed() {
    for list in LISTS {
        assert!(list.starts_with("# new_orleans/"));
        assert!(list.lines().skip(1).all(|l| matches!(l.split_once('\t'), Some((k, o)) if k.len() > 4 && ["adopted", "failed", "deferred", "withdrawn", "referred", "received"].contains(&o))));
    }
    assert!(summarize(vec![]).claims.is_empty());
}
