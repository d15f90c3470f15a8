//! The caller behind a request: a person with a session, or anybody.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderMap;
use cs_core::{Caller, Subject};
use tower_sessions::Session;

use super::oidc;
use super::session::{SIGNED_IN, SignedIn};
use crate::app::App;
use crate::http::RequestContext;

/// A caller, and the session where there is one.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) caller: Caller,
    pub(crate) signed_in: Option<SignedIn>,
}

/// Nobody can be told from anybody now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VisitorError {
    #[error("the session store does not answer: {0}")]
    Store(#[from] tower_sessions::session::Error),
    #[error(transparent)]
    Lost(#[from] oidc::Lost),
    #[error("the tenant cannot be told: {0}")]
    Tenant(#[from] tonic::Status),
}

impl Visitor {
    /// Loads the session that the cookie names. A store that does not answer is an error, never an anonymous visitor.
    pub(crate) async fn load(
        app: &Arc<App>,
        context: &RequestContext,
        session: &Session,
        headers: &HeaderMap,
    ) -> Result<Self, VisitorError> {
        let kept: Option<SignedIn> =
            if app.cookies.has_session(headers) { session.get(SIGNED_IN).await? } else { None };
        let signed_in = match (kept, session.id()) {
            (Some(who), Some(id)) => oidc::current(app, id, who).await?,
            _ => None,
        };
        let (tenant, subject, roles) = match &signed_in {
            Some(who) => (who.tenant, Subject::User(who.user), who.roles.clone()),
            None => (app.tenants.of_visitor(app, context).await?, Subject::Anonymous, BTreeSet::new()),
        };
        let span = tracing::Span::current();
        span.record("tenant_id", tracing::field::display(tenant));
        if let Some(who) = &signed_in {
            span.record("user_id", tracing::field::display(who.user));
        }
        let caller =
            Caller { tenant, subject, roles, request_id: context.request_id.clone(), trace: context.trace };
        Ok(Self { caller, signed_in })
    }
}
