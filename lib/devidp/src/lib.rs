//! A small OpenID provider for development: sign-in without accounts, passwords or a network.
//!
//! It owns a page with a button for each made-up person ([`people`]), and speaks the real protocol behind it: discovery, the
//! authorization code flow with PKCE, refresh with rotation, userinfo, revocation and sign-out. So the code that serves
//! real providers is the code that serves development; there is no other back door.
//!
//! It must never serve anyone but this machine: [`serve`] refuses an address that is not loopback. Nothing is kept beyond
//! the process, except the signing key if the caller keeps it.
//!
//! Start with [`router`].

mod authorize;
mod end;
mod grants;
mod key;
mod metadata;
mod people;
mod token;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::{get, post};
use cs_core::Clock;
use url::Url;

pub use key::{KeyError, SigningKey};
pub use people::{Person, people};

/// What the provider is told at start.
pub struct Config {
    /// The issuer identifier, such as `http://127.0.0.1:8081`; endpoints lie below it.
    pub issuer: Url,
    /// The one client's id.
    pub client_id: String,
    /// The one client's secret.
    pub client_secret: String,
    /// Where a code may be sent; compared exactly.
    pub redirect_uris: Vec<String>,
    /// Where a browser may be sent after signing out; compared exactly.
    pub post_logout_redirect_uris: Vec<String>,
    /// Signs id tokens. Keep it between starts, or running sessions see a key change.
    pub key: SigningKey,
    /// Who can sign in.
    pub people: Vec<Person>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Why the provider does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was told to serve the world.
    #[error(
        "the development identity provider signs anybody in, so it serves loopback only, not {0}: use 127.0.0.1"
    )]
    NotLoopback(String),
    /// The socket failed.
    #[error("the development identity provider stopped: {0}")]
    Io(#[from] std::io::Error),
}

pub(crate) struct Provider {
    pub(crate) config: Config,
    grants: Mutex<grants::Grants>,
}

pub(crate) type Shared = Arc<Provider>;

impl Provider {
    /// The issuer as it stands in every token and in the metadata: without a slash at the end.
    pub(crate) fn issuer(&self) -> &str {
        self.config.issuer.as_str().trim_end_matches('/')
    }

    /// Runs `f` over what was granted. Nothing in there can be left half-done, so a poisoned lock is taken anyway.
    pub(crate) fn grants<T>(&self, f: impl FnOnce(&mut grants::Grants) -> T) -> T {
        f(&mut self.grants.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Every endpoint, below the issuer's path (which is the root here).
pub fn router(config: Config) -> Result<Router, Error> {
    let loopback = match config.issuer.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    if !loopback {
        return Err(Error::NotLoopback(config.issuer.to_string()));
    }
    let began = config.clock.now();
    let grants = Mutex::new(grants::Grants::new(config.key.clone(), config.people.clone(), began));
    let provider = Arc::new(Provider { config, grants });
    Ok(Router::new()
        .route("/.well-known/openid-configuration", get(metadata::discovery))
        .route("/jwks", get(metadata::jwks))
        .route("/authorize", get(authorize::page).post(authorize::choose))
        .route("/token", post(token::exchange))
        .route("/userinfo", get(token::userinfo).post(token::userinfo))
        .route("/revoke", post(token::revoke))
        .route("/end_session", get(end::end_session).post(end::end_session))
        .with_state(provider))
}

/// Serves until the task is dropped.
pub async fn serve(listener: tokio::net::TcpListener, config: Config) -> Result<(), Error> {
    let address: SocketAddr = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(Error::NotLoopback(address.to_string()));
    }
    axum::serve(listener, router(config)?).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
