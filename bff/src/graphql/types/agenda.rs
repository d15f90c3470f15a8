//! What was before a body.

use std::sync::Arc;

use async_graphql::{Object, Result, SimpleObject};
use cs_proto::summaries::v1 as pb;

use super::claim::{Claim, DecisionOutcome, Votes};
use crate::graphql::error::Fault;
use crate::graphql::scalars::text;

/// Something that was before the body.
pub(crate) struct AgendaItem {
    agenda: Arc<pb::Agenda>,
    at: usize,
}

impl AgendaItem {
    pub(crate) fn all(agenda: &Arc<pb::Agenda>) -> Vec<Self> {
        (0..agenda.items.len()).map(|at| Self { agenda: agenda.clone(), at }).collect()
    }

    fn message(&self) -> &pb::AgendaItem {
        &self.agenda.items[self.at]
    }
}

fn outcome(word: &str) -> Result<Option<DecisionOutcome>, Fault> {
    text(word).map(DecisionOutcome::of).transpose()
}

/// Something that was before the body.
#[Object]
impl AgendaItem {
    /// Its place in the record, from 1.
    async fn ordinal(&self) -> u32 {
        self.message().ordinal
    }

    /// In the official words.
    async fn title(&self) -> &str {
        &self.message().title
    }

    /// null: the record gives no number.
    async fn matter(&self) -> Option<Matter> {
        let item = self.message();
        let file_number = text(&item.file_number)?.to_owned();
        Some(Matter { file_number, title: item.title.clone() })
    }

    /// How it left the meeting; null: the record does not say.
    async fn outcome(&self) -> Result<Option<DecisionOutcome>> {
        Ok(outcome(&self.message().outcome)?)
    }

    /// Those that are recorded, in the order they were taken.
    #[graphql(complexity = "2 * child_complexity")]
    async fn votes(&self) -> Result<Vec<ItemVote>> {
        Ok(self.message().votes.iter().cloned().map(ItemVote::new).collect::<Result<_, _>>()?)
    }

    /// What the summary says of it, with evidence.
    #[graphql(complexity = "2 * child_complexity")]
    async fn claims(&self) -> Vec<Claim> {
        let meeting = &self.agenda.meeting_id;
        let own = self.message().claims.iter().cloned();
        own.map(|claim| Claim(Arc::new(pb::Claim { meeting_id: meeting.clone(), ..claim }))).collect()
    }
}

/// The ordinance, resolution or file that an item is about.
#[derive(SimpleObject)]
pub(crate) struct Matter {
    /// As written.
    file_number: String,
    title: String,
}

/// A vote that was taken on an item.
#[derive(SimpleObject)]
pub(crate) struct ItemVote {
    /// The step that was voted on, such as an amendment; null: the matter itself.
    motion: Option<String>,
    outcome: DecisionOutcome,
    votes: Votes,
    mover: Option<String>,
    seconder: Option<String>,
}

impl ItemVote {
    fn new(vote: pb::ItemVote) -> Result<Self, Fault> {
        let some = |word: String| Some(word).filter(|word| !word.is_empty());
        Ok(Self {
            motion: some(vote.motion),
            outcome: DecisionOutcome::of(&vote.outcome)?,
            votes: vote.votes.unwrap_or_default().into(),
            mover: some(vote.mover),
            seconder: some(vote.seconder),
        })
    }
}
