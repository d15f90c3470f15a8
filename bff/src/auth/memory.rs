//! Sessions lately read, so that a page's many requests do not each ask the store and open the seal.
//!
//! What is remembered is believed for seconds. Whatever changes a session in this process forgets all of it, after the
//! store was changed; a reading that began before that is not remembered. So signing out acts at once here, and within
//! those seconds in another process. A store that does not answer is an error to whoever is not remembered.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;
use tower_sessions::session::Id;

use super::session::SignedIn;

/// Sessions in use at once in one process; more are read from the store each time.
const MOST: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();

/// Longest that a reading is ever believed.
const MOST_BELIEVED: TimeDelta = TimeDelta::seconds(5);

struct Read {
    who: SignedIn,
    at: DateTime<Utc>,
    era: u64,
}

/// Sessions lately read.
pub(crate) struct Memory {
    lasts: TimeDelta,
    /// Counts the changes to sessions in this process.
    era: AtomicU64,
    read: Mutex<LruCache<Id, Read>>,
}

/// When a reading began.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    era: u64,
    at: DateTime<Utc>,
}

impl Memory {
    pub(crate) fn new(lasts: Duration) -> Self {
        // What is not a few seconds is a mistake: a session that was ended elsewhere must not live on.
        let lasts = TimeDelta::from_std(lasts).unwrap_or(MOST_BELIEVED).min(MOST_BELIEVED);
        Self { lasts, era: AtomicU64::new(0), read: Mutex::new(LruCache::unbounded()) }
    }

    /// Before the store is asked.
    pub(crate) fn begin(&self, now: DateTime<Utc>) -> Begun {
        Begun { era: self.era.load(Ordering::Acquire), at: now }
    }

    /// Who signed in, where that was read a moment ago and nothing was changed since.
    pub(crate) fn recall(&self, id: Id, now: DateTime<Utc>) -> Option<SignedIn> {
        let era = self.era.load(Ordering::Acquire);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(&id)
            .filter(|read| {
                read.era == era
                    && read.at <= now
                    && now - read.at < self.lasts
                    && now < read.who.ends_at
                    && read.who.tokens.due.is_none_or(|due| now < due)
            })
            .map(|read| read.who.clone())
    }

    /// Keeps what was read. Secrets of the session stay in the store.
    pub(crate) fn keep(&self, id: Id, begun: Begun, who: &SignedIn) {
        if self.lasts <= TimeDelta::zero() {
            return;
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= MOST.get() {
            read.pop_lru();
        }
        read.put(id, Read { who: who.without_secrets(), at: begun.at, era: begun.era });
    }

    /// After sessions were changed.
    pub(crate) fn forget(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cs_core::TenantId;
    use uuid::Uuid;

    use super::*;
    use crate::auth::session::Tokens;

    fn who() -> SignedIn {
        SignedIn {
            session: Uuid::nil(),
            user: Uuid::nil().into(),
            tenant: TenantId::of_slug("default"),
            roles: BTreeSet::new(),
            display_name: "Rosa".into(),
            provider: "p".into(),
            issuer: "i".into(),
            subject: "s".into(),
            sid: None,
            user_agent: None,
            created_at: DateTime::<Utc>::UNIX_EPOCH,
            ends_at: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(1),
            looked_at: None,
            tokens: Tokens { refresh: Some("canary".into()), ..Tokens::default() },
        }
    }

    #[test]
    fn a_reading_lasts_for_seconds_and_no_change_survives_it() {
        let (memory, now) = (Memory::new(Duration::from_secs(2)), DateTime::<Utc>::UNIX_EPOCH);
        let (one, other) = (Id(1), Id(2));
        memory.keep(one, memory.begin(now), &who());
        assert!(memory.recall(one, now + TimeDelta::milliseconds(1_999)).is_some());
        assert!(memory.recall(one, now + TimeDelta::seconds(2)).is_none());
        assert!(memory.recall(other, now).is_none());
        assert!(memory.recall(one, now).unwrap().tokens.refresh.is_none(), "secrets stay in the store");

        let begun = memory.begin(now);
        memory.forget();
        assert!(memory.recall(one, now).is_none(), "signed out");
        memory.keep(one, begun, &who());
        assert!(memory.recall(one, now).is_none(), "read before the change");
        memory.keep(one, memory.begin(now), &who());
        assert!(memory.recall(one, now).is_some());

        let later = now + TimeDelta::hours(1);
        memory.keep(one, memory.begin(later), &who());
        assert!(memory.recall(one, later).is_none(), "it has ended by itself");

        let none = Memory::new(Duration::ZERO);
        none.keep(one, none.begin(now), &who());
        assert!(none.recall(one, now).is_none());
    }
}
