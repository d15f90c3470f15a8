//! How many subscriptions one person has open in this process, over all their connections: a person, or an address where
//! nobody signed in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use cs_core::UserId;
use futures::stream::{BoxStream, StreamExt};

use super::{RequestContext, rates};
use crate::app::App;
use crate::auth::Visitor;
use crate::edge::WatchLimits;
use crate::graphql::{Execution, Prepared, subscribe, too_many};

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Watcher {
    Person(UserId),
    /// As for rates: a household is one.
    Address(IpAddr),
}

/// What everybody has open.
pub(crate) struct Watches {
    limits: WatchLimits,
    open: Arc<Mutex<HashMap<Watcher, usize>>>,
}

/// One that is open, for as long as this is kept.
struct Open {
    who: Watcher,
    all: Arc<Mutex<HashMap<Watcher, usize>>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.who) {
            *count -= 1;
            // Who has none takes no room.
            if *count == 0 {
                all.remove(&self.who);
            }
        }
    }
}

impl Watches {
    pub(crate) fn new(limits: WatchLimits) -> Self {
        Self { limits, open: Arc::default() }
    }

    /// `None`: as many are open as may be.
    fn take(&self, who: Watcher) -> Option<Open> {
        let most = match who {
            Watcher::Person(_) => self.limits.person,
            Watcher::Address(_) => self.limits.address,
        };
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.get(&who).copied().unwrap_or_default();
        if count >= most {
            return None;
        }
        all.insert(who, count + 1);
        Some(Open { who, all: self.open.clone() })
    }
}

/// Begins a subscription; an answer that refuses it where whoever asks has too many already.
pub(super) fn open(
    app: &Arc<App>,
    context: &RequestContext,
    visitor: Visitor,
    prepared: Prepared,
) -> Result<BoxStream<'static, Execution>, Execution> {
    let who = match visitor.caller.user() {
        Some(user) => Watcher::Person(user),
        None => Watcher::Address(rates::household(context.from)),
    };
    let Some(open) = app.watches.take(who) else {
        tracing::info!(event = "http.too_many_subscriptions", "a caller has too many subscriptions open");
        let sentence = "Too many subscriptions are open. Close some of them, here or in another window.";
        return Err(too_many(sentence, &visitor.caller.request_id));
    };
    let answers = subscribe(app, visitor, prepared).map(move |answer| {
        // It counts until the stream is gone, however that comes about.
        let _ = &open;
        answer
    });
    Ok(answers.boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_their_own_and_gets_back_what_is_closed() {
        let watches = Watches::new(WatchLimits { person: 2, address: 1 });
        let person = |n| Watcher::Person(UserId::from(uuid::Uuid::from_u128(n)));
        let address = |n| Watcher::Address(IpAddr::from([192, 0, 2, n]));
        let (one, two) = (watches.take(person(1)).unwrap(), watches.take(person(1)).unwrap());
        assert!(watches.take(person(1)).is_none());
        assert!(watches.take(person(2)).is_some(), "another person");
        let here = watches.take(address(1)).unwrap();
        assert!(watches.take(address(1)).is_none());
        assert!(watches.take(address(2)).is_some(), "another address");
        drop(one);
        let again = watches.take(person(1)).unwrap();
        assert!(watches.take(person(1)).is_none());
        drop((two, again, here));
        assert!(watches.open.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }
}
