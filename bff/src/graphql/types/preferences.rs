//! Whether, when and how a person is told of things.

use async_graphql::{InputObject, SimpleObject};
use cs_proto::notifications::v1 as pb;

use super::words;
use crate::graphql::error::Fault;
use crate::graphql::scalars::{DateTime, time};

words! {
    /// A way to be told.
    NotificationChannel {
        /// In the inbox, and while a page is open.
        InApp = "in_app",
        /// To the address of the account.
        Email = "email",
        /// To browsers that were registered.
        Push = "push",
        /// To addresses of the person's own.
        Webhook = "webhook",
    }
}

words! {
    /// How often a digest is sent.
    DigestFrequency {
        /// Each as it comes.
        Off = "off",
        Daily = "daily",
        /// On Mondays.
        Weekly = "weekly",
    }
}

/// Local times of day between which nothing is sent; from later than until: over midnight.
#[derive(SimpleObject)]
pub(crate) struct QuietHours {
    /// HH:MM
    from: String,
    /// HH:MM
    until: String,
}

/// Local times of day between which nothing is sent; from later than until: over midnight.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct QuietHoursInput {
    /// HH:MM
    from: String,
    /// HH:MM
    until: String,
}

impl From<QuietHoursInput> for pb::QuietHours {
    fn from(hours: QuietHoursInput) -> Self {
        Self { from: hours.from, until: hours.until }
    }
}

/// Whether, when and how a person is told of things.
#[derive(SimpleObject)]
pub(crate) struct NotificationPreferences {
    enabled: bool,
    /// null: not paused. What comes up until then is passed over: it is not told afterwards.
    pause_until: Option<DateTime>,
    channels: Vec<NotificationChannel>,
    /// What this instance can send by; the others cannot be chosen.
    available_channels: Vec<NotificationChannel>,
    /// IANA; quiet hours and digests go by its clocks.
    time_zone: String,
    /// null: at any time.
    quiet_hours: Option<QuietHours>,
    digest: DigestFrequency,
    /// 0 to 23: when a digest is sent.
    digest_hour: u32,
    /// Whether a changed summary of a meeting that was told is told again.
    changed_summaries: bool,
}

impl TryFrom<pb::Preferences> for NotificationPreferences {
    type Error = Fault;

    fn try_from(preferences: pb::Preferences) -> Result<Self, Fault> {
        let channels = |names: &[String]| -> Result<Vec<_>, Fault> {
            names.iter().map(|name| NotificationChannel::of(name)).collect()
        };
        Ok(Self {
            enabled: preferences.enabled,
            pause_until: time(&preferences.pause_until),
            channels: channels(&preferences.channels)?,
            available_channels: channels(&preferences.available_channels)?,
            time_zone: preferences.time_zone,
            quiet_hours: preferences
                .quiet_hours
                .map(|hours| QuietHours { from: hours.from, until: hours.until }),
            digest: if preferences.digest.is_empty() {
                DigestFrequency::Off
            } else {
                DigestFrequency::of(&preferences.digest)?
            },
            digest_hour: preferences.digest_hour,
            changed_summaries: preferences.changed_summaries,
        })
    }
}
