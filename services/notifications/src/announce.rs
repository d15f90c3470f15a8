//! A meeting was published: one notice of it, and the first step of telling its followers.
//!
//! A meeting is announced once, by whichever version residents may see first. A later version tells nobody again: neither
//! who was told, nor who began to follow since. Where its words differ from what was told, it is announced as
//! `summary_changed:<version>` to those followers who asked for that.

use cs_core::{BodyId, Caller, CityId, Ids, MeetingId, Visibility};
use cs_db::TenantTx;
use cs_events::{Envelope, Fact, HandlerError, dies_at, inbox, jobs};
use cs_proto::events::v1::{MeetingPublished, NotificationFanOutRequested, NotificationMatchRequested};

use crate::home::parse;
use crate::store::notices::{self, NewNotice};
use crate::store::{preferences, searches};
use crate::{Deps, Error, SCHEMA, places};

const HANDLER: &str = "notifications.announce";
/// The type of a notice that a meeting was published.
pub const MEETING_PUBLISHED: &str = "meeting_published";
/// The job that tells a batch of followers.
pub(crate) const FAN_OUT: &str = "notification.enqueue.requested";
/// The job that tries a batch of saved searches.
pub(crate) const MATCH: &str = "notification.match.requested";

/// `meeting.published`.
pub async fn published(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: MeetingPublished = envelope.payload()?;
    let visibility: Visibility = event
        .visibility
        .parse()
        .map_err(|_| Error::invalid("visibility", "must be public, member or reviewer"))?;
    // Residents may not see it, so nobody is told; should it be opened later, that version announces it.
    if visibility == Visibility::Reviewer {
        return Ok(());
    }
    let meeting: MeetingId = parse("meeting_id", &event.meeting_id)?;
    let city: CityId = parse("city_id", &event.city_id)?;
    parse::<BodyId>("body_id", &event.body_id)?;
    let city_name = places::city_name(deps, caller, city).await?.unwrap_or_else(|| "this city".to_owned());
    // It may have been taken back while its summary was under way, and that have been told before this.
    let gone = places::standing(deps, caller, &[meeting]).await?.is_empty();
    dies_at!("announce.asked");
    let version = i64::try_from(event.version).map_err(|e| HandlerError::Permanent(e.to_string()))?;
    let title = title(&event);
    let mut notice = NewNotice {
        kind: MEETING_PUBLISHED,
        meeting,
        city,
        city_name: &city_name,
        title: &title,
        body: &event.short_summary,
        summary_version: version,
    };
    let mut tx = deps.db.tenant(caller).await?;
    if !inbox::first_time(&mut tx, HANDLER, envelope, deps.ids.now()).await? {
        return Ok(());
    }
    if gone {
        tracing::info!(meeting_id = %meeting, "a meeting that was withdrawn is not announced");
        return Ok(tx.commit().await?);
    }
    let changed = format!("summary_changed:{version}");
    notices::lock(&mut tx, meeting).await?;
    let told = notices::latest(&mut tx, meeting).await?;
    if let Some(told) = told {
        let newer = version > told.summary_version;
        let differs = told.title != title || told.body != event.short_summary;
        // Where the claim was not among what was told, those words stand.
        if event.retracts && newer && told.body != event.short_summary {
            notices::take_back(&mut tx, meeting, version).await?;
        }
        if !newer || !differs || !preferences::anybody_wants_changes(&mut tx).await? {
            return Ok(tx.commit().await?);
        }
        notice.kind = &changed;
    }
    if notices::insert(&mut tx, deps.ids.next(), &notice, deps.ids.now()).await? {
        let kind = notice.kind.to_owned();
        if searches::any_followed(&mut tx).await? {
            let first = NotificationMatchRequested {
                meeting: Some(event.clone()),
                after_key: String::new(),
                r#type: kind.clone(),
            };
            ask_match(&mut tx, caller, &deps.ids, &first).await?;
        }
        let first = NotificationFanOutRequested { meeting: Some(event), r#type: kind, ..Default::default() };
        ask(&mut tx, caller, &deps.ids, &first).await?;
    }
    dies_at!("announce.written");
    tx.commit().await?;
    dies_at!("announce.committed");
    Ok(())
}

/// Asks for a batch of followers to be told, once a batch.
pub(crate) async fn ask(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    batch: &NotificationFanOutRequested,
) -> Result<(), Error> {
    let meeting = batch.meeting.as_ref().map(|m| m.meeting_id.clone()).unwrap_or_default();
    let searches = if batch.saved_searches { "|searches" } else { "" };
    let fact = Fact {
        kind: FAN_OUT,
        key: format!("{meeting}|{}|{}{searches}", batch.r#type, batch.after_user_id),
        resource: ("meeting", meeting),
        payload: batch,
    };
    jobs::put(tx, &Envelope::new(SCHEMA, caller, ids, fact)?).await?;
    Ok(())
}

/// Asks for a batch of saved searches to be tried on a meeting, once a batch.
pub(crate) async fn ask_match(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    batch: &NotificationMatchRequested,
) -> Result<(), Error> {
    let meeting = batch.meeting.as_ref().map(|m| m.meeting_id.clone()).unwrap_or_default();
    let fact = Fact {
        kind: MATCH,
        key: format!("{meeting}|{}|{}", batch.r#type, batch.after_key),
        resource: ("meeting", meeting),
        payload: batch,
    };
    jobs::put(tx, &Envelope::new(SCHEMA, caller, ids, fact)?).await?;
    Ok(())
}

/// Which sitting, so that two notices in one inbox can be told apart.
fn title(event: &MeetingPublished) -> String {
    let mut title = event.title.clone();
    if !event.body_name.is_empty() && !title.contains(&event.body_name) {
        title = format!("{}: {title}", event.body_name);
    }
    if !event.date.is_empty() && !title.contains(&event.date) {
        title = format!("{title} ({})", event.date);
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_names_body_and_day_once() {
        let event = |title: &str| MeetingPublished {
            title: title.into(),
            body_name: "City Council".into(),
            date: "2023-03-09".into(),
            ..Default::default()
        };
        assert_eq!(title(&event("Regular Meeting")), "City Council: Regular Meeting (2023-03-09)");
        assert_eq!(title(&event("City Council 2023-03-09")), "City Council 2023-03-09");
    }
}
