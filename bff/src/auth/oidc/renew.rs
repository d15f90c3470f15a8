//! Renewing a session's tokens: one call at a time for a session, whichever replica makes it.
//!
//! The provider is asked when the access token has run out and the session is used: so a person whom the provider no
//! longer knows is signed out here too. Accounts is asked then, and every few minutes besides, whether the person may
//! still do what the session says; where that has changed the session is over. Who does not answer signs nobody out. In
//! one process callers share one task, across processes a lease in the store decides who asks; the task outlives the
//! request that began it, since a refresh token is good once, and its answer must be kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use cs_proto::accounts::v1::{LookUpIdentityRequest, User};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;
use tower_sessions::session::Id;
use uuid::Uuid;

use super::tokens::{Granted, Renewal};
use super::{Provider, logout, person};
use crate::app::App;
use crate::auth::session::{Held, SignedIn, StoreError};

/// Longer than any exchange with a provider may take: metadata, keys, tokens, keys again, accounts, each with its own limit
/// and behind whoever asks the same.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// How long a request waits for a renewal before it goes on as it is.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long another replica is waited for.
const OTHERS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(40);
/// A provider that did not answer is asked again after this long.
const AGAIN: TimeDelta = TimeDelta::seconds(30);
/// How long accounts' word is believed of what a person may do. A role that was taken back is gone from sessions in use
/// within this time.
const LOOKED_AT_EVERY: TimeDelta = TimeDelta::minutes(2);

/// What became of a session; `None`: it is over.
type Outcome = Result<Option<Arc<SignedIn>>, Lost>;
type Task = Shared<BoxFuture<'static, Outcome>>;

/// The store did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the session store does not answer: {0}")]
pub(crate) struct Lost(Arc<str>);

impl From<StoreError> for Lost {
    fn from(error: StoreError) -> Self {
        Self(error.to_string().into())
    }
}

/// Renewals under way in this process.
#[derive(Default)]
pub(crate) struct Renewals(Mutex<HashMap<Uuid, Task>>);

/// The session as it is once its tokens are good again, where they had run out.
pub(crate) async fn current(app: &Arc<App>, id: Id, who: SignedIn) -> Result<Option<SignedIn>, Lost> {
    if !is_due(app, &who) {
        return Ok(Some(who));
    }
    let task = {
        let mut under_way = app.renewals.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.entry(who.session).or_insert_with(|| begin(app.clone(), id, who.session)).clone()
    };
    match tokio::time::timeout(PATIENCE, task).await {
        Ok(outcome) => Ok(outcome?.map(Arc::unwrap_or_clone)),
        // The provider takes its time. Nothing here waits for an access token.
        Err(_) => Ok(Some(who)),
    }
}

/// The same for whoever only listens, and asks for nothing: `false` where the session is over.
pub(crate) async fn watched(app: &Arc<App>, id: Id) -> Result<bool, Lost> {
    match app.sessions.held(id).await? {
        Some(held) => Ok(current(app, id, held.who).await?.is_some()),
        None => Ok(false),
    }
}

fn is_due(app: &App, who: &SignedIn) -> bool {
    are_tokens_due(app, who) || is_look_due(app, who)
}

fn are_tokens_due(app: &App, who: &SignedIn) -> bool {
    who.tokens.due.is_some_and(|due| due <= app.clock.now())
}

fn is_look_due(app: &App, who: &SignedIn) -> bool {
    who.looked_at.is_none_or(|at| at + LOOKED_AT_EVERY <= app.clock.now())
}

fn begin(app: Arc<App>, id: Id, session: Uuid) -> Task {
    let tasks = app.tasks.clone();
    let handle = tasks.spawn(async move {
        let outcome = renew(&app, id).await;
        app.renewals.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        outcome
    });
    let outcome = async move {
        // A task that panicked has told so itself.
        handle.await.unwrap_or_else(|_| Err(Lost("a renewal failed".into())))
    };
    outcome.boxed().shared()
}

async fn renew(app: &App, id: Id) -> Outcome {
    let (holder, began) = (app.ids.next::<Uuid>(), Instant::now());
    loop {
        let Some(held) = app.sessions.held(id).await? else { return Ok(None) };
        if !is_due(app, &held.who) {
            return Ok(Some(Arc::new(held.who)));
        }
        if app.sessions.lease(id, holder, LEASE).await? {
            let outcome = under_lease(app, id).await;
            if let Err(error) = app.sessions.release(id, holder).await {
                tracing::warn!(%error, "a lease was not given back; it runs out");
            }
            return outcome;
        }
        if began.elapsed() > OTHERS {
            return Ok(Some(Arc::new(held.who)));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn under_lease(app: &App, id: Id) -> Outcome {
    // Whoever had the lease before may just have been done.
    let Some(mut held) = app.sessions.held(id).await? else { return Ok(None) };
    if !is_due(app, &held.who) {
        return Ok(Some(Arc::new(held.who)));
    }
    let Some(provider) = app.provider(&held.who.provider) else {
        return over(app, id, &held.who, "its provider is not configured any more").await;
    };
    let refresh = held.who.tokens.refresh.clone().filter(|_| are_tokens_due(app, &held.who));
    let Some(refresh) = refresh else { return looked_at(app, id, held).await };
    match provider.renew(&refresh, &held.who.subject).await {
        Ok(Renewal::Renewed(granted)) => renewed(app, id, held, provider, *granted).await,
        Ok(Renewal::Dead(why)) => {
            // Another replica whose lease had run out may have spent the token first: then the session has a newer one.
            let now = app.sessions.held(id).await?;
            match now.filter(|now| now.who.tokens.refresh.as_deref() != Some(refresh.as_str())) {
                Some(newer) => Ok(Some(Arc::new(newer.who))),
                None => over(app, id, &held.who, &why).await,
            }
        }
        Err(error) => {
            tracing::warn!(event = "session.not_renewed", %error, "a provider could not be asked; the session goes on");
            held.who.tokens.due = Some(app.clock.now() + AGAIN);
            looked_at(app, id, held).await
        }
    }
}

async fn renewed(app: &App, id: Id, mut held: Held, provider: &Provider, granted: Granted) -> Outcome {
    let absolute = held.who.created_at + app.config.session_absolute;
    held.who.ends_at = granted.lives_until.map_or(absolute, |lives| lives.min(absolute));
    let id_token = granted.tokens.id.or(held.who.tokens.id.take());
    held.who.tokens = crate::auth::session::Tokens { id: id_token, ..granted.tokens };
    let Some(claims) = granted.claims.filter(|_| provider.config.roles_claim.is_some()) else {
        return looked_at(app, id, held).await;
    };
    if !person::fits(provider, claims.additional_claims(), held.who.tenant) {
        let who = held.who;
        let outcome = over(app, id, &who, "the provider speaks for another tenant now").await;
        logout::revoke(app, &who).await;
        return outcome;
    }
    let (who, named) = (&held.who, person::Named::of_claims(&claims));
    let trace = cs_core::Trace::start();
    let said = person::resolve(app, trace, who.tenant, provider, &claims, named).await;
    judged(app, id, held, said.map(Some).map_err(|error| error.to_string())).await
}

/// Asks accounts who the session's identity leads to and what they may do, and goes on or not by that.
async fn looked_at(app: &App, id: Id, held: Held) -> Outcome {
    let SignedIn { tenant, issuer, subject, .. } = held.who.clone();
    let request = LookUpIdentityRequest { issuer, subject };
    let said = app.clients.look_up_identity(tenant, cs_core::Trace::start(), request).await;
    judged(app, id, held, said.map_err(|status| format!("{:?} {}", status.code(), status.message()))).await
}

/// What a session may do does not change while it lasts: where the person may do something else now, they sign in again,
/// under a new id.
async fn judged(app: &App, id: Id, mut held: Held, said: Result<Option<User>, String>) -> Outcome {
    let now = app.clock.now();
    let changed = match said {
        Ok(None) => Some("the account was deleted, or the identity taken from it"),
        // The account was deleted, and a sign-in made another: what was ended everywhere does not go on as it.
        Ok(Some(user)) if user.id != held.who.user.to_string() => Some("the account was deleted"),
        Ok(Some(user)) if person::roles(&user) != held.who.roles => Some("the person's roles have changed"),
        Ok(Some(_)) => {
            held.who.looked_at = Some(now);
            None
        }
        Err(error) => {
            tracing::warn!(error, "a person's roles were not looked at");
            held.who.looked_at = Some(now + AGAIN - LOOKED_AT_EVERY);
            None
        }
    };
    let who = held.who.clone();
    if let Some(why) = changed {
        // First here: the provider may take its time.
        let outcome = over(app, id, &who, why).await;
        logout::revoke(app, &who).await;
        return outcome;
    }
    if app.sessions.keep(held).await? {
        tracing::debug!(event = "session.renewed", user_id = %who.user, "a session was looked at");
        return Ok(Some(Arc::new(who)));
    }
    // It was ended meanwhile: what came for it goes back.
    logout::revoke(app, &who).await;
    Ok(None)
}

async fn over(app: &App, id: Id, who: &SignedIn, why: &str) -> Outcome {
    app.sessions.end_by_id(id).await?;
    app.memory.forget();
    tracing::info!(event = "session.over", user_id = %who.user, why, "a session was ended");
    Ok(None)
}
