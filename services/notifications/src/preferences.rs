//! Whether, when and how a resident wants to be told.

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use cs_core::{Caller, UserId};
use cs_db::TenantTx;

use crate::follow::own;
use crate::schedule::{Digest, QuietHours, Schedule};
use crate::store::preferences as store;
pub use crate::store::preferences::Preferences;
use crate::{Deps, Error, hand_over, send};

/// In the application.
pub const IN_APP: &str = "in_app";
/// By e-mail, to the address that accounts knows.
pub const EMAIL: &str = "email";
/// To browsers.
pub const PUSH: &str = "push";
/// To addresses of the person's own.
pub const WEBHOOK: &str = "webhook";
/// All of them.
pub const CHANNELS: [&str; 4] = [IN_APP, EMAIL, PUSH, WEBHOOK];

/// What is to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Whether to be told at all.
    pub enabled: Option<bool>,
    /// Not before this time; `Some(None)` ends the pause.
    pub pause_until: Option<Option<DateTime<Utc>>>,
    /// By which channels.
    pub channels: Option<Vec<String>>,
    /// Where the person's clocks are.
    pub time_zone: Option<Tz>,
    /// When not; `Some(None)`: at any time.
    pub quiet: Option<Option<QuietHours>>,
    /// Whether many are sent as one.
    pub digest: Option<Digest>,
    /// The hour a digest is sent at.
    pub digest_hour: Option<u8>,
    /// Whether changed summaries are told.
    pub changed_summaries: Option<bool>,
}

/// The caller's preferences; who never chose has the usual ones.
pub async fn get(tx: &mut TenantTx, caller: &Caller) -> Result<Preferences, Error> {
    Ok(store::of(tx, own(caller)?).await?.unwrap_or_default())
}

/// Changes the caller's preferences. What waits for a time waits for the new one.
pub async fn update(
    tx: &mut TenantTx,
    caller: &Caller,
    deps: &Deps,
    change: &Change,
) -> Result<Preferences, Error> {
    let (user, now) = (own(caller)?, deps.ids.now());
    if matches!(change.pause_until, Some(Some(until)) if until <= now) {
        return Err(Error::invalid("pause_until", "must be in the future, or empty to end the pause"));
    }
    if let Some(bad) = change.channels.iter().flatten().find(|name| !deps.available.contains(&name.as_str()))
    {
        let rule = if CHANNELS.contains(&bad.as_str()) {
            format!("this instance does not send by {bad}: its operator has not set it up")
        } else {
            format!("{bad:?} is none of {}", CHANNELS.join(", "))
        };
        return Err(Error::invalid("channels", rule));
    }
    if matches!(change.quiet, Some(Some(QuietHours { from, until })) if from == until) {
        return Err(Error::invalid("quiet_hours", "must begin and end at different times"));
    }
    if change.digest_hour.is_some_and(|hour| hour > 23) {
        return Err(Error::invalid("digest_hour", "must be 0 to 23"));
    }
    let mut wanted = store::held(tx, user).await?.unwrap_or_default();
    let before = wanted.schedule();
    wanted.apply(change);
    let changed = store::put(tx, user, &wanted, now).await?;
    if changed.schedule() != before {
        let schedule = changed.schedule();
        // A sender may have taken, or renewed, one since `now`; which of two clocks is ahead is not known either.
        let leased = now + hand_over::LEASE.max(send::LEASE) * 2;
        store::hold_again(tx, user, schedule.due(now), schedule.after_quiet(now), leased).await?;
    }
    Ok(changed)
}

/// Turns a channel on or off for a person, whoever asks.
pub(crate) async fn switch(
    tx: &mut TenantTx,
    user: UserId,
    channel: &str,
    on: bool,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut wanted = store::held(tx, user).await?.unwrap_or_default();
    wanted.channels.retain(|name| name != channel);
    if on {
        wanted.channels.push(channel.to_owned());
    }
    store::put(tx, user, &wanted, now).await?;
    Ok(())
}

impl Preferences {
    fn apply(&mut self, change: &Change) {
        self.enabled = change.enabled.unwrap_or(self.enabled);
        self.pause_until = change.pause_until.unwrap_or(self.pause_until);
        if let Some(channels) = &change.channels {
            // In one order and once each.
            self.channels = CHANNELS
                .into_iter()
                .filter(|known| channels.iter().any(|name| name == known))
                .map(str::to_owned)
                .collect();
        }
        if let Some(zone) = change.time_zone {
            self.time_zone = zone.name().to_owned();
        }
        if let Some(quiet) = change.quiet {
            let minute = |minute: u16| i16::try_from(minute).ok();
            self.quiet_from = quiet.and_then(|quiet| minute(quiet.from));
            self.quiet_until = quiet.and_then(|quiet| minute(quiet.until));
        }
        if let Some(digest) = change.digest {
            self.digest = digest.as_str().to_owned();
        }
        self.digest_hour = change.digest_hour.map_or(self.digest_hour, i16::from);
        self.changed_summaries = change.changed_summaries.unwrap_or(self.changed_summaries);
    }

    /// When the person wants to be told. A zone that is not known any more counts as UTC.
    pub fn schedule(&self) -> Schedule {
        let minute = |minute: Option<i16>| minute.and_then(|minute| u16::try_from(minute).ok());
        Schedule {
            zone: self.time_zone.parse().unwrap_or(Tz::UTC),
            quiet: minute(self.quiet_from)
                .zip(minute(self.quiet_until))
                .map(|(from, until)| QuietHours { from, until }),
            digest: Digest::parse(&self.digest).unwrap_or_default(),
            digest_hour: u8::try_from(self.digest_hour).unwrap_or(8),
        }
    }

    /// Why the person is not to be told now, in words for them; `None`: they are.
    pub(crate) fn silence(&self, now: DateTime<Utc>) -> Option<String> {
        match self.pause_until {
            _ if !self.enabled => Some("notifications are switched off".to_owned()),
            Some(until) if until > now => Some(format!(
                "notifications are paused until {}",
                until.to_rfc3339_opts(SecondsFormat::Secs, true)
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn a_pause_ends_by_itself() {
        let now = DateTime::UNIX_EPOCH;
        let paused = |until| Preferences { pause_until: Some(until), ..Preferences::default() };
        assert_eq!(Preferences::default().silence(now), None);
        assert!(Preferences { enabled: false, ..Preferences::default() }.silence(now).is_some());
        assert!(paused(now + TimeDelta::seconds(1)).silence(now).is_some_and(|why| why.contains("1970")));
        assert_eq!(paused(now).silence(now), None);
    }

    #[test]
    fn a_change_leaves_the_rest_and_channels_stand_once() {
        let mut preferences = Preferences::default();
        let twice = ["email", "in_app", "email"].map(str::to_owned).to_vec();
        preferences.apply(&Change {
            channels: Some(twice),
            digest: Some(Digest::Weekly),
            ..Change::default()
        });
        preferences.apply(&Change { digest_hour: Some(6), ..Change::default() });
        assert_eq!(preferences.channels, ["in_app", "email"]);
        let schedule = preferences.schedule();
        assert_eq!((schedule.digest, schedule.digest_hour, schedule.quiet), (Digest::Weekly, 6, None));
    }
}
