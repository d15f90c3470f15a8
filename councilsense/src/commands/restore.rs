//! A search index that is damaged, gone or out of date is mended by the process that searches in it.

use std::time::Duration;

use anyhow::Context;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use search::reindex::{ReindexError, Restored, outdated, restore, tenants};

use crate::wiring::{Role, Stack, system_clock};

/// Services that are not there yet are asked again, each time after twice the wait.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Builds the index anew where what the services have is lacking in it, or another chunker or model made it. One that
/// ends half-way is gone on with the next time.
pub(crate) fn restored(
    stack: &Stack,
) -> anyhow::Result<impl Future<Output = Result<Restored, ReindexError>> + Send + use<>> {
    let search = stack.search().context("search does not run here")?.clone();
    let versioned = search.index.versioned().context("this search does not keep its index by itself")?;
    let accounts = AccountsClient::new(stack.channel(Role::Accounts)?);
    Ok(async move {
        let (clock, show) = (system_clock(), super::reindex::show);
        restore(&search, &versioned, &accounts, &*clock, &show).await
    })
}

/// Does so beside everything else, and says what became of it. An engine elsewhere is only looked at: its index is many
/// processes', and built by a command.
pub(crate) fn keep_whole(stack: &Stack) {
    let Some(search) = stack.search().cloned() else { return };
    let (channel, stop) = (stack.channel(Role::Accounts), stack.tasks.stopping());
    let advice = "run `councilsense reindex` when search knows where accounts is";
    let accounts = match channel {
        Ok(channel) => AccountsClient::new(channel),
        Err(error) => {
            tracing::warn!(%error, "nobody looks whether the search index is whole: {advice}");
            return;
        }
    };
    let looked = async move {
        let mut wait = FIRST_WAIT;
        loop {
            let done = match search.index.versioned() {
                Some(versioned) => {
                    let (clock, show) = (system_clock(), super::reindex::show);
                    restore(&search, &versioned, &accounts, &*clock, &show).await
                }
                None => match tenants(&accounts, &search.outbound).await {
                    Ok(callers) => outdated(&search, &callers).await.map_err(ReindexError::from).map(|why| {
                        if let Some(why) = why {
                            tracing::warn!(
                                why,
                                "the search index is out of date: run `councilsense reindex`"
                            );
                        }
                        Restored::Whole
                    }),
                    Err(error) => Err(error.into()),
                },
            };
            match done {
                Ok(Restored::Whole) => return,
                Ok(Restored::Built { why, indexed }) => {
                    tracing::info!(
                        event = "index.rebuilt",
                        meetings = indexed,
                        why,
                        "the search index was built anew"
                    );
                    return;
                }
                Err(error @ ReindexError::Differs(_)) => {
                    tracing::error!(%error, "the search index was not built anew: run `councilsense reindex`, or start again");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the search index is not looked after yet; it is tried again")
                }
            }
            tokio::time::sleep(wait).await;
            wait = (2 * wait).min(LONGEST_WAIT);
        }
    };
    stack.tasks.spawn(async move {
        tokio::select! {
            () = looked => {}
            () = stop.cancelled() => {}
        }
    });
}
