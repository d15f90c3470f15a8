//! A whole build: every tenant's meetings, what changed meanwhile, the comparison, the switch.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cs_core::{Caller, Clock, InvalidId, TenantId, Trace};
use cs_proto::accounts::v1::ListTenantsRequest;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_rpc::{Channel, Outbound};

use super::{Progress, ReindexError, Seen, build, catch_up, confirm};
use crate::index::versions::VersionedIndex;
use crate::{Deps, Error, NAME, indexer};

/// Passes over what changed meanwhile; the last follows the comparison, which takes its time.
const PASSES: usize = 3;
/// Longest a service may take for one meeting's texts: nobody waits for a build.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Meetings indexed by this build; those that an interrupted one had indexed are not among them.
    pub indexed: usize,
    /// The version that is used from now on.
    pub version: String,
}

/// Search's own caller in every tenant.
///
/// # Errors
/// When accounts does not answer.
pub async fn tenants(accounts: &AccountsClient<Channel>, outbound: &Outbound) -> Result<Vec<Caller>, Error> {
    let caller = Caller::service(NAME, TenantId::of_slug("default"), Trace::start());
    let request = outbound.request(&caller, ListTenantsRequest {}, DEADLINE)?;
    let listed = accounts.clone().list_tenants(request).await?.into_inner();
    let bad = |e: InvalidId| Error::invalid("tenant_id", e.to_string());
    let of = |id: String| Ok(Caller { tenant: id.parse().map_err(bad)?, ..caller.clone() });
    listed.tenants.into_iter().map(|tenant| of(tenant.id)).collect()
}

/// Whether a tenant has anything to index.
///
/// # Errors
/// When meetings does not answer.
pub async fn has_meetings(deps: &Deps, caller: &Caller) -> Result<bool, Error> {
    Ok(!indexer::list(deps, caller, String::new()).await?.0.is_empty())
}

/// Builds `deps.index` for these tenants, catches up and compares; gives how many meetings were indexed, and when the
/// last pass began: what the services changed after that must be caught up with still.
///
/// # Errors
/// When something does not answer, and when the index is not what the services have.
pub async fn fill(
    deps: &Deps,
    callers: &[Caller],
    since: DateTime<Utc>,
    clock: &dyn Clock,
    seen: &mut Seen,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(usize, DateTime<Utc>), ReindexError> {
    let mut indexed = 0;
    for caller in callers {
        indexed += build(deps, caller, since, seen, progress).await?;
    }
    let mut from = since;
    for pass in 1..=PASSES {
        if pass == PASSES {
            for caller in callers {
                confirm(deps, caller, clock.now(), progress).await?;
            }
        }
        let began = clock.now();
        for caller in callers {
            catch_up(deps, caller, from, began, seen, progress).await?;
        }
        from = began;
    }
    Ok((indexed, from))
}

/// Builds the next version of an engine that serves meanwhile, and takes it into use.
///
/// # Errors
/// As [`fill`]; then the version before is used on, and the next call goes on with this build.
pub async fn rebuild(
    deps: &Deps,
    versioned: &VersionedIndex,
    accounts: &AccountsClient<Channel>,
    clock: &dyn Clock,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Rebuilt, ReindexError> {
    let building = versioned.begin(clock.now()).await?;
    let next = Deps { index: building.index(), deadline: DEADLINE, ..deps.clone() };
    let callers = tenants(accounts, &deps.outbound).await?;
    let since = building.since();
    let mut seen = Seen::default();
    let (indexed, from) = fill(&next, &callers, since, clock, &mut seen, progress).await?;
    let known: BTreeSet<TenantId> = callers.iter().map(|caller| caller.tenant).collect();
    let last_pass = async {
        for caller in tenants(accounts, &deps.outbound).await? {
            // One that came meanwhile has no meeting from before.
            let from = if known.contains(&caller.tenant) { from } else { since };
            catch_up(&next, &caller, from, clock.now(), &mut seen, progress).await?;
        }
        Ok::<_, ReindexError>(())
    };
    let version = building.switch(last_pass).await?;
    Ok(Rebuilt { indexed, version })
}
