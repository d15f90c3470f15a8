//! The caller behind a request: a person with a session, or anybody.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderMap;
use cs_core::{Caller, Subject};
use tower_sessions::Session;
use tower_sessions::session::Id;

use super::oidc;
use super::session::{SIGNED_IN, SignedIn};
use crate::app::App;
use crate::http::RequestContext;

/// A caller, and the session where there is one.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) caller: Caller,
    pub(crate) signed_in: Option<SignedIn>,
    /// What holds the cookie of this request's browser.
    pub(crate) session: Option<Session>,
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
        let signed_in = match session.id().filter(|_| app.cookies.has_session(headers)) {
            Some(id) => Self::read(app, session, id).await?,
            None => None,
        };
        let (tenant, subject, roles) = match &signed_in {
            Some(who) => (who.tenant, Subject::User(who.user), who.roles.clone()),
            None => (app.tenants.of_visitor(app, context).await?, Subject::Anonymous, BTreeSet::new()),
        };
        let span = &context.span;
        span.record("tenant_id", tracing::field::display(tenant));
        if let Some(who) = &signed_in {
            span.record("user_id", tracing::field::display(who.user));
        }
        let caller =
            Caller { tenant, subject, roles, request_id: context.request_id.clone(), trace: context.trace };
        let session = signed_in.is_some().then(|| session.clone());
        Ok(Self { caller, signed_in, session })
    }

    /// Who signed in, as was read a moment ago, or as the store says now.
    async fn read(app: &Arc<App>, session: &Session, id: Id) -> Result<Option<SignedIn>, VisitorError> {
        let now = app.clock.now();
        if let Some(who) = app.memory.recall(id, now) {
            return Ok(Some(who));
        }
        let begun = app.memory.begin(now);
        let kept: Option<SignedIn> = session.get(SIGNED_IN).await?;
        let signed_in = match kept {
            Some(who) => oidc::current(app, id, who).await?,
            None => None,
        };
        if let Some(who) = &signed_in {
            app.memory.keep(id, begun, who);
        }
        Ok(signed_in)
    }
}
