//! From the texts of a meeting to proposed claims, each with the spans that support it.
//!
//! Rules only: no network and no model. A claim consists of the official words, so that what it says can be looked up in
//! its evidence word for word. Reading goes lines → items → (status phrases, vote blocks, prose motions) → claims.

pub(crate) mod agenda;
pub(crate) mod align;
pub(crate) mod compose;
pub(crate) mod decisions;
pub(crate) mod dispositions;
pub(crate) mod duplicates;
pub(crate) mod extractive;
pub(crate) mod facts;
pub(crate) mod items;
pub(crate) mod lines;
pub(crate) mod numbers;
pub(crate) mod outcomes;
pub(crate) mod prose;
pub(crate) mod short;
pub(crate) mod tasks;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
pub mod topics;
pub(crate) mod votes;

use cs_core::document::{ArtifactKind, ExtractedText};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use extractive::Extractive;

/// One text version of a meeting's artifact.
#[derive(Clone, Debug)]
pub struct SourceText {
    /// The artifact it was read from.
    pub artifact_id: Uuid,
    /// What the city calls the document.
    pub kind: ArtifactKind,
    /// Names the text version.
    pub text_sha256: String,
    /// The text that offsets point into.
    pub text: ExtractedText,
}

/// Everything a summarizer may look at.
#[derive(Clone, Debug)]
pub struct MeetingInput {
    /// Title of the meeting.
    pub title: String,
    /// Body that met.
    pub body: String,
    /// Date of the sitting, `YYYY-MM-DD`.
    pub date: String,
    /// The texts, in the order of the artifacts.
    pub texts: Vec<SourceText>,
}

/// What a claim states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// The body decided something.
    Decision,
    /// Somebody was directed to do something, or a date was set.
    Action,
    /// Something was before the body.
    Topic,
    /// Who was there, when it began and ended, what money was named.
    Fact,
}

impl ClaimKind {
    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Action => "action",
            Self::Topic => "topic",
            Self::Fact => "fact",
        }
    }

    /// The kind of a word of SQL, which has no other than these.
    pub(crate) fn of(word: &str) -> Self {
        [Self::Decision, Self::Action, Self::Topic]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .unwrap_or(Self::Fact)
    }
}

/// How a matter left the meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Adopted, passed, approved, confirmed.
    Adopted,
    /// Failed, denied, or died for want of action.
    Failed,
    /// Continued, postponed, tabled, laid over, passed to a later reading.
    Deferred,
    /// Withdrawn by its author or applicant.
    Withdrawn,
    /// Sent to a committee or an agency.
    Referred,
    /// Received, or placed on file.
    Received,
}

impl Outcome {
    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adopted => "adopted",
            Self::Failed => "failed",
            Self::Deferred => "deferred",
            Self::Withdrawn => "withdrawn",
            Self::Referred => "referred",
            Self::Received => "received",
        }
    }
}

/// How many voted how, where the record says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteCounts {
    /// For.
    pub yeas: Option<u32>,
    /// Against.
    pub nays: Option<u32>,
    /// Present without voting.
    pub abstain: Option<u32>,
    /// Not there.
    pub absent: Option<u32>,
    /// Recused.
    pub recused: Option<u32>,
}

/// A recorded vote. A list is empty where the record names nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// For.
    pub yeas: Vec<String>,
    /// Against.
    pub nays: Vec<String>,
    /// Present without voting.
    pub abstain: Vec<String>,
    /// Not there.
    pub absent: Vec<String>,
    /// Recused.
    pub recused: Vec<String>,
    /// The numbers of the record, also where it names nobody.
    pub counts: VoteCounts,
}

impl Votes {
    /// Whether more voted for than against, by number or, where the record gives none, by name; `None` where nobody is
    /// recorded in favour.
    pub(crate) fn carried(&self) -> Option<bool> {
        let number = |count: Option<u32>, names: &[String]| {
            count.unwrap_or(u32::try_from(names.len()).unwrap_or(u32::MAX))
        };
        let yeas = number(self.counts.yeas, &self.yeas);
        (yeas > 0).then(|| yeas > number(self.counts.nays, &self.nays))
    }
}

/// The structured side of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionDetail {
    /// How the matter left the meeting.
    pub outcome: Outcome,
    /// Number of the matter, as written.
    pub file_number: Option<String>,
    /// Title of the matter, in the official words.
    pub title: Option<String>,
    /// The motion, where it was a step on the way (an amendment, a suspension of the rules) and not the matter itself.
    pub motion: Option<String>,
    /// Who moved.
    pub mover: Option<String>,
    /// Who seconded.
    pub seconder: Option<String>,
    /// The vote.
    pub votes: Option<Votes>,
}

/// A tenant's name for a subject.
pub type TopicSlug = String;

/// The exact span that supports a claim. Offsets are Unicode code points of the text version, half-open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceSpan {
    /// Index into [`MeetingInput::texts`].
    pub text_index: usize,
    /// The artifact.
    pub artifact_id: Uuid,
    /// The text version.
    pub text_sha256: String,
    /// Section that holds the whole span.
    pub section: u32,
    /// First code point.
    pub start: u32,
    /// One past the last.
    pub end: u32,
    /// The text between them.
    pub excerpt: String,
}

/// A claim before verification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProposedClaim {
    /// What it states.
    pub kind: ClaimKind,
    /// The statement, in the official words.
    pub text: String,
    /// Present on decisions.
    pub decision: Option<DecisionDetail>,
    /// Subjects, the most fitting first.
    pub topics: Vec<TopicSlug>,
    /// The spans that support it, in reading order.
    pub evidence: Vec<EvidenceSpan>,
    /// How sure the rule is, from 0 to 1.
    pub confidence: f32,
}

/// What a summarizer proposes for a meeting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Claims in the order of the record.
    pub claims: Vec<ProposedClaim>,
    /// Indices of the few claims that make the short summary, in the order to show them.
    pub short_summary: Vec<usize>,
}

/// Proposes claims for a meeting.
pub trait Summarizer: Send + Sync {
    /// Name and revision of the rules; a run is repeated when it changes.
    fn version(&self) -> &str;
    /// Reads the texts. The same input gives the same draft.
    fn summarize(&self, meeting: &MeetingInput) -> Draft;
}
