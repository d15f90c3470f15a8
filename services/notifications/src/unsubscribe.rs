//! A link in a message stops its channel, for whoever holds the message: nobody has to sign in to be left in peace.

use cs_core::{Caller, Trace};
use cs_policy::{Action, allow};

use crate::preferences::{self, CHANNELS};
use crate::store::erasure;
use crate::{Deps, Error, SCHEMA};

/// Stops what the token names; gives the channel. A repeat changes nothing.
pub async fn stop(deps: &Deps, caller: &Caller, token: &str) -> Result<String, Error> {
    allow(caller, Action::Serve)?;
    let stop = deps.keys.open_stop_token(token).ok_or(Error::NotFound("link"))?;
    if !CHANNELS.contains(&stop.channel.as_str()) {
        return Err(Error::NotFound("link"));
    }
    // Who asks has no tenant; the token, which we signed, says whose it is.
    let us = Caller {
        request_id: caller.request_id.clone(),
        ..Caller::service(SCHEMA, stop.tenant, Trace::start())
    };
    let mut tx = deps.db.tenant(&us).await?;
    if erasure::is_erased(&mut tx, stop.user).await? {
        return Ok(stop.channel);
    }
    preferences::switch(&mut tx, stop.user, &stop.channel, false, deps.ids.now()).await?;
    tx.commit().await?;
    tracing::info!(user_id = %stop.user, tenant_id = %stop.tenant, channel = stop.channel, "stopped by a link");
    Ok(stop.channel)
}
