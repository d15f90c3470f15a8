//! A home city is a follow: made, moved and ended as accounts tells.

use cs_core::{Caller, CityId, UserId};
use cs_events::{Envelope, HandlerError, inbox};
use cs_proto::events::v1::AccountHomeCityChanged;

use crate::store::{erasure, follows};
use crate::{Deps, Error};

const HANDLER: &str = "notifications.home";

/// `account.home_city_changed`: moves the follow of origin `home_city`. What is older than what is known is passed over,
/// so that events in the wrong order end in the right city.
pub async fn changed(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: AccountHomeCityChanged = envelope.payload()?;
    let user: UserId = parse("user_id", &event.user_id)?;
    let city: Option<CityId> =
        if event.city_id.is_empty() { None } else { Some(parse("city_id", &event.city_id)?) };
    let version = i64::try_from(event.version).map_err(|e| HandlerError::Permanent(e.to_string()))?;
    let now = deps.ids.now();
    let mut tx = deps.db.tenant(caller).await?;
    if !inbox::first_time(&mut tx, HANDLER, envelope, now).await? {
        return Ok(());
    }
    if erasure::is_erased(&mut tx, user).await? {
        return Ok(tx.commit().await?);
    }
    if follows::move_home(&mut tx, user, city, version, now).await? {
        follows::leave_home(&mut tx, user).await?;
        if let Some(city) = city {
            follows::insert_home(&mut tx, deps.ids.next(), user, city, now).await?;
        }
    }
    Ok(tx.commit().await?)
}

pub(crate) fn parse<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::invalid(field, format!("{text:?} is not an id")))
}
