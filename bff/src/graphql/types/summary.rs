//! Summaries.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use cs_proto::summaries::v1 as pb;

use super::claim::{Claim, ClaimKind};
use super::words;
use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::loaders::LoadedSummary;
use crate::graphql::scalars::DateTime;
use crate::graphql::scope::{Scope, read};

words! {
    /// What the gate said.
    Verdict { Pass = "pass", LimitedConfidence = "limited_confidence", Reject = "reject" }
}

words! {
    /// What a reviewer decided.
    ReviewDecision { Approve = "approve", Retract = "retract" }
}

/// The decision that made a version; `None` where a run did.
fn review(word: &str) -> Result<Option<ReviewDecision>, Fault> {
    if word.is_empty() { Ok(None) } else { ReviewDecision::of(word).map(Some) }
}

/// The current summary of a meeting.
pub(crate) struct Summary(pub(crate) Arc<LoadedSummary>);

impl Summary {
    fn of_kind(&self, kind: Option<pb::ClaimKind>) -> Vec<Claim> {
        self.0
            .claims
            .iter()
            .filter(|claim| kind.is_none_or(|kind| claim.kind() == kind))
            .cloned()
            .map(Claim)
            .collect()
    }
}

/// The current summary of a meeting.
#[Object]
impl Summary {
    pub(crate) async fn id(&self) -> ID {
        let summary = &self.0.summary;
        Kind::Summary.id(&format!("{}.{}", summary.meeting_id, summary.version))
    }

    async fn version(&self) -> u64 {
        self.0.summary.version
    }

    async fn verdict(&self) -> Result<Verdict> {
        Ok(Verdict::of(&self.0.summary.verdict)?)
    }

    async fn verdict_reasons(&self) -> &[String] {
        &self.0.summary.verdict_reasons
    }

    async fn short_summary(&self) -> &str {
        &self.0.summary.short_summary
    }

    /// The claims that the short summary is made of.
    #[graphql(complexity = "5 * child_complexity")]
    async fn highlights(&self) -> Vec<Claim> {
        let order = &self.0.summary.highlighted_claim_ids;
        order
            .iter()
            .filter_map(|id| self.0.claims.iter().find(|claim| claim.id == *id).cloned().map(Claim))
            .collect()
    }

    #[graphql(complexity = "10 * child_complexity")]
    async fn decisions(&self) -> Vec<Claim> {
        self.of_kind(Some(pb::ClaimKind::Decision))
    }

    #[graphql(complexity = "10 * child_complexity")]
    async fn actions(&self) -> Vec<Claim> {
        self.of_kind(Some(pb::ClaimKind::Action))
    }

    #[graphql(complexity = "10 * child_complexity")]
    async fn topics(&self) -> Vec<Claim> {
        self.of_kind(Some(pb::ClaimKind::Topic))
    }

    #[graphql(complexity = "10 * child_complexity")]
    async fn claims(&self, kind: Option<ClaimKind>) -> Vec<Claim> {
        self.of_kind(kind.map(pb::ClaimKind::from))
    }

    /// Claims verified ÷ proposed, 0 to 1.
    async fn ecr(&self) -> f64 {
        self.0.summary.ecr
    }

    async fn claims_proposed(&self) -> u32 {
        self.0.summary.claims_proposed
    }

    async fn claims_verified(&self) -> u32 {
        self.0.summary.claims_verified
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.summary.created_at.clone())
    }

    /// The reviewer's decision that made this version; null: a run made it.
    async fn review(&self) -> Result<Option<ReviewDecision>> {
        Ok(review(&self.0.summary.review)?)
    }

    /// Every version, the newest first.
    #[graphql(complexity = "20 + 5 * child_complexity")]
    async fn history(&self, context: &Context<'_>) -> Result<Vec<SummaryVersion>> {
        let scope = Scope::of(context);
        scope.alone()?;
        let request = pb::ListVersionsRequest { meeting_id: self.0.summary.meeting_id.clone() };
        let answer = read!(scope.calls, summaries.list_versions, request)?;
        answer
            .summaries
            .into_iter()
            .map(|version| {
                Ok(SummaryVersion {
                    version: version.version,
                    verdict: Verdict::of(&version.verdict)?,
                    created_at: DateTime(version.created_at),
                    ecr: version.ecr,
                    review: review(&version.review)?,
                })
            })
            .collect()
    }
}

/// One version of a summary, without its claims.
#[derive(SimpleObject)]
pub(crate) struct SummaryVersion {
    version: u64,
    verdict: Verdict,
    created_at: DateTime,
    /// Claims verified ÷ proposed, 0 to 1.
    ecr: f64,
    /// The reviewer's decision that made it; null: a run made it.
    review: Option<ReviewDecision>,
}
