//! What waits for a reviewer.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use cs_proto::summaries::v1 as pb;

use super::claim::{Claim, ClaimKind};
use super::meeting::Meeting;
use super::summary::Summary;
use super::words;
use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::loaders::LoadedSummary;
use crate::graphql::scalars::DateTime;
use crate::graphql::scope::Scope;

/// Why something waits.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReviewKind {
    /// The gate rejected the newest summary of a meeting.
    HeldBack,
    /// Somebody flagged a claim of a current summary.
    Flagged,
}

words! {
    /// What is wrong with a claim.
    FlagReason {
        /// The document does not say it.
        NotInSource = "not_in_source",
        /// It says it otherwise.
        Misleading = "misleading",
        /// It was corrected since.
        Outdated = "outdated",
        Other = "other",
    }
}

/// Something that waits for a reviewer.
pub(crate) struct ReviewItem {
    item: pb::ReviewItem,
    summary: Option<Arc<LoadedSummary>>,
    claim: Option<Arc<pb::Claim>>,
}

impl ReviewItem {
    pub(crate) fn new(mut item: pb::ReviewItem) -> Self {
        let summary = item.summary.take().map(LoadedSummary::new);
        let claim = item.claim.take().map(Arc::new);
        Self { item, summary, claim }
    }
}

/// Something that waits for a reviewer.
#[Object]
impl ReviewItem {
    async fn kind(&self) -> Result<ReviewKind> {
        match self.item.kind() {
            pb::ReviewKind::HeldBack => Ok(ReviewKind::HeldBack),
            pb::ReviewKind::Flagged => Ok(ReviewKind::Flagged),
            pb::ReviewKind::Unspecified => Err(Fault::internal().into()),
        }
    }

    async fn meeting(&self, context: &Context<'_>) -> Result<Option<Meeting>> {
        Ok(Scope::of(context).loaders.meetings.load(self.item.meeting_id.clone()).await?.map(Meeting))
    }

    /// What was held back, or the current summary that the claim is of.
    async fn summary(&self) -> Result<Summary> {
        Ok(Summary(self.summary.clone().ok_or_else(Fault::internal)?))
    }

    /// Of what was flagged.
    async fn claim(&self) -> Option<Claim> {
        self.claim.clone().map(Claim)
    }

    /// Those that are open, the oldest first.
    async fn flags(&self) -> Result<Vec<ClaimFlag>> {
        Ok(self.item.flags.iter().cloned().map(ClaimFlag::new).collect::<Result<_, _>>()?)
    }

    /// Of what was held back: what was proposed and could not be verified. It is never published.
    async fn failed_claims(&self) -> Result<Vec<FailedClaim>> {
        Ok(self.item.failed_claims.iter().cloned().map(FailedClaim::new).collect::<Result<_, _>>()?)
    }

    /// When it came in.
    async fn since(&self) -> DateTime {
        DateTime(self.item.since.clone())
    }
}

/// What somebody said of a claim. Who it was is not told.
#[derive(SimpleObject)]
pub(crate) struct ClaimFlag {
    id: ID,
    claim_id: ID,
    reason: FlagReason,
    note: String,
    created_at: DateTime,
}

impl ClaimFlag {
    pub(crate) fn new(flag: pb::Flag) -> Result<Self, Fault> {
        Ok(Self {
            id: Kind::ClaimFlag.id(&flag.id),
            claim_id: Kind::Claim.id(&flag.claim_id),
            reason: FlagReason::of(&flag.reason)?,
            note: flag.note,
            created_at: DateTime(flag.created_at),
        })
    }
}

/// A claim that could not be verified.
#[derive(SimpleObject)]
pub(crate) struct FailedClaim {
    kind: ClaimKind,
    text: String,
    reasons: Vec<String>,
}

impl FailedClaim {
    fn new(claim: pb::FailedClaim) -> Result<Self, Fault> {
        Ok(Self { kind: ClaimKind::of(claim.kind())?, text: claim.text, reasons: claim.reasons })
    }
}
