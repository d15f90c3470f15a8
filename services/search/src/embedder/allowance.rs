//! Who may use a paid embedder, and how much.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDate;
use cs_core::{Clock, TenantId};

/// Tenants and their share. What was used is kept in memory: a restart forgets it.
pub struct Allowance {
    clock: Arc<dyn Clock>,
    tenants: Option<HashSet<TenantId>>,
    tokens_a_day: Option<u64>,
    used: Mutex<HashMap<TenantId, (NaiveDate, u64)>>,
}

impl Allowance {
    /// `tenants`: those that may; `None` lets all. `tokens_a_day`: each one's share of a day in UTC; `None`: no limit.
    pub fn new(clock: Arc<dyn Clock>, tenants: Option<HashSet<TenantId>>, tokens_a_day: Option<u64>) -> Self {
        Self { clock, tenants, tokens_a_day, used: Mutex::default() }
    }

    /// Why a tenant gets nothing now, if so. One that has any of its share left may ask: what a request costs is known
    /// only when it has been answered.
    pub(super) fn refuses(&self, tenant: TenantId) -> Option<&'static str> {
        if self.tenants.as_ref().is_some_and(|tenants| !tenants.contains(&tenant)) {
            return Some("allow_list");
        }
        let today = self.clock.now().date_naive();
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = used.get(&tenant).filter(|(day, _)| *day == today).map_or(0, |(_, tokens)| *tokens);
        self.tokens_a_day.is_some_and(|most| spent >= most).then_some("quota")
    }

    pub(super) fn spend(&self, tenant: TenantId, tokens: u64) {
        let today = self.clock.now().date_naive();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = used.entry(tenant).or_insert((today, 0));
        *spent = if spent.0 == today { (today, spent.1.saturating_add(tokens)) } else { (today, tokens) };
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration, Utc};

    use super::*;

    struct At(Mutex<DateTime<Utc>>);

    impl Clock for At {
        fn now(&self) -> DateTime<Utc> {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn a_share_is_of_a_day_and_of_one_tenant() {
        let clock = Arc::new(At(Mutex::new("2026-03-01T23:00:00Z".parse().unwrap())));
        let [one, other, stranger] = ["one", "other", "stranger"].map(TenantId::of_slug);
        let allowance = Allowance::new(clock.clone(), Some(HashSet::from([one, other])), Some(100));
        assert_eq!(allowance.refuses(stranger), Some("allow_list"));
        assert_eq!(allowance.refuses(one), None);
        allowance.spend(one, 99);
        assert_eq!(allowance.refuses(one), None);
        allowance.spend(one, 1);
        assert_eq!((allowance.refuses(one), allowance.refuses(other)), (Some("quota"), None));
        *clock.0.lock().unwrap() += Duration::hours(2);
        assert_eq!(allowance.refuses(one), None);
        allowance.spend(one, 5);
        assert_eq!(allowance.refuses(one), None);
    }
}
