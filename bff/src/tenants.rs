//! Which tenant a request belongs to: by its host name, else by the provider, else the default one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{TenantId, Trace};
use cs_proto::accounts::v1::resolve_tenant_request::By;
use cs_proto::errors::v1::Reason;
use tonic::Status;

use crate::app::App;
use crate::http::RequestContext;

/// How long an answer of accounts is believed.
const REMEMBERED: TimeDelta = TimeDelta::seconds(60);
/// Slugs come from providers; more than this many at once are nobody's.
const MOST: usize = 1_000;

/// An answer, and when it was given.
type Known = (Option<TenantId>, DateTime<Utc>);

/// What accounts said lately.
#[derive(Default)]
pub(crate) struct Tenants {
    known: Mutex<HashMap<String, Known>>,
}

impl Tenants {
    /// The tenant of somebody without a session.
    pub(crate) async fn of_visitor(&self, app: &App, context: &RequestContext) -> Result<TenantId, Status> {
        self.of_person(app, context, None).await?.ok_or_else(|| {
            tracing::error!(tenant = app.config.default_tenant, "the default tenant does not exist");
            cs_rpc::status(Reason::Unavailable, "the default tenant does not exist yet", &[])
        })
    }

    /// The tenant of somebody whose provider names one. `None`: the one it names does not exist.
    pub(crate) async fn of_person(
        &self,
        app: &App,
        context: &RequestContext,
        named: Option<&str>,
    ) -> Result<Option<TenantId>, Status> {
        // Only hosts that are configured are asked for: the header is the client's word.
        if let Some(host) = context.origin.as_ref().and_then(|origin| host_of(origin))
            && let Some(tenant) = self.find(app, context.trace, By::Host(host)).await?
        {
            return Ok(Some(tenant));
        }
        let slug = named.unwrap_or(&app.config.default_tenant).to_owned();
        self.find(app, context.trace, By::Slug(slug)).await
    }

    async fn find(&self, app: &App, trace: Trace, by: By) -> Result<Option<TenantId>, Status> {
        let key = match &by {
            By::Slug(slug) => format!("slug:{slug}"),
            By::Host(host) => format!("host:{host}"),
        };
        let now = app.clock.now();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((tenant, asked)) = known.get(&key)
                && now - *asked < REMEMBERED
            {
                return Ok(*tenant);
            }
        }
        let tenant = app.clients.resolve_tenant(trace, by).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, (tenant, now));
        Ok(tenant)
    }
}

fn host_of(origin: &str) -> Option<String> {
    url::Url::parse(origin).ok()?.host_str().map(str::to_owned)
}
