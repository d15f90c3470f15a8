//! Where a resident is reached outside: browsers that take pushes, webhooks. Registering one switches its channel on.

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use cs_core::{Caller, PushSubscriptionId, WebhookId};
use cs_db::TenantTx;
use url::Url;
use web_push_native::p256::PublicKey;

use crate::follow::own;
use crate::preferences::{self, PUSH, WEBHOOK};
use crate::store::addresses::{self as store, NewSubscription};
pub use crate::store::addresses::{PushSubscription, Webhook};
use crate::{Deps, Error};

/// Most browsers of one person.
const MOST_BROWSERS: usize = 20;
/// Most webhooks of one person.
const MOST_WEBHOOKS: usize = 5;
const LONGEST: usize = 2_000;
const LONGEST_AGENT: usize = 200;

/// What a browser says of itself.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Where its push service takes messages for it.
    pub endpoint: String,
    /// Its public key, base64url.
    pub p256dh: String,
    /// Its secret, base64url.
    pub auth: String,
    /// What the person sees of it.
    pub user_agent: String,
}

fn address(deps: &Deps, field: &str, text: &str) -> Result<Url, Error> {
    let url: Url =
        text.parse().map_err(|_| Error::invalid(field, "must be an address that begins with https://"))?;
    if text.len() > LONGEST {
        return Err(Error::invalid(field, format!("must have at most {LONGEST} characters")));
    }
    // Its name is resolved and looked at when something is sent there.
    deps.trust.check(&url).map_err(|error| Error::invalid(field, error.to_string()))?;
    Ok(url)
}

fn decoded(field: &str, text: &str) -> Result<Vec<u8>, Error> {
    let decode = if text.ends_with('=') { URL_SAFE.decode(text) } else { URL_SAFE_NO_PAD.decode(text) };
    decode.map_err(|_| Error::invalid(field, "must be base64url, as the browser gives it"))
}

/// Sends to a browser from now on.
pub async fn register(
    tx: &mut TenantTx,
    caller: &Caller,
    deps: &Deps,
    browser: &Browser,
) -> Result<PushSubscription, Error> {
    let (user, now) = (own(caller)?, deps.ids.now());
    address(deps, "endpoint", &browser.endpoint)?;
    let p256dh = decoded("p256dh", &browser.p256dh)?;
    if p256dh.len() != 65 || PublicKey::from_sec1_bytes(&p256dh).is_err() {
        return Err(Error::invalid("p256dh", "must be an uncompressed point of P-256"));
    }
    let auth = decoded("auth", &browser.auth)?;
    if auth.len() != 16 {
        return Err(Error::invalid("auth", "must be 16 bytes"));
    }
    let user_agent: String = browser.user_agent.chars().take(LONGEST_AGENT).collect();
    let new = NewSubscription {
        endpoint: &browser.endpoint,
        p256dh: &p256dh,
        auth: &auth,
        user_agent: &user_agent,
    };
    let made = store::put_subscription(tx, deps.ids.next(), user, &new, now).await?;
    if store::subscriptions(tx, user).await?.len() > MOST_BROWSERS {
        return Err(Error::invalid(
            "endpoint",
            format!("at most {MOST_BROWSERS} browsers: remove one first"),
        ));
    }
    preferences::switch(tx, user, PUSH, true, now).await?;
    Ok(made)
}

/// The caller's browsers, oldest first.
pub async fn browsers(tx: &mut TenantTx, caller: &Caller) -> Result<Vec<PushSubscription>, Error> {
    Ok(store::subscriptions(tx, own(caller)?).await?)
}

/// Sends to a browser no more.
pub async fn remove(tx: &mut TenantTx, caller: &Caller, id: PushSubscriptionId) -> Result<(), Error> {
    let found = store::delete_subscription(tx, own(caller)?, id.uuid()).await?;
    if found { Ok(()) } else { Err(Error::NotFound("push subscription")) }
}

/// Tells an address from now on; gives it and the secret that signs what is sent there.
pub async fn add_webhook(
    tx: &mut TenantTx,
    caller: &Caller,
    deps: &Deps,
    url: &str,
) -> Result<(Webhook, String), Error> {
    let (user, now) = (own(caller)?, deps.ids.now());
    let url = address(deps, "url", url)?;
    let made = store::put_webhook(tx, deps.ids.next(), user, url.as_str(), now).await?;
    if store::webhooks(tx, user).await?.len() > MOST_WEBHOOKS {
        return Err(Error::invalid("url", format!("at most {MOST_WEBHOOKS} webhooks: remove one first")));
    }
    preferences::switch(tx, user, WEBHOOK, true, now).await?;
    let secret = deps.keys.webhook_secret(WebhookId::from(made.id));
    Ok((made, secret))
}

/// The caller's webhooks, oldest first.
pub async fn webhooks(tx: &mut TenantTx, caller: &Caller) -> Result<Vec<Webhook>, Error> {
    Ok(store::webhooks(tx, own(caller)?).await?)
}

/// Tells an address no more.
pub async fn remove_webhook(tx: &mut TenantTx, caller: &Caller, id: WebhookId) -> Result<(), Error> {
    let found = store::delete_webhook(tx, own(caller)?, id.uuid()).await?;
    if found { Ok(()) } else { Err(Error::NotFound("webhook")) }
}
