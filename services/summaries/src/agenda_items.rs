//! What was before the body: the decisions and topics of a summary, a matter an item.
//!
//! They are read from claims, so that an item has the evidence of its claims, is shown to those who may see them, and is gone
//! with what was taken back. What a record says of no item (a roll call, an adjournment) is none.

use std::collections::HashMap;

use cs_core::{Caller, MeetingId};
use cs_db::TenantTx;
use cs_proto::summaries::v1 as pb;
use uuid::Uuid;

use crate::store::{self, ClaimRow};
use crate::summarizer::{DecisionDetail, agenda, numbers};
use crate::{Error, read};

/// One item, and the claims about it by their place.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    title: String,
    file_number: String,
    outcome: String,
    claims: Vec<usize>,
}

/// The items of meetings' current summaries.
pub(crate) async fn of_meetings(
    tx: &mut TenantTx,
    caller: &Caller,
    meetings: &[MeetingId],
) -> Result<Vec<pb::Agenda>, Error> {
    let ids: Vec<Uuid> = meetings.iter().map(|id| id.uuid()).collect();
    let tags = read::tags(caller);
    let summaries = store::current(tx, &ids, &tags).await?;
    let own: Vec<Uuid> = summaries.iter().map(|row| row.id).collect();
    let rows = store::claims(tx, &own, &tags, &["decision", "topic"]).await?;
    let mut evidence = read::evidence_of(tx, &rows).await?;
    let mut by_summary: HashMap<Uuid, Vec<ClaimRow>> = HashMap::new();
    for row in rows.into_iter().filter(is_business) {
        by_summary.entry(row.summary_id).or_default().push(row);
    }
    let mut agendas = Vec::new();
    for summary in summaries {
        let rows = by_summary.remove(&summary.id).unwrap_or_default();
        let items = grouped(&rows);
        let votes: Vec<Option<pb::ItemVote>> = rows.iter().map(vote).collect();
        let own = rows.iter().filter_map(|row| evidence.remove_entry(&row.id)).collect();
        let claims = read::attach(rows, own);
        let items = (1u32..).zip(items).map(|(ordinal, item)| pb::AgendaItem {
            ordinal,
            title: item.title,
            file_number: item.file_number,
            outcome: item.outcome,
            votes: item.claims.iter().filter_map(|at| votes[*at].clone()).collect(),
            claims: item.claims.iter().map(|at| claims[*at].clone()).collect(),
        });
        agendas.push(pb::Agenda {
            meeting_id: MeetingId::from(summary.meeting_id).to_string(),
            version: summary.version.unsigned_abs(),
            items: items.collect(),
        });
    }
    Ok(agendas)
}

/// Decisions, and what stood on the agenda; what somebody said in a recording is neither.
fn is_business(row: &ClaimRow) -> bool {
    row.decision.is_some() || (row.kind == "topic" && row.confidence > agenda::SAID)
}

/// Claims of one matter are one item, which stands where its first claim does.
fn grouped(rows: &[ClaimRow]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let detail = row.decision.as_ref().map(|json| &json.0);
        let number = detail.and_then(|d| d.file_number.clone()).unwrap_or_default();
        let title = detail.and_then(|d| d.title.clone()).unwrap_or_else(|| row.text.clone());
        // A number is the matter's name; without one its title is.
        let key = if number.is_empty() { title.clone() } else { numbers::key(&number) };
        let place = *known.entry(key).or_insert_with(|| {
            items.push(Item { title, file_number: number, outcome: String::new(), claims: Vec::new() });
            items.len() - 1
        });
        let item = &mut items[place];
        item.claims.push(at);
        // A step on the way is not how the matter left the meeting.
        if let Some(detail) = detail.filter(|d| d.motion.is_none()) {
            detail.outcome.as_str().clone_into(&mut item.outcome);
        }
    }
    items
}

fn vote(row: &ClaimRow) -> Option<pb::ItemVote> {
    let DecisionDetail { outcome, motion, mover, seconder, votes, .. } = row.decision.as_ref()?.0.clone();
    Some(pb::ItemVote {
        motion: motion.unwrap_or_default(),
        outcome: outcome.as_str().to_owned(),
        votes: Some(read::votes(votes?)),
        mover: mover.unwrap_or_default(),
        seconder: seconder.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use sqlx::types::Json;

    use super::*;
    use crate::summarizer::Outcome;

    fn row(kind: &str, text: &str, decision: Option<DecisionDetail>, confidence: f32) -> ClaimRow {
        ClaimRow {
            id: Uuid::nil(),
            summary_id: Uuid::nil(),
            meeting_id: Uuid::nil(),
            ordinal: 0,
            kind: kind.to_owned(),
            text: text.to_owned(),
            decision: decision.map(Json),
            topics: Vec::new(),
            confidence,
            highlight: None,
        }
    }

    fn decided(number: &str, title: &str, outcome: Outcome, motion: Option<&str>) -> ClaimRow {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let detail = DecisionDetail {
            outcome,
            file_number: some(number),
            title: some(title),
            motion: motion.map(str::to_owned),
            mover: None,
            seconder: None,
            votes: None,
        };
        row("decision", &format!("{title} {outcome:?}"), Some(detail), 1.0)
    }

    #[test]
    fn a_matter_is_one_item_with_all_that_was_decided_about_it() {
        let rows = [
            decided("CAL. NO. 34,001", "An Ordinance", Outcome::Failed, Some("Amendment")),
            row("topic", "A presentation", None, 0.85),
            decided("Cal. No. 34,001", "An Ordinance", Outcome::Adopted, None),
            decided("", "A motion", Outcome::Deferred, None),
        ];
        let items = grouped(&rows);
        let told: Vec<_> =
            items.iter().map(|i| (i.title.as_str(), i.outcome.as_str(), i.claims.as_slice())).collect();
        assert_eq!(
            told,
            [
                ("An Ordinance", "adopted", &[0, 2][..]),
                ("A presentation", "", &[1][..]),
                ("A motion", "deferred", &[3][..]),
            ]
        );
    }

    #[test]
    fn speech_and_facts_are_no_items() {
        assert!(is_business(&row("topic", "On the agenda", None, 0.8)));
        assert!(!is_business(&row("topic", "Somebody said", None, agenda::SAID)));
        assert!(!is_business(&row("fact", "Present", None, 0.9)));
    }
}
