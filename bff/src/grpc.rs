//! `bff.v1.Sessions`: what operators do with the sessions of others.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::{Caller, UserId};
use cs_policy::{Action, Denied, allow};
use cs_proto::bff::v1 as pb;
use cs_proto::bff::v1::sessions_server::Sessions;
use cs_proto::errors::v1::Reason;
use cs_rpc::{FieldViolation, report, status};
use futures::future::join_all;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::auth::oidc;
use crate::auth::session::{Row, SignedIn, StoreError};

/// Most sessions in a list.
const MOST_LISTED: usize = 100;
/// Refresh tokens that are revoked at once: a provider that is slow delays the answer, and a person of many sessions does
/// not make it slower.
const REVOKED_AT_ONCE: usize = 16;

/// The service.
#[derive(Clone)]
pub struct SessionsService(Arc<App>);

impl SessionsService {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self(app)
    }
}

/// Who calls, if it is somebody who may. Before anything of the request is looked at.
fn operator<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = cs_rpc::caller(request)?;
    let Err(denied) = allow(&caller, Action::ManageSessions) else { return Ok(caller) };
    tracing::warn!(
        event = "sessions.refused",
        actor = %caller.subject,
        tenant_id = %caller.tenant,
        why = %denied,
        "somebody asked for the sessions of others"
    );
    let reason = match denied {
        Denied::SignInFirst => Reason::Unauthenticated,
        Denied::NeedsRole(_) | Denied::ServicesOnly | Denied::NotPermitted => Reason::Forbidden,
    };
    Err(status(reason, &denied.to_string(), &[]))
}

fn user(text: &str) -> Result<UserId, Status> {
    const RULE: &str = "must be the id of a person";
    text.parse().map_err(|_| status(Reason::InvalidArgument, RULE, &[FieldViolation::new("user_id", RULE)]))
}

fn lost(error: StoreError) -> Status {
    report(Reason::Unavailable, &error, &[])
}

fn listed((row, who): (Row, SignedIn)) -> pb::Session {
    let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    pb::Session {
        id: row.id.to_string(),
        provider: who.provider,
        created_at: written(row.created_at),
        last_seen_at: written(row.last_seen_at),
        ends_at: written(row.ends_at),
        user_agent: row.user_agent.unwrap_or_default(),
    }
}

#[async_trait]
impl Sessions for SessionsService {
    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let caller = operator(&request)?;
        let user = user(&request.get_ref().user_id)?;
        let mut found = self.0.sessions.of_tenant(caller.tenant, user).await.map_err(lost)?;
        found.truncate(MOST_LISTED);
        tracing::info!(
            event = "sessions.listed",
            actor = %caller.subject,
            tenant_id = %caller.tenant,
            user_id = %user,
            sessions = found.len(),
            "an operator looked at a person's sessions"
        );
        let sessions = found.into_iter().map(listed).collect();
        Ok(Response::new(pb::ListSessionsResponse { sessions }))
    }

    async fn end_sessions(
        &self,
        request: Request<pb::EndSessionsRequest>,
    ) -> Result<Response<pb::EndSessionsResponse>, Status> {
        let caller = operator(&request)?;
        let user = user(&request.get_ref().user_id)?;
        let ended = self.0.sessions.end_of_tenant(caller.tenant, user).await;
        // Some may be over although not all of them could be ended.
        self.0.memory.forget();
        let ended = ended.map_err(lost)?;
        tracing::info!(
            event = "sessions.ended",
            actor = %caller.subject,
            tenant_id = %caller.tenant,
            user_id = %user,
            sessions = ended.len(),
            "an operator ended a person's sessions"
        );
        for some in ended.chunks(REVOKED_AT_ONCE) {
            join_all(some.iter().map(|who| oidc::revoke(&self.0, who))).await;
        }
        let ids = ended.iter().map(|who| who.session.to_string()).collect();
        Ok(Response::new(pb::EndSessionsResponse { ids }))
    }
}
