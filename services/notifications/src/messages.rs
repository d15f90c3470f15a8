//! Rows as messages.

use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::{CityId, DeliveryId, FollowId, MeetingId, PushSubscriptionId, SavedSearchId, WebhookId};
use cs_proto::notifications::v1 as pb;

use crate::saved_search::Filter;
use crate::schedule::QuietHours;
use crate::store::addresses::{PushSubscription, Webhook};
use crate::store::follows::Follow;
use crate::store::inbox::Notification;
use crate::store::preferences::Preferences;
use crate::store::searches::SavedSearch;

impl From<Follow> for pb::FollowedInterest {
    fn from(follow: Follow) -> Self {
        Self {
            id: FollowId::from(follow.id).to_string(),
            kind: follow.kind,
            // People know their search by its own id.
            target_id: follow.saved_search.map_or(follow.target_id, |id| SavedSearchId::from(id).to_string()),
            name: follow.name.unwrap_or_default(),
            origin: follow.origin,
            created_at: rfc3339(follow.created_at),
        }
    }
}

/// Minutes after midnight as HH:MM.
fn clock(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// HH:MM as minutes after midnight.
pub(crate) fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// With what this instance can send by.
pub(crate) fn preferences(preferences: Preferences, available: &[&str]) -> pb::Preferences {
    let quiet = preferences.schedule().quiet;
    pb::Preferences {
        enabled: preferences.enabled,
        pause_until: preferences.pause_until.map(rfc3339).unwrap_or_default(),
        channels: preferences.channels,
        time_zone: preferences.time_zone,
        quiet_hours: quiet
            .map(|QuietHours { from, until }| pb::QuietHours { from: clock(from), until: clock(until) }),
        digest: preferences.digest,
        digest_hour: u32::from(preferences.digest_hour.unsigned_abs()),
        changed_summaries: preferences.changed_summaries,
        available_channels: available.iter().map(|name| (*name).to_owned()).collect(),
    }
}

impl From<SavedSearch> for pb::SavedSearch {
    fn from(search: SavedSearch) -> Self {
        Self {
            id: SavedSearchId::from(search.id).to_string(),
            name: search.name,
            query: search.query,
            filter: Some(pb::SavedSearchFilter {
                city_ids: search.filter.city_ids,
                body_ids: search.filter.body_ids,
                artifact_kinds: search.filter.artifact_kinds,
            }),
            created_at: rfc3339(search.created_at),
            followed: search.followed,
        }
    }
}

impl From<pb::SavedSearchFilter> for Filter {
    fn from(filter: pb::SavedSearchFilter) -> Self {
        let pb::SavedSearchFilter { city_ids, body_ids, artifact_kinds } = filter;
        Self { city_ids, body_ids, artifact_kinds }
    }
}

impl From<PushSubscription> for pb::PushSubscription {
    fn from(subscription: PushSubscription) -> Self {
        Self {
            id: PushSubscriptionId::from(subscription.id).to_string(),
            host: endpoint_host(&subscription.endpoint),
            user_agent: subscription.user_agent,
            created_at: rfc3339(subscription.created_at),
        }
    }
}

impl From<Webhook> for pb::Webhook {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: WebhookId::from(webhook.id).to_string(),
            url: webhook.url,
            created_at: rfc3339(webhook.created_at),
        }
    }
}

impl From<Notification> for pb::Notification {
    fn from(row: Notification) -> Self {
        Self {
            id: DeliveryId::from(row.id).to_string(),
            r#type: row.kind,
            meeting_id: MeetingId::from(row.meeting_id).to_string(),
            city_id: CityId::from(row.city_id).to_string(),
            title: row.title,
            body: row.body,
            reason: row.reason,
            created_at: rfc3339(row.sent_at),
            read_at: row.read_at.map(rfc3339).unwrap_or_default(),
            summary_version: row.summary_version.unsigned_abs(),
        }
    }
}

/// The push service of an endpoint; the whole address is a secret.
pub(crate) fn endpoint_host(endpoint: &str) -> String {
    let url: Option<url::Url> = endpoint.parse().ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_round_trip_and_others_are_none() {
        for minute in 0..24 * 60 {
            assert_eq!(minutes(&clock(minute)), Some(minute));
        }
        for bad in ["", "7:00", "24:00", "12:60", "12", "12:5", "+1:00", "12:00:00"] {
            assert_eq!(minutes(bad), None, "{bad}");
        }
    }
}
