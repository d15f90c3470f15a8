//! Whether and when a resident wants to be told.

use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::{Caller, Ids};
use cs_db::TenantTx;

use crate::Error;
use crate::follow::own;
use crate::store::preferences as store;
pub use crate::store::preferences::Preferences;

/// What is to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Whether to be told at all.
    pub enabled: Option<bool>,
    /// Not before this time; `Some(None)` ends the pause.
    pub pause_until: Option<Option<DateTime<Utc>>>,
}

/// The caller's preferences; who never chose has the usual ones.
pub async fn get(tx: &mut TenantTx, caller: &Caller) -> Result<Preferences, Error> {
    Ok(store::of(tx, own(caller)?).await?.unwrap_or_default())
}

/// Changes the caller's preferences.
pub async fn update(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    change: &Change,
) -> Result<Preferences, Error> {
    let (user, now) = (own(caller)?, ids.now());
    if matches!(change.pause_until, Some(Some(until)) if until <= now) {
        return Err(Error::invalid("pause_until", "must be in the future, or empty to end the pause"));
    }
    Ok(store::update(tx, user, change, now).await?)
}

/// Why somebody is not to be told now, in words for them; `None`: they are.
pub(crate) fn silence(
    enabled: bool,
    pause_until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<String> {
    match pause_until {
        _ if !enabled => Some("notifications are switched off".to_owned()),
        Some(until) if until > now => Some(format!(
            "notifications are paused until {}",
            until.to_rfc3339_opts(SecondsFormat::Secs, true)
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn a_pause_ends_by_itself() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(silence(true, None, now), None);
        assert!(silence(false, None, now).is_some());
        assert!(
            silence(true, Some(now + TimeDelta::seconds(1)), now).is_some_and(|why| why.contains("1970"))
        );
        assert_eq!(silence(true, Some(now), now), None);
    }
}
