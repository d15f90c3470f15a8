//! What people say of claims, and what reviewers decide. Summaries decides who is one, by the same policies as are asked
//! here first.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use cs_policy::Action;
use cs_proto::summaries::v1 as pb;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::once;
use crate::graphql::scope::{Scope, write};
use crate::graphql::types::{ClaimFlag, FlagReason, Summary, UserError, selected};

#[derive(InputObject, Debug)]
struct FlagClaimInput {
    claim_id: ID,
    reason: FlagReason,
    /// In the person's own words, at most 1,000 characters.
    note: Option<String>,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct FlagClaimPayload {
    flag: Option<ClaimFlag>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct ApproveSummaryInput {
    summary_id: ID,
    /// Why, in 1 to 1,000 characters; kept for good.
    reason: String,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct ApproveSummaryPayload {
    /// That readers get now.
    summary: Option<Summary>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct RetractClaimInput {
    claim_id: ID,
    /// Why, in 1 to 1,000 characters; kept for good.
    reason: String,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct RetractClaimPayload {
    /// That readers get now.
    summary: Option<Summary>,
    user_errors: Vec<UserError>,
}

/// A version of a meeting's summary, as its id names it.
fn version(id: &ID) -> Result<(String, u64), Fault> {
    let own = Kind::Summary.own(id, "input.summaryId")?;
    own.split_once('.')
        .and_then(|(meeting, version)| Some((meeting.to_owned(), version.parse().ok()?)))
        .ok_or_else(|| Fault::input("input.summaryId", "must be the id of a Summary"))
}

/// The current summary of a meeting, as far as `summary` of the payload is selected.
async fn current(context: &Context<'_>, meeting: Option<String>) -> Result<Option<Summary>, Fault> {
    let Some(meeting) = meeting else { return Ok(None) };
    let key = (meeting, selected(context.look_ahead().field("summary")));
    Ok(Scope::of(context).loaders.summaries.load(key).await?.map(Summary))
}

#[derive(Default)]
pub(super) struct ReviewMutations;

#[Object]
impl ReviewMutations {
    /// Says that a claim is wrong; reviewers see it. A claim that the person flagged already stays flagged once.
    async fn flag_claim(&self, context: &Context<'_>, input: FlagClaimInput) -> Result<FlagClaimPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let request = pb::FlagClaimRequest {
            claim_id: Kind::Claim.own(&input.claim_id, "input.claimId")?,
            reason: input.reason.word().to_owned(),
            note: input.note.clone().unwrap_or_default(),
        };
        let change =
            async { write!(scope.calls, summaries.flag_claim, request)?.flag.ok_or_else(Fault::internal) };
        let outcome = once(scope, "flagClaim", input.idempotency_key.as_ref(), &input, change).await?;
        let (flag, user_errors) = outcome.parts();
        Ok(FlagClaimPayload { flag: flag.map(ClaimFlag::new).transpose()?, user_errors })
    }

    /// Publishes what the gate held back, as a version of limited confidence that says so; of a summary that readers have
    /// already, answers what people flagged in it. For reviewers.
    async fn approve_summary(
        &self,
        context: &Context<'_>,
        input: ApproveSummaryInput,
    ) -> Result<ApproveSummaryPayload> {
        let scope = Scope::of(context);
        scope.may(Action::Review)?;
        let (meeting_id, version) = version(&input.summary_id)?;
        let request = pb::ApproveSummaryRequest { meeting_id, version, reason: input.reason.clone() };
        let change = async { write!(scope.calls, summaries.approve_summary, request) };
        let outcome = once(scope, "approveSummary", input.idempotency_key.as_ref(), &input, change).await?;
        let (done, user_errors) = outcome.parts();
        let summary = current(context, done.map(|done| done.meeting_id)).await?;
        Ok(ApproveSummaryPayload { summary, user_errors })
    }

    /// Takes a claim back: readers get a version without it, and it is shown nowhere any more. For reviewers.
    async fn retract_claim(
        &self,
        context: &Context<'_>,
        input: RetractClaimInput,
    ) -> Result<RetractClaimPayload> {
        let scope = Scope::of(context);
        scope.may(Action::Review)?;
        let claim_id = Kind::Claim.own(&input.claim_id, "input.claimId")?;
        let request = pb::RetractClaimRequest { claim_id, reason: input.reason.clone() };
        let change = async { write!(scope.calls, summaries.retract_claim, request) };
        let outcome = once(scope, "retractClaim", input.idempotency_key.as_ref(), &input, change).await?;
        let (done, user_errors) = outcome.parts();
        let summary = current(context, done.map(|done| done.meeting_id)).await?;
        Ok(RetractClaimPayload { summary, user_errors })
    }
}
