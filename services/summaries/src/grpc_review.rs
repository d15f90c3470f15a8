//! Reviewers' and flaggers' part of `summaries.v1.Summaries`: proto ⇄ use cases. Each asks first whether the caller may:
//! what is wrong with a message is for those who may.

use cs_core::Caller;
use cs_core::page::{Page, encode_cursor};
use cs_policy::{Action, allow};
use cs_proto::common::v1::PageInfo;
use cs_proto::summaries::v1 as pb;

use crate::grpc::id;
use crate::{Deps, Error, approve, flag, people, queue, retract, review};

pub(crate) async fn list_review_queue(
    deps: &Deps,
    caller: &Caller,
    request: pb::ListReviewQueueRequest,
) -> Result<pb::ListReviewQueueResponse, Error> {
    allow(caller, Action::Review)?;
    let r = request.page.unwrap_or_default();
    let page = Page::parse(r.first, &r.after, r.last, &r.before)?;
    let mut tx = deps.db.tenant(caller).await?;
    let view = request.view.unwrap_or_default();
    let paged = queue::queue(&mut tx, caller, &page, &view).await?;
    let cursors: Vec<String> = paged.rows.iter().map(|(key, _)| encode_cursor(key)).collect();
    let page_info = Some(PageInfo {
        has_next_page: paged.has_next,
        has_previous_page: paged.has_previous,
        start_cursor: cursors.first().cloned().unwrap_or_default(),
        end_cursor: cursors.last().cloned().unwrap_or_default(),
    });
    let items = paged.rows.into_iter().map(|(_, item)| item).collect();
    Ok(pb::ListReviewQueueResponse { items, cursors, page_info })
}

pub(crate) async fn approve_summary(
    deps: &Deps,
    caller: &Caller,
    request: pb::ApproveSummaryRequest,
) -> Result<pb::ApproveSummaryResponse, Error> {
    allow(caller, Action::Review)?;
    let meeting = id("meeting_id", &request.meeting_id)?;
    let version = approve::approve(deps, caller, meeting, request.version, &request.reason).await?;
    Ok(pb::ApproveSummaryResponse { meeting_id: request.meeting_id, version: version.unsigned_abs() })
}

pub(crate) async fn retract_claim(
    deps: &Deps,
    caller: &Caller,
    request: pb::RetractClaimRequest,
) -> Result<pb::RetractClaimResponse, Error> {
    allow(caller, Action::Review)?;
    let claim = id("claim_id", &request.claim_id)?;
    let (meeting, version) = retract::retract(deps, caller, claim, &request.reason).await?;
    Ok(pb::RetractClaimResponse { meeting_id: meeting.to_string(), version: version.unsigned_abs() })
}

pub(crate) async fn flag_claim(
    deps: &Deps,
    caller: &Caller,
    request: pb::FlagClaimRequest,
) -> Result<pb::FlagClaimResponse, Error> {
    allow(caller, Action::ManageOwn)?;
    let claim = id("claim_id", &request.claim_id)?;
    let mut tx = deps.db.tenant(caller).await?;
    let flag = flag::flag(&mut tx, caller, &deps.ids, claim, &request.reason, &request.note).await?;
    tx.commit().await?;
    Ok(pb::FlagClaimResponse { flag: Some(flag) })
}

pub(crate) async fn list_reviews(
    deps: &Deps,
    caller: &Caller,
    request: pb::ListReviewsRequest,
) -> Result<pb::ListReviewsResponse, Error> {
    let mut tx = deps.db.tenant(caller).await?;
    Ok(pb::ListReviewsResponse { reviews: review::list(&mut tx, caller, request.first).await? })
}

pub(crate) async fn export_person(deps: &Deps, caller: &Caller) -> Result<pb::ExportPersonResponse, Error> {
    let mut tx = deps.db.tenant(caller).await?;
    let kept = people::export(&mut tx, caller).await?;
    Ok(pb::ExportPersonResponse { json: kept.to_string() })
}
