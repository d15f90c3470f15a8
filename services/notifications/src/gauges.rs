//! How far behind the telling is, as metrics.

use std::time::Duration;

use cs_db::Reason;
use cs_rpc::Tasks;

use crate::preferences::{EMAIL, PUSH, WEBHOOK};
use crate::store::waiting;
use crate::{Deps, Error};

/// How often they are taken: a look at the whole queue, which can be a million long.
const EVERY: Duration = Duration::from_secs(30);

/// How far behind one kind is.
#[derive(Clone, Debug, PartialEq)]
pub struct Behind {
    /// `delivery`, `email`, `push` or `webhook`.
    pub what: String,
    /// How many have not ended, those that are held for quiet hours, a digest or their next try included.
    pub waiting: u64,
    /// Seconds since the oldest that nobody has in hand could be taken.
    pub overdue: f64,
}

/// How far behind each kind is now, of every tenant.
pub async fn behind(deps: &Deps) -> Result<Vec<Behind>, Error> {
    let now = deps.ids.now();
    let mut tx = deps.db.system(Reason::Operations).await?;
    let rows = waiting::now(&mut tx, &[EMAIL, PUSH, WEBHOOK], now).await?;
    let all = rows.into_iter().map(|row| Behind {
        what: row.what,
        waiting: row.waiting.unsigned_abs(),
        overdue: row.due_since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0)),
    });
    Ok(all.collect())
}

/// Takes them until the tasks drain.
pub(crate) fn run(deps: &Deps, tasks: &Tasks) {
    let deps = deps.clone();
    tasks.every(EVERY, move || {
        let deps = deps.clone();
        async move {
            match behind(&deps).await {
                Ok(all) => set(&all),
                Err(error) => tracing::debug!(%error, "the gauges of notifications could not be taken"),
            }
        }
    });
}

fn set(all: &[Behind]) {
    for Behind { what, waiting, overdue, .. } in all {
        metrics::gauge!("councilsense_notifications_waiting", "what" => what.clone()).set(*waiting as f64);
        metrics::gauge!("councilsense_notifications_overdue_seconds", "what" => what.clone()).set(*overdue);
    }
}
