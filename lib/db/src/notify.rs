//! Wakes workers when the database says that there is work, so that nobody polls hard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;

use crate::Db;

/// How soon a lost listening connection is tried again; workers poll meanwhile.
const RECONNECT: Duration = Duration::from_secs(1);

/// Named wake-up calls.
#[derive(Clone, Default)]
pub struct Wakeups {
    named: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
}

impl Wakeups {
    /// The wake-up call of a name: one waiter per name, woken once for any number of calls while it works.
    pub fn get(&self, name: &str) -> Arc<Notify> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_default().clone()
    }

    /// Wakes whoever waits for `name`.
    pub fn wake(&self, name: &str) {
        self.get(name).notify_one();
    }

    /// Passes on what the database notifies on `channel`; the payload is the name. Runs until dropped.
    pub async fn listen(self, db: Db, channel: &'static str) {
        loop {
            if let Err(error) = self.listen_once(&db, channel).await {
                tracing::debug!(%error, channel, "not listening to the database; polling until it is back");
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    async fn listen_once(&self, db: &Db, channel: &str) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(db.listener_pool()).await?;
        listener.listen(channel).await?;
        loop {
            let notification = listener.recv().await?;
            self.wake(notification.payload());
        }
    }
}
