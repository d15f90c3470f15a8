//! Rows as messages.

use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::{CityId, DeliveryId, FollowId, MeetingId};
use cs_proto::notifications::v1 as pb;

use crate::store::follows::Follow;
use crate::store::inbox::Notification;
use crate::store::preferences::Preferences;

impl From<Follow> for pb::FollowedInterest {
    fn from(follow: Follow) -> Self {
        Self {
            id: FollowId::from(follow.id).to_string(),
            kind: follow.kind,
            target_id: follow.target_id,
            origin: follow.origin,
            created_at: rfc3339(follow.created_at),
        }
    }
}

impl From<Preferences> for pb::Preferences {
    fn from(preferences: Preferences) -> Self {
        Self {
            enabled: preferences.enabled,
            pause_until: preferences.pause_until.map(rfc3339).unwrap_or_default(),
            channels: preferences.channels,
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

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
