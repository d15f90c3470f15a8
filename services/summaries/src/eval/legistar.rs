//! A legislature's export: events with their items, and matters with their histories, as Legistar's web API gives them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

use super::extraction::{Ballot, KINDS, grouped};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(rename = "ID")]
    id: u64,
    items: Vec<EventItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventItem {
    #[serde(default)]
    matter_file: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    action_text: String,
    #[serde(default)]
    action_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Matter {
    file: String,
    history: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    #[serde(rename = "EventID")]
    event: Option<u64>,
    action: String,
    #[serde(default)]
    passed_flag_name: Option<String>,
    #[serde(default)]
    votes: Vec<Cast>,
}

/// A roll call: who voted how, and what came of it.
type Roll = (Vec<Ballot>, Option<String>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cast {
    full_name: String,
    #[serde(default)]
    vote: String,
}

/// Events and matters, and the truth that the matters tell.
pub(super) struct Legislature {
    events: Vec<Event>,
    /// Roll and result by event, matter and action.
    rolls: BTreeMap<(u64, String, String), Roll>,
    pub(super) outcomes: BTreeSet<(String, &'static str)>,
    pub(super) ballots: BTreeSet<Ballot>,
    known: BTreeSet<String>,
}

impl Legislature {
    pub(super) fn read(documents: &[Value]) -> Self {
        // A document that is neither is passed over: the folder may hold captions and others.
        let of = |key: &str| documents.iter().filter(|d| d[key].is_array()).cloned().collect::<Vec<_>>();
        let events: Vec<Event> =
            of("Items").into_iter().filter_map(|d| serde_json::from_value(d).ok()).collect();
        let matters = of("History").into_iter().filter_map(|d| serde_json::from_value::<Matter>(d).ok());
        let held: BTreeSet<u64> = events.iter().map(|e| e.id).collect();
        let mut this = Self {
            events,
            rolls: BTreeMap::new(),
            outcomes: BTreeSet::new(),
            ballots: BTreeSet::new(),
            known: BTreeSet::new(),
        };
        for matter in matters {
            for step in matter.history {
                let Some(event) = step.event.filter(|e| held.contains(e)) else { continue };
                let name = format!("{event} {}", matter.file);
                this.known.insert(name.clone());
                let Some(outcome) = outcome(&step.action) else { continue };
                let ballots: Vec<Ballot> = step
                    .votes
                    .iter()
                    .filter_map(|cast| Some((name.clone(), person(&cast.full_name), kind(&cast.vote)?)))
                    .collect();
                this.ballots.extend(ballots.iter().cloned());
                this.outcomes.insert((name, outcome));
                this.rolls
                    .insert((event, matter.file.clone(), step.action), (ballots, step.passed_flag_name));
            }
        }
        this
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    pub(super) fn knows(&self, matter: &str) -> bool {
        self.known.contains(matter)
    }

    pub(super) fn matters(&self) -> usize {
        self.outcomes.iter().map(|(matter, _)| matter).collect::<BTreeSet<_>>().len()
    }

    /// Each event as the text of its record: number, file and title of an item, the sentence of its action, the roll.
    pub(super) fn texts(&self) -> impl Iterator<Item = (u64, String)> + '_ {
        self.events.iter().map(|event| {
            let mut text = String::new();
            for (i, item) in event.items.iter().filter(|item| !item.matter_file.is_empty()).enumerate() {
                let title = item.title.split_whitespace().collect::<Vec<_>>().join(" ");
                let _ = writeln!(text, "{}. {} {title}\n{}", i + 1, item.matter_file, item.action_text);
                let key = (event.id, item.matter_file.clone(), item.action_name.clone());
                if let Some((ballots, result)) = self.rolls.get(&key) {
                    roll(&mut text, ballots, result.as_deref());
                }
                text.push('\n');
            }
            (event.id, text)
        })
    }
}

/// The roll with its counts, wrapped as a page would be.
fn roll(text: &mut String, ballots: &[Ballot], result: Option<&str>) {
    const WIDTH: usize = 90;
    if ballots.is_empty() {
        return;
    }
    let by_kind = grouped(ballots.iter().map(|(_, name, kind)| (*kind, name.as_str())));
    for (label, kind) in ["Affirmative", "Negative", "Abstain", "Absent", "Recused"].into_iter().zip(KINDS) {
        let names = by_kind.get(kind).map_or(&[][..], Vec::as_slice);
        let _ = write!(text, "{label}: {}", names.len());
        let mut column = text.len();
        for (i, name) in names.iter().enumerate() {
            text.push_str(if i == 0 { " - " } else { "," });
            if text.len() - column > WIDTH {
                text.push('\n');
                column = text.len();
            } else if i > 0 {
                text.push(' ');
            }
            text.push_str(name);
        }
        text.push('\n');
    }
    if let Some(result) = result {
        let _ = writeln!(text, "Result: {result}");
    }
}

/// What a named action means for the matter; none for what decides nothing (a hearing, an introduction) or only amends.
fn outcome(action: &str) -> Option<&'static str> {
    let action = action.trim_start_matches("P-C Item ");
    [
        ("Approved", "adopted"),
        ("Overridden", "adopted"),
        ("Disapproved", "failed"),
        ("Laid Over", "deferred"),
        ("Referred", "referred"),
        ("Re-referred", "referred"),
        ("Filed", "received"),
        ("Withdrawn", "withdrawn"),
    ]
    .into_iter()
    .find_map(|(start, outcome)| action.starts_with(start).then_some(outcome))
}

/// A name without the marks and spaces in which two writings of it differ.
pub(super) fn person(name: &str) -> String {
    name.replace([',', '.'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind(vote: &str) -> Option<&'static str> {
    Some(match vote {
        "Affirmative" => "yeas",
        "Negative" => "nays",
        "Abstain" | "Non-voting" => "abstain",
        "Absent" | "Medical" | "Parental" | "Maternity" | "Excused" => "absent",
        "Conflict" => "recused",
        _ => return None,
    })
}
