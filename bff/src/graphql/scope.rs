//! What one request's resolvers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_graphql::Context;
use cs_core::{Caller, UserId};
use cs_policy::{Action, allow};
use tower_sessions::Session;

use super::batch::Queue;
use super::error::Fault;
use super::loaders::Loaders;
use crate::app::App;
use crate::auth::Visitor;
use crate::auth::session::SignedIn;
use crate::clients::Clients;

/// Who asks, until when, and through what.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) clients: Arc<Clients>,
    pub(crate) caller: Caller,
    time: Time,
}

/// How long calls may take.
#[derive(Clone, Copy)]
enum Time {
    /// All of a request's calls together.
    Until(Instant),
    /// Each of a subscription's, which has no end.
    Each(Duration),
}

impl Calls {
    /// When a call that begins now has to be done.
    pub(crate) fn until(&self) -> Instant {
        match self.time {
            Time::Until(instant) => instant,
            Time::Each(duration) => Instant::now() + duration,
        }
    }
}

/// Of one request or one subscription.
pub(crate) struct Scope {
    pub(crate) app: Arc<App>,
    pub(crate) calls: Calls,
    pub(crate) signed_in: Option<SignedIn>,
    pub(crate) session: Option<Session>,
    pub(crate) loaders: Loaders,
    pub(crate) queue: Queue,
    /// Calls so far that no loader could join with others.
    alone: AtomicUsize,
}

/// Most calls of a request that nothing joins with others.
const MOST_ALONE: usize = 25;

impl Scope {
    /// Of a request that ends.
    pub(crate) fn request(app: Arc<App>, visitor: Visitor) -> Self {
        let time = Time::Until(Instant::now() + app.config.deadline);
        Self::new(app, visitor, time)
    }

    /// Of a subscription that stays.
    pub(crate) fn subscription(app: Arc<App>, visitor: Visitor) -> Self {
        let time = Time::Each(app.config.deadline);
        Self::new(app, visitor, time)
    }

    fn new(app: Arc<App>, visitor: Visitor, time: Time) -> Self {
        let calls = Calls { clients: app.clients.clone(), caller: visitor.caller, time };
        let queue = Queue::default();
        let Visitor { signed_in, session, .. } = visitor;
        let loaders = Loaders::new(&calls, &queue);
        Self { loaders, app, calls, signed_in, session, queue, alone: AtomicUsize::new(0) }
    }

    /// The scope of the request being executed.
    pub(crate) fn of<'c>(context: &Context<'c>) -> &'c Self {
        context.data_unchecked::<Arc<Self>>()
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.calls.caller
    }

    /// Counts a call that no loader joins with others. An error: this request has made as many as it may.
    pub(crate) fn alone(&self) -> Result<(), Fault> {
        match self.alone.fetch_add(1, Ordering::Relaxed) {
            0..MOST_ALONE => Ok(()),
            _ => Err(Fault::too_complex()),
        }
    }

    /// Whether the caller may do something that takes a role, as the service that does it will ask too. First of all: what
    /// is wrong with the input is for those who may.
    pub(crate) fn may(&self, action: Action) -> Result<(), Fault> {
        Ok(allow(self.caller(), action)?)
    }

    /// Whether the caller may begin runs and watch them, as meetings asks.
    pub(crate) fn may_run(&self) -> Result<(), Fault> {
        self.may(Action::Operate).or_else(|_| self.may(Action::Review))
    }

    /// The person who asks, or that somebody has to sign in.
    pub(crate) fn person(&self) -> Result<UserId, Fault> {
        self.caller().user().ok_or_else(Fault::unauthenticated)
    }
}

/// Calls a service that changes nothing.
macro_rules! read {
    ($calls:expr, $service:ident . $method:ident, $message:expr) => {
        $calls
            .clients
            .$service
            .read(&$calls.caller, $calls.until(), $message, |mut client, request| async move {
                client.$method(request).await
            })
            .await
            .map_err($crate::graphql::error::Fault::from)
    };
}

/// Calls a service that changes something.
macro_rules! write {
    ($calls:expr, $service:ident . $method:ident, $message:expr) => {
        $calls
            .clients
            .$service
            .write(&$calls.caller, $calls.until(), $message, |mut client, request| async move {
                client.$method(request).await
            })
            .await
            .map_err($crate::graphql::error::Fault::from)
    };
}

pub(crate) use {read, write};
