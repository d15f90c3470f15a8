//! The person behind verified claims, as accounts knows them, and their session.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use cs_core::{Role, TenantId, UserId};
use cs_proto::accounts::v1::{ResolveIdentityRequest, User};
use openidconnect::core::CoreGenderClaim;
use openidconnect::{EndUserName, EndUserUsername, LocalizedClaim, UserInfoClaims};
use time::OffsetDateTime;
use tower_sessions::{Expiry, Session};
use uuid::Uuid;

use super::claims::Extra;
use super::provider::{Claims, Provider};
use super::tokens::Granted;
use super::{SignInError, logout};
use crate::app::App;
use crate::auth::session::{SIGNED_IN, SignedIn, Standing};
use crate::http::RequestContext;

/// Longest user agent kept with a session.
const AGENT: usize = 200;

/// What a provider calls a person.
#[derive(Clone, Default)]
pub(super) struct Named {
    name: String,
    email: String,
}

impl Named {
    fn new(
        name: Option<&LocalizedClaim<EndUserName>>,
        short: Option<&EndUserUsername>,
        email: Option<&str>,
    ) -> Self {
        let email = email.unwrap_or_default().to_owned();
        let name = name
            .and_then(|name| name.get(None))
            .map(|name| name.as_str().to_owned())
            .or_else(|| short.map(|name| name.as_str().to_owned()))
            .unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
        Self { name, email }
    }

    pub(super) fn of_claims(claims: &Claims) -> Self {
        let email = claims.email().map(|email| email.as_str());
        Self::new(claims.name(), claims.preferred_username(), email)
    }

    pub(super) fn of_userinfo(info: &UserInfoClaims<Extra, CoreGenderClaim>) -> Self {
        let email = info.email().map(|email| email.as_str());
        Self::new(info.name(), info.preferred_username(), email)
    }

    pub(super) fn is_somebody(&self) -> bool {
        !self.name.is_empty()
    }
}

fn unavailable(what: &str, status: &tonic::Status) -> SignInError {
    SignInError::Unavailable(format!("{what}: {:?} {}", status.code(), status.message()))
}

/// The tenant that a sign-in belongs to: by host name, else by the provider.
pub(super) async fn tenant(
    app: &App,
    context: &RequestContext,
    provider: &Provider,
    claims: &Claims,
) -> Result<TenantId, SignInError> {
    let extra = claims.additional_claims();
    let named = named_tenant(provider, extra);
    let tenant = app
        .tenants
        .of_person(app, context, named)
        .await
        .map_err(|status| unavailable("the tenant cannot be told", &status))?
        .ok_or_else(|| SignInError::Refused(format!("there is no tenant {:?}", named.unwrap_or_default())))?;
    checked(provider, extra, tenant).map(|()| tenant)
}

/// The slug of the tenant that a provider's people belong to: by its configuration, else by the claim that may say so.
pub(super) fn named_tenant<'a>(provider: &'a Provider, extra: &'a Extra) -> Option<&'a str> {
    let claim = || provider.config.tenant_claim.as_deref().and_then(|claim| extra.text(claim));
    provider.config.tenant.as_deref().or_else(claim)
}

/// Whether a provider may speak of anybody in a tenant: one that is pinned to a tenant speaks for that one alone, whatever
/// host it is used at and whatever it is used for, since its groups stand for roles there.
pub(super) fn may_speak_for(provider: &Provider, tenant: TenantId) -> bool {
    provider.config.tenant.as_deref().is_none_or(|slug| TenantId::of_slug(slug) == tenant)
}

/// Whether what a provider says of a person is meant for a tenant: neither its configuration nor its claim names another.
pub(super) fn fits(provider: &Provider, extra: &Extra, tenant: TenantId) -> bool {
    named_tenant(provider, extra).is_none_or(|slug| TenantId::of_slug(slug) == tenant)
}

/// The same, as a refusal.
pub(super) fn checked(provider: &Provider, extra: &Extra, tenant: TenantId) -> Result<(), SignInError> {
    match fits(provider, extra, tenant) {
        true => Ok(()),
        false => Err(SignInError::Refused("the provider speaks for another tenant".to_owned())),
    }
}

/// Roles that the provider's groups stand for, as accounts is told them.
pub(super) fn said(provider: &Provider, claims: &Claims) -> Vec<String> {
    let roles = claims.additional_claims().roles(&provider.config);
    roles.into_iter().map(|role| role.as_str().to_owned()).collect()
}

/// Finds or makes the person of an identity, with the roles that the provider's groups stand for.
pub(super) async fn resolve(
    app: &App,
    trace: cs_core::Trace,
    tenant: TenantId,
    provider: &Provider,
    claims: &Claims,
    named: Named,
) -> Result<User, SignInError> {
    let request = ResolveIdentityRequest {
        issuer: provider.config.issuer.clone(),
        subject: claims.subject().as_str().to_owned(),
        display_name: named.name,
        email: named.email,
        roles: said(provider, claims),
    };
    app.clients
        .resolve_identity(tenant, trace, request)
        .await
        .map_err(|status| unavailable("accounts", &status))
}

/// Roles that a person has here: whoever signed in is a resident.
pub(super) fn roles(user: &User) -> BTreeSet<Role> {
    let mut roles: BTreeSet<Role> = user.roles.iter().filter_map(|role| role.parse().ok()).collect();
    roles.insert(Role::Resident);
    roles
}

/// What is kept of somebody who signed in just now.
pub(super) fn signed_in(
    app: &App,
    headers: &HeaderMap,
    provider: &Provider,
    tenant: TenantId,
    user: User,
    (claims, granted): (&Claims, Granted),
) -> Result<SignedIn, SignInError> {
    let Standing { issuer, subject, sid } = Standing::of(provider, claims);
    let id: UserId = user.id.parse().map_err(|e| SignInError::Unavailable(format!("accounts: {e}")))?;
    let now = app.clock.now();
    let ends_at = now + app.config.session_absolute;
    Ok(SignedIn {
        session: app.ids.next::<Uuid>(),
        user: id,
        tenant,
        roles: roles(&user),
        display_name: user.display_name,
        provider: provider.config.id.clone(),
        issuer,
        subject,
        sid,
        user_agent: headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(|agent| agent.chars().take(AGENT).collect()),
        created_at: now,
        ends_at: granted.lives_until.map_or(ends_at, |lives| lives.min(ends_at)),
        looked_at: Some(now),
        tokens: granted.tokens,
    })
}

impl Standing {
    /// Of verified claims.
    pub(super) fn of(provider: &Provider, claims: &Claims) -> Self {
        Self {
            issuer: provider.config.issuer.clone(),
            subject: claims.subject().as_str().to_owned(),
            sid: claims.additional_claims().text("sid").map(str::to_owned),
        }
    }
}

/// Begins a session under a new id, whatever this browser had before; what it had is over, here and at its provider.
pub(super) async fn begin(
    app: &Arc<App>,
    session: &Session,
    who: &SignedIn,
    previous: Option<Uuid>,
) -> Result<(), SignInError> {
    let lost =
        |e: tower_sessions::session::Error| SignInError::Unavailable(format!("the session store: {e}"));
    // The cookie outlives the session rather than the other way round: the server's word counts.
    let absolute = who.created_at + app.config.session_absolute;
    let ends_at =
        OffsetDateTime::from_unix_timestamp(absolute.timestamp()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // Cycling the id ends what this browser's cookie names, where it came along; what that had from its provider is wanted.
    let carried: Option<SignedIn> = session.get(SIGNED_IN).await.map_err(lost)?;
    session.cycle_id().await.map_err(lost)?;
    app.memory.forget();
    session.set_expiry(Some(Expiry::AtDateTime(ends_at)));
    session.insert(SIGNED_IN, who).await.map_err(lost)?;
    session.save().await.map_err(lost)?;
    let mut ended: Vec<SignedIn> = carried.into_iter().collect();
    if let Some(previous) = previous {
        let which = crate::auth::session::Which::Named(previous);
        let sessions = app.sessions.end_all(which).await;
        // What failed half-way has ended some.
        app.memory.forget();
        ended.extend(sessions.map_err(|e| SignInError::Unavailable(e.to_string()))?);
    }
    let new = who.standing();
    ended.retain(|old| !old.standing().may_be(&new));
    logout::revoke_later(app, ended);
    tracing::info!(event = "sign_in.done", user_id = %who.user, tenant_id = %who.tenant, "a person signed in");
    Ok(())
}
