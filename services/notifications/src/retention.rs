//! What people were told is forgotten after a time of the operator's choosing. Of a meeting whose deliveries are forgotten
//! nobody is told again, though no row remembers whom it was told to: its notice is closed.

use std::time::Duration;

use chrono::TimeDelta;
use cs_db::Reason;
use cs_events::chores;
use cs_rpc::Tasks;

use crate::store::retention as store;
use crate::{Deps, Error};

/// How long deliveries are kept where nobody says: two years, days.
pub const KEEP_DAYS: u32 = 730;
/// The shortest time: until nothing tells of a meeting any more that was told before, and its messages are forgotten.
pub const LEAST_DAYS: u32 = 91;
/// How often old ones are forgotten, and how often it is looked whether that is due.
const EVERY: TimeDelta = TimeDelta::hours(1);
const LOOK: Duration = Duration::from_secs(60);
/// Rows in one transaction.
const BATCH: i32 = 5_000;

/// Forgets what was told longer than `kept` ago, where that is due; gives how many rows.
pub async fn forget(deps: &Deps, kept: TimeDelta) -> Result<u64, Error> {
    let now = deps.ids.now();
    if chores::take(&deps.db, "deliveries", EVERY, now).await?.is_none() {
        return Ok(0);
    }
    let mut forgotten = 0;
    loop {
        let mut tx = deps.db.system(Reason::Operations).await?;
        let gone = store::forget(&mut tx, now - kept, now, BATCH).await?;
        tx.commit().await?;
        forgotten += gone;
        if gone == 0 {
            return Ok(forgotten);
        }
    }
}

/// Forgets until the tasks drain.
pub fn run(deps: &Deps, kept: TimeDelta, tasks: &Tasks) {
    let deps = deps.clone();
    tasks.every(LOOK, move || {
        let deps = deps.clone();
        async move {
            match forget(&deps, kept).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "what people were told long ago is forgotten"),
                Err(error) => {
                    tracing::warn!(%error, "old notifications could not be forgotten; it is tried again at the next time");
                }
            }
        }
    });
}
