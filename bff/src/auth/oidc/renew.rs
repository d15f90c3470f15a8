//! Renewing a session's tokens: one call at a time for a session, whichever replica makes it.
//!
//! The provider is asked when the access token has run out and the session is used: so a person whom the provider no
//! longer knows is signed out here too. A provider that does not answer signs nobody out. In one process callers share
//! one task, across processes a lease in the store decides who asks; the task outlives the request that began it, since
//! a refresh token is good once, and its answer must be kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
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

fn is_due(app: &App, who: &SignedIn) -> bool {
    who.tokens.due.is_some_and(|due| due <= app.clock.now())
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
    let (Some(refresh), true) = (held.who.tokens.refresh.clone(), is_due(app, &held.who)) else {
        return Ok(Some(Arc::new(held.who)));
    };
    let Some(provider) = app.provider(&held.who.provider) else {
        return over(app, id, &held.who, "its provider is not configured any more").await;
    };
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
            let who = Arc::new(held.who.clone());
            Ok(app.sessions.keep(held).await?.then_some(who))
        }
    }
}

async fn renewed(app: &App, id: Id, mut held: Held, provider: &Provider, granted: Granted) -> Outcome {
    let absolute = held.who.created_at + app.config.session_absolute;
    held.who.ends_at = granted.lives_until.map_or(absolute, |lives| lives.min(absolute));
    let id_token = granted.tokens.id.or(held.who.tokens.id.take());
    held.who.tokens = crate::auth::session::Tokens { id: id_token, ..granted.tokens };
    let who = held.who.clone();
    if let Some(claims) = granted.claims.filter(|_| provider.config.roles_claim.is_some()) {
        let named = person::Named::of_claims(&claims);
        let trace = cs_core::Trace::start();
        match person::resolve(app, trace, who.tenant, provider, &claims, named).await {
            // What a session may do does not change while it lasts: the person signs in again, under a new id.
            Ok(user) if person::roles(&user) != who.roles => {
                logout::revoke(app, &who).await;
                return over(app, id, &who, "the person's roles have changed").await;
            }
            // The account was deleted, and this made another: what was ended everywhere does not go on as it.
            Ok(user) if user.id != who.user.to_string() => {
                logout::revoke(app, &who).await;
                return over(app, id, &who, "the account was deleted").await;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a person's roles were not looked at"),
        }
    }
    if app.sessions.keep(held).await? {
        tracing::debug!(event = "session.renewed", user_id = %who.user, "tokens were renewed");
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
