//! An index that was lost, damaged, or made by another program is built anew without anybody asking.

use std::collections::BTreeSet;

use cs_core::{Caller, Clock};
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_rpc::Channel;
use cs_text::passages::CHUNKER_VERSION;

use super::{Progress, Rebuilt, ReindexError, has_meetings, rebuild, tenants};
use crate::index::SearchIndex as _;
use crate::index::versions::VersionedIndex;
use crate::{Deps, Error, indexer};

/// What became of an index at a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It holds what it should, or there is nothing to hold.
    Whole,
    /// It was built anew.
    Built {
        /// Why.
        why: String,
        /// Meetings indexed.
        indexed: usize,
    },
}

/// Builds the next version where the one that is used lacks passages ([`VersionedIndex::set_lacking`]) or was made by
/// another chunker or embedding model, and takes it into use.
///
/// # Errors
/// When something does not answer, and when what was built is not what the services have: the index is as before then.
pub async fn restore(
    deps: &Deps,
    versioned: &VersionedIndex,
    accounts: &AccountsClient<Channel>,
    clock: &dyn Clock,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Restored, ReindexError> {
    let callers = tenants(accounts, &deps.outbound).await?;
    let why = if is_lacking(deps, versioned, &callers).await? {
        Some("it was damaged, or gone".to_owned())
    } else {
        // Nothing is lacking where there is nothing.
        versioned.repaired()?;
        versioned.set_lacking(false);
        outdated(deps, &callers).await?
    };
    let Some(why) = why else { return Ok(Restored::Whole) };
    tracing::warn!(why, "the search index is built anew");
    let Rebuilt { indexed, .. } = rebuild(deps, versioned, accounts, clock, progress).await?;
    Ok(Restored::Built { why, indexed })
}

async fn is_lacking(deps: &Deps, versioned: &VersionedIndex, callers: &[Caller]) -> Result<bool, Error> {
    if !versioned.is_lacking() {
        return Ok(false);
    }
    for caller in callers {
        if has_meetings(deps, caller).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What of the index was made by another chunker or embedding model than this program's, if anything was. Vectors that
/// are missing are no sign: a tenant may be without a share of the embedder.
///
/// # Errors
/// When the index does not answer.
pub async fn outdated(deps: &Deps, callers: &[Caller]) -> Result<Option<String>, Error> {
    let (mut chunkers, mut embedders) = (BTreeSet::new(), BTreeSet::new());
    for caller in callers {
        let stats = deps.index.stats(caller.tenant.uuid()).await?;
        chunkers.extend(stats.chunkers);
        embedders.extend(stats.embedders);
    }
    chunkers.retain(|name| name != CHUNKER_VERSION && name != indexer::CLAIMS);
    let version = deps.embedder.as_ref().map(|embedder| embedder.version());
    embedders.retain(|name| version.is_some_and(|version| name != version));
    let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    Ok(match (chunkers.is_empty(), version) {
        (false, _) => Some(format!("passages were cut by {}, not by {CHUNKER_VERSION}", list(chunkers))),
        (true, Some(version)) if !embedders.is_empty() => {
            Some(format!("vectors were made by {}, not by {version}", list(embedders)))
        }
        _ => None,
    })
}
