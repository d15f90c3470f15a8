//! Claims, decisions, votes, and the evidence for them.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use cs_proto::summaries::v1 as pb;

use super::artifact::Artifact;
use super::words;
use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::loaders::SectionKey;
use crate::graphql::scalars::text;
use crate::graphql::scope::Scope;

/// What a claim states.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimKind {
    Decision,
    Action,
    Topic,
    Fact,
}

impl From<ClaimKind> for pb::ClaimKind {
    fn from(kind: ClaimKind) -> Self {
        match kind {
            ClaimKind::Decision => Self::Decision,
            ClaimKind::Action => Self::Action,
            ClaimKind::Topic => Self::Topic,
            ClaimKind::Fact => Self::Fact,
        }
    }
}

impl ClaimKind {
    pub(crate) fn of(kind: pb::ClaimKind) -> Result<Self, Fault> {
        match kind {
            pb::ClaimKind::Decision => Ok(Self::Decision),
            pb::ClaimKind::Action => Ok(Self::Action),
            pb::ClaimKind::Topic => Ok(Self::Topic),
            pb::ClaimKind::Fact => Ok(Self::Fact),
            pb::ClaimKind::Unspecified => Err(Fault::internal()),
        }
    }
}

words! {
    /// What became of what was decided on.
    DecisionOutcome {
        Adopted = "adopted",
        Failed = "failed",
        Deferred = "deferred",
        Withdrawn = "withdrawn",
        Referred = "referred",
        Received = "received",
    }
}

/// One statement in a summary.
pub(crate) struct Claim(pub(crate) Arc<pb::Claim>);

/// One statement in a summary.
#[Object]
impl Claim {
    pub(crate) async fn id(&self) -> ID {
        Kind::Claim.id(&self.0.id)
    }

    async fn kind(&self) -> Result<ClaimKind> {
        Ok(ClaimKind::of(self.0.kind())?)
    }

    /// In the official words.
    async fn text(&self) -> &str {
        &self.0.text
    }

    /// Of a decision.
    async fn decision(&self) -> Option<Decision> {
        self.0.decision.is_some().then(|| Decision(self.0.clone()))
    }

    /// Of the tenant's list of topics.
    async fn topic_slugs(&self) -> &[String] {
        &self.0.topics
    }

    async fn confidence(&self) -> f64 {
        self.0.confidence
    }

    /// The exact places that support it.
    #[graphql(complexity = "2 * child_complexity")]
    async fn evidence(&self) -> Vec<Evidence> {
        (0..self.0.evidence.len()).map(|at| Evidence { claim: self.0.clone(), at }).collect()
    }
}

/// What was decided, and how.
pub(crate) struct Decision(Arc<pb::Claim>);

impl Decision {
    fn message(&self) -> Result<&pb::Decision, Fault> {
        self.0.decision.as_ref().ok_or_else(Fault::internal)
    }
}

/// What was decided, and how.
#[Object]
impl Decision {
    async fn outcome(&self) -> Result<DecisionOutcome> {
        Ok(DecisionOutcome::of(&self.message()?.outcome)?)
    }

    /// Of the matter.
    async fn file_number(&self) -> Result<Option<&str>> {
        Ok(text(&self.message()?.file_number))
    }

    async fn title(&self) -> Result<Option<&str>> {
        Ok(text(&self.message()?.title))
    }

    async fn mover(&self) -> Result<Option<&str>> {
        Ok(text(&self.message()?.mover))
    }

    async fn seconder(&self) -> Result<Option<&str>> {
        Ok(text(&self.message()?.seconder))
    }

    /// null: not recorded.
    async fn votes(&self) -> Result<Option<Votes>> {
        Ok(self.message()?.votes.clone().map(Votes::from))
    }
}

/// Who voted how.
#[derive(SimpleObject)]
pub(crate) struct Votes {
    yeas: Vec<String>,
    nays: Vec<String>,
    abstain: Vec<String>,
    absent: Vec<String>,
    recused: Vec<String>,
    /// Where only the count is recorded, the names are missing.
    yea_count: Option<u32>,
    nay_count: Option<u32>,
}

impl From<pb::Votes> for Votes {
    fn from(votes: pb::Votes) -> Self {
        let pb::Votes { yeas, nays, abstain, absent, recused, yea_count, nay_count } = votes;
        Self { yeas, nays, abstain, absent, recused, yea_count, nay_count }
    }
}

/// The exact span that supports a claim.
pub(crate) struct Evidence {
    claim: Arc<pb::Claim>,
    at: usize,
}

impl Evidence {
    fn message(&self) -> &pb::Evidence {
        &self.claim.evidence[self.at]
    }
}

/// The exact span that supports a claim. Offsets count Unicode code points into the text version, half-open.
#[Object]
impl Evidence {
    /// The text between the offsets, character by character.
    async fn excerpt(&self) -> &str {
        &self.message().excerpt
    }

    async fn artifact(&self, context: &Context<'_>) -> Result<Artifact> {
        let found = Scope::of(context).loaders.artifacts.load(self.message().artifact_id.clone()).await?;
        Ok(Artifact(found.ok_or_else(Fault::not_found)?))
    }

    async fn section(&self) -> u32 {
        self.message().section
    }

    async fn page(&self) -> Option<u32> {
        self.message().page
    }

    /// In a recording, milliseconds from its beginning.
    async fn time_ms(&self) -> Option<f64> {
        milliseconds(self.message().time_ms)
    }

    async fn start(&self) -> u32 {
        self.message().start
    }

    async fn end(&self) -> u32 {
        self.message().end
    }

    /// Names the text version.
    async fn text_sha256(&self) -> &str {
        &self.message().text_sha256
    }

    /// Permanent link to the sentence in this application: /meetings/{id}/evidence?artifact=…&start=…&end=…
    async fn url(&self) -> String {
        let evidence = self.message();
        place(&self.claim.meeting_id, &evidence.artifact_id, evidence.start, evidence.end)
    }

    /// The excerpt with the text around it, for showing the sentence in its place.
    async fn context(
        &self,
        context: &Context<'_>,
        #[graphql(default = 400)] before: Option<i32>,
        #[graphql(default = 400)] after: Option<i32>,
    ) -> Result<EvidenceContext> {
        let around = |field: &str, n: Option<i32>| match usize::try_from(n.unwrap_or(400)) {
            Ok(n) if n <= 5_000 => Ok(n),
            _ => Err(Fault::input(field, "must be 0 to 5000")),
        };
        let (before, after) = (around("before", before)?, around("after", after)?);
        let evidence = self.message();
        let key = SectionKey {
            meeting: self.claim.meeting_id.clone(),
            text_sha256: evidence.text_sha256.clone(),
            ordinal: evidence.section,
        };
        let section = Scope::of(context).loaders.sections.load(key).await?.ok_or_else(Fault::not_found)?;
        let offset =
            |at: u32| at.checked_sub(section.start).map(|at| at as usize).ok_or_else(Fault::internal);
        let (start, end) = (offset(evidence.start)?, offset(evidence.end)?);
        Ok(EvidenceContext {
            before: code_points(&section.text, start.saturating_sub(before), start).to_owned(),
            excerpt: evidence.excerpt.clone(),
            after: code_points(&section.text, end, end.saturating_add(after)).to_owned(),
            heading: text(&section.heading).map(str::to_owned),
        })
    }
}

/// A sentence in its place.
#[derive(SimpleObject)]
pub(crate) struct EvidenceContext {
    before: String,
    excerpt: String,
    after: String,
    heading: Option<String>,
}

/// The permanent address of a span.
pub(crate) fn place(meeting: &str, artifact: &str, start: u32, end: u32) -> String {
    let (meeting, artifact) = (Kind::Meeting.id(meeting), Kind::Artifact.id(artifact));
    format!("/meetings/{}/evidence?artifact={}&start={start}&end={end}", *meeting, *artifact)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "GraphQL has no 64-bit integer; a recording is far below 2^53 ms"
)]
pub(crate) fn milliseconds(time: Option<u64>) -> Option<f64> {
    time.map(|ms| ms as f64)
}

/// The part of a text between two offsets in code points; what lies beyond its end is not there.
fn code_points(text: &str, start: usize, end: usize) -> &str {
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    let (start, end) = (byte(start), byte(end));
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::code_points;

    #[test]
    fn offsets_count_code_points() {
        assert_eq!(code_points("añ🏛b", 1, 3), "ñ🏛");
        assert_eq!(code_points("añ🏛b", 3, 99), "b");
        assert_eq!(code_points("añ🏛b", 9, 99), "");
    }
}
