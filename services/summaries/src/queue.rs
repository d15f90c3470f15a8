//! What waits for a reviewer: what the gate held back, and claims that people flagged.

use std::collections::HashMap;

use cs_core::page::{Page, Paged};
use cs_core::{Caller, ClaimId};
use cs_db::TenantTx;
use cs_policy::{Action, allow};
use cs_proto::summaries::v1 as pb;
use uuid::Uuid;

use crate::store::{flags, review};
use crate::{Error, flag, read};

/// Most flags, and most failed claims, of an item.
const MOST: i64 = 50;

/// A page of the queue, the longest waiting first, each with its key.
pub(crate) async fn queue(
    tx: &mut TenantTx,
    caller: &Caller,
    page: &Page<Uuid>,
    view: &pb::SummaryView,
) -> Result<Paged<(Uuid, pb::ReviewItem)>, Error> {
    allow(caller, Action::Review)?;
    let visible = read::tags(caller);
    let waiting = Paged::from_overfetch(page, review::queue(tx, page, &visible).await?);
    let (has_next, has_previous) = (waiting.has_next, waiting.has_previous);
    let waiting = waiting.rows;
    let mut ids: Vec<Uuid> = waiting.iter().map(|row| row.summary_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = review::summaries(tx, &ids, &visible).await?;
    let own: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let summaries: HashMap<Uuid, pb::Summary> =
        own.into_iter().zip(read::with_claims(tx, caller, rows, view).await?).collect();
    let flagged: Vec<ClaimId> = waiting.iter().filter_map(|row| row.claim_id).map(ClaimId::from).collect();
    let claims = read::claims(tx, caller, &flagged).await?;
    let claims: HashMap<String, pb::Claim> =
        claims.into_iter().map(|claim| (claim.id.clone(), claim)).collect();
    let of_claims: Vec<Uuid> = flagged.iter().map(|id| id.uuid()).collect();
    let mut said: HashMap<Uuid, Vec<pb::Flag>> = HashMap::new();
    for (claim, row) in flags::open_on(tx, &of_claims, MOST).await? {
        said.entry(claim).or_default().push(flag::told(row));
    }
    let held: Vec<Uuid> =
        waiting.iter().filter(|row| row.claim_id.is_none()).map(|row| row.summary_id).collect();
    let mut failed: HashMap<Uuid, Vec<pb::FailedClaim>> = HashMap::new();
    for (summary, kind, text, reasons) in review::failed(tx, &held, MOST).await? {
        let claim = pb::FailedClaim { kind: read::kind_of(&kind).into(), text, reasons };
        failed.entry(summary).or_default().push(claim);
    }
    let rows = waiting
        .into_iter()
        .filter_map(|row| {
            let summary = summaries.get(&row.summary_id)?.clone();
            let kind = match row.claim_id {
                None => pb::ReviewKind::HeldBack,
                Some(_) => pb::ReviewKind::Flagged,
            };
            let item = pb::ReviewItem {
                kind: kind.into(),
                meeting_id: summary.meeting_id.clone(),
                claim: row.claim_id.and_then(|id| claims.get(&ClaimId::from(id).to_string()).cloned()),
                flags: row.claim_id.and_then(|id| said.remove(&id)).unwrap_or_default(),
                since: read::rfc3339(row.since),
                failed_claims: failed.remove(&row.summary_id).unwrap_or_default(),
                summary: Some(summary),
            };
            Some((row.key, item))
        })
        .collect();
    Ok(Paged { rows, has_next, has_previous })
}
