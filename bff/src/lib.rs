//! The backend for frontends: the one role that stands on the internet.
//!
//! It owns sign-in, sessions and the GraphQL surface, and serves the web page. It holds no business rule and no business
//! data: everything it shows is asked of a service by gRPC, on behalf of the person who asks. It must never show a
//! backend's own words, keep a token anywhere but sealed in the session store, or let one person's loaders serve another.
//!
//! Start with [`build`]; requests pass `http`, then `auth`, then `graphql`. What operators ask of it on the internal listener
//! passes `grpc`.

mod app;
mod auth;
mod clients;
mod config;
mod edge;
#[cfg(test)]
mod fuzz;
mod graphql;
mod grpc;
mod http;
mod serve;
mod tenants;

use std::sync::Arc;

use axum::Router;

pub use app::{Deps, RenderMetrics, Store};
pub use clients::Channels;
pub use config::{
    AddressRange, Config, ConfigError, Edge, InvalidRange, Limits, ProviderConfig, RateLimits, SealError,
    SessionKey, WatchLimits,
};
pub use graphql::schema_sdl;
pub use grpc::SessionsService;
pub use http::metrics_router;
pub use serve::{Bounds, serve, serve_within};

/// The migrations of the schema `sessions`.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// What a BFF serves.
pub struct Served {
    /// To the internet.
    pub router: Router,
    /// On the internal listener, behind a guard for the audience [`cs_rpc::BFF`].
    pub sessions: SessionsService,
}

/// Makes everything that is served, and sweeps what has run out, on `deps.tasks`.
pub async fn build(config: Config, deps: Deps) -> Result<Served, ConfigError> {
    let app = Arc::new(app::App::new(config, deps)?);
    http::sweep(&app);
    Ok(Served { sessions: SessionsService::new(app.clone()), router: http::router(app) })
}

/// `extensions.code` of a reason, as clients see it (`docs/errors.md`).
pub fn error_code(reason: cs_proto::errors::v1::Reason) -> &'static str {
    graphql::error_code(reason)
}
