//! Wakes workers when the database says that there is work, so that nobody polls hard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};

use crate::Db;

/// How soon a lost listening connection is tried again; workers poll meanwhile.
const RECONNECT: Duration = Duration::from_secs(1);

/// Named wake-up calls.
#[derive(Clone, Default)]
pub struct Wakeups {
    named: Arc<Mutex<HashMap<String, Call>>>,
}

#[derive(Default)]
struct Call {
    one: Arc<Notify>,
    all: watch::Sender<()>,
}

impl Wakeups {
    /// The wake-up call of a name for lanes that share the work: one of them is woken.
    pub fn get(&self, name: &str) -> Arc<Notify> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_default().one.clone()
    }

    /// The wake-up call of a name for any number of waiters: each is woken, also by a call that came since it last
    /// waited.
    pub fn watch(&self, name: &str) -> watch::Receiver<()> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_default().all.subscribe()
    }

    /// Wakes one lane and every watcher of `name`.
    pub fn wake(&self, name: &str) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let call = named.entry(name.to_owned()).or_default();
        call.one.notify_one();
        call.all.send_replace(());
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
