//! A notice to its followers, a batch a job: each follower gets one delivery, whatever their follows.
//!
//! The effect of a batch and the next batch's job are one transaction, so a worker that dies in between repeats the
//! batch, and the dedupe keys make the repeat nothing.

use cs_core::{Caller, DeliveryId, MeetingId, UserId};
use cs_events::jobs::{self, Job};
use cs_events::{HandlerError, dies_at};
use cs_proto::events::v1::NotificationFanOutRequested;

use crate::announce::{MEETING_PUBLISHED, ask};
use crate::hand_over::hex;
use crate::home::parse;
use crate::schedule::Due;
use crate::store::deliveries::{self, NewDelivery};
use crate::store::{erasure, follows, notices};
use crate::{Deps, Error, reason};

/// Followers in one transaction: enough that what each costs beside its rows (a job, some calls) does not count, and over in
/// a tenth of a second.
pub const BATCH: usize = 2_000;

/// `notification.enqueue.requested`: the followers after the last one served.
pub async fn fan_out(
    deps: &Deps,
    caller: &Caller,
    job: &Job,
    request: &NotificationFanOutRequested,
) -> Result<(), HandlerError> {
    let event = request.meeting.as_ref().ok_or_else(|| Error::invalid("meeting", "must be given"))?;
    let meeting: MeetingId = parse("meeting_id", &event.meeting_id)?;
    let kind = if request.r#type.is_empty() { MEETING_PUBLISHED } else { &request.r#type };
    let after: Option<UserId> = match request.after_user_id.as_str() {
        "" => None,
        id => Some(parse("after_user_id", id)?),
    };
    let (now, most) = (deps.ids.now(), i64::try_from(BATCH).unwrap_or(i64::MAX));
    let mut tx = deps.db.tenant(caller).await?;
    erasure::hold_off(&mut tx).await?;
    let notice = notices::of(&mut tx, meeting, kind).await?.ok_or(Error::NotFound("notice"))?;
    if notice.closed {
        jobs::finish(&mut tx, job, now).await?;
        tx.commit().await?;
        tracing::info!(meeting_id = %meeting, kind, "what was told of this meeting is forgotten: nobody is told again");
        return Ok(());
    }
    let followers = if request.saved_searches {
        follows::searchers(&mut tx, notice.id, after, most).await?
    } else {
        follows::followers(&mut tx, &event.city_id, &event.body_id, &event.topics, after, most).await?
    };
    let last = followers.last().map(|follower| follower.user);
    let full = followers.len() == BATCH;
    let changes_only = kind != MEETING_PUBLISHED;
    let made: Vec<NewDelivery> = followers
        .into_iter()
        .filter(|follower| {
            !changes_only || follower.preferences.as_ref().is_some_and(|chosen| chosen.changed_summaries)
        })
        .map(|follower| {
            let chosen = follower.preferences.as_ref();
            NewDelivery {
                id: deps.ids.next::<DeliveryId>().uuid(),
                user: follower.user.uuid(),
                dedupe_key: dedupe_key(follower.user, meeting, kind),
                reason: reason::sentence(&follower.matched, &notice.city_name, &event.body_name),
                silence: chosen.and_then(|chosen| chosen.silence(now)),
                due: chosen.map_or(Due { at: now, digest_at: None }, |chosen| chosen.schedule().due(now)),
            }
        })
        .collect();
    let asked = made.len();
    let new = deliveries::insert(&mut tx, &notice, made, &caller.trace.to_string(), now).await?;
    if let (true, Some(last)) = (full, last) {
        let next = NotificationFanOutRequested { after_user_id: last.to_string(), ..request.clone() };
        ask(&mut tx, caller, &deps.ids, &next).await?;
    }
    dies_at!("fan_out.made");
    jobs::finish(&mut tx, job, now).await?;
    tx.commit().await?;
    dies_at!("fan_out.committed");
    tracing::info!(meeting_id = %meeting, followers = asked, new, kind, "a batch of followers is to be told");
    Ok(())
}

/// One logical send per this key: whatever is retried or comes twice, a person is told once of a meeting, by type.
pub fn dedupe_key(user: UserId, meeting: MeetingId, kind: &str) -> String {
    hex(&format!("{user}|{meeting}|{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_one_of_the_contract() {
        let (user, meeting) =
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(), "01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap());
        // printf '%s' '01ARZ3NDEKTSV4RRFFQ69G5FAV|01ARZ3NDEKTSV4RRFFQ69G5FAW|meeting_published' | sha256sum
        assert_eq!(
            dedupe_key(user, meeting, MEETING_PUBLISHED),
            "eddc295eb8c314773d36f5ab29e7ea4ebbe180358b4d43384e6924befdc3a408"
        );
    }
}
