//! The summarizer that proposes only what the record says in its own words.

use std::ops::Range;

use cs_core::document::ArtifactKind;

use super::decisions::Placed;
use super::lines::Page;
use super::topics::Topics;
use super::{
    Draft, MeetingInput, ProposedClaim, Summarizer, agenda, decisions, dispositions, duplicates, facts,
    items, prose, short, tasks,
};

/// Rules over the official words.
#[derive(Clone, Debug)]
pub struct Extractive {
    topics: Topics,
}

impl Default for Extractive {
    fn default() -> Self {
        Self { topics: Topics::standard().clone() }
    }
}

impl Extractive {
    /// With a tenant's own list of subjects.
    pub fn with_topics(topics: Topics) -> Self {
        Self { topics }
    }
}

impl Summarizer for Extractive {
    fn version(&self) -> &str {
        "extractive-3"
    }

    fn summarize(&self, meeting: &MeetingInput) -> Draft {
        let of = |kinds: &[ArtifactKind]| -> Vec<usize> {
            (0..meeting.texts.len()).filter(|&i| kinds.contains(&meeting.texts[i].kind)).collect()
        };
        let page = |i: usize| Page::read(&meeting.texts[i], i);
        // The minutes say what was decided; an agenda only what was meant; speech neither.
        let minutes = of(&[ArtifactKind::Minutes]);
        let mut claims = keep(minutes.iter().map(|&i| minutes_claims(&page(i))).collect());
        if claims.is_empty() {
            let agendas = of(&[ArtifactKind::Agenda]);
            let agendas = if agendas.is_empty() { of(&[ArtifactKind::Packet]) } else { agendas };
            claims = keep(agendas.iter().map(|&i| agenda_claims(&page(i))).collect());
        }
        if claims.is_empty() {
            claims = of(&[ArtifactKind::Transcript])
                .into_iter()
                .flat_map(|i| in_order(agenda::said(&page(i), &self.topics)))
                .collect();
        }
        claims.retain(|c| !c.evidence.is_empty());
        for claim in &mut claims {
            let about = match &claim.decision {
                Some(detail) => detail.title.as_deref().unwrap_or(&claim.text),
                None => &claim.text,
            };
            claim.topics = self.topics.of(about);
        }
        let short_summary = short::choose(&claims);
        Draft { claims, short_summary }
    }
}

fn keep(records: Vec<Vec<ProposedClaim>>) -> Vec<ProposedClaim> {
    let kept = duplicates::keep(&records);
    records.into_iter().enumerate().filter(|(i, _)| kept.contains(i)).flat_map(|(_, claims)| claims).collect()
}

fn minutes_claims(page: &Page<'_>) -> Vec<ProposedClaim> {
    let listed = dispositions::read(page);
    if !listed.is_empty() {
        return listed;
    }
    let items = items::split(&page.lines);
    let mut found = decisions::read(page, &items);
    let told = prose::read(page, &items, &used(&found));
    found.extend(told);
    let adopted: Vec<Range<usize>> = found
        .iter()
        .filter(|p| {
            p.claim
                .decision
                .as_ref()
                .is_some_and(|d| d.outcome == super::Outcome::Adopted && d.motion.is_none())
        })
        .flat_map(|p| p.lines.clone())
        .collect();
    let follow = tasks::read(page, &items, &adopted);
    let known = facts::read(page, &items, &used(&found));
    let taken: Vec<_> = used(&found).into_iter().chain(used(&known)).collect();
    let before_it = agenda::read(page, &items, &taken);
    found.extend(follow);
    found.extend(known);
    found.extend(before_it);
    in_order(found)
}

fn agenda_claims(page: &Page<'_>) -> Vec<ProposedClaim> {
    let items = items::split(&page.lines);
    let opened: Vec<Placed> = facts::read(page, &items, &[]);
    let before_it = agenda::read(page, &items, &used(&opened));
    in_order(opened.into_iter().chain(before_it).collect())
}

fn used(placed: &[Placed]) -> Vec<Range<usize>> {
    placed.iter().flat_map(|p| p.lines.clone()).collect()
}

/// In the order of the record: by the last line a claim rests on, so that a vote taken later comes later.
fn in_order(mut placed: Vec<Placed>) -> Vec<ProposedClaim> {
    placed.sort_by_key(|p| (p.lines.iter().map(|r| r.end).max(), p.claim.kind));
    placed.into_iter().map(|p| p.claim).collect()
}
