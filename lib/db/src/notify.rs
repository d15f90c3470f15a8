//! Wakes workers when the database says that there is work, so that nobody polls hard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::Db;

/// How soon a lost listening connection is tried again; workers poll meanwhile.
const RECONNECT: Duration = Duration::from_secs(1);
/// After so long a silence the connection is asked whether it is there: one that a firewall has forgotten says nothing.
const QUIET: Duration = Duration::from_secs(30);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Named wake-up calls.
#[derive(Clone, Default)]
pub struct Wakeups {
    named: Arc<Mutex<HashMap<String, Call>>>,
}

#[derive(Default)]
struct Call {
    groups: HashMap<String, Arc<Notify>>,
    all: watch::Sender<()>,
}

impl Call {
    fn wake(&self) {
        self.groups.values().for_each(|group| group.notify_one());
        self.all.send_replace(());
    }
}

impl Wakeups {
    /// The wake-up call of a name for lanes that share the work: one of them is woken.
    pub fn get(&self, name: &str) -> Arc<Notify> {
        self.of_group(name, "")
    }

    /// The same for lanes that share a part of the work: one of each group is woken.
    pub fn of_group(&self, name: &str, group: &str) -> Arc<Notify> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_default().groups.entry(group.to_owned()).or_default().clone()
    }

    /// The wake-up call of a name for any number of waiters: each is woken, also by a call that came since it last
    /// waited.
    pub fn watch(&self, name: &str) -> watch::Receiver<()> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_default().all.subscribe()
    }

    /// Wakes one lane of each group and every watcher of `name`.
    pub fn wake(&self, name: &str) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_default().wake();
    }

    /// Wakes everybody: nobody knows what was missed.
    fn wake_all(&self) {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        for call in named.values() {
            call.wake();
        }
    }

    /// Passes on what the database notifies on `channel`; the payload is the name. Runs until dropped.
    pub async fn listen(self, db: Db, channel: &'static str) {
        self.listen_asking(db, channel, QUIET).await;
    }

    /// As [`Wakeups::listen`], asking whether the connection is there after another silence.
    pub async fn listen_asking(self, db: Db, channel: &'static str, quiet: Duration) {
        let mut away = false;
        loop {
            let ended = self.listen_once(&db, channel, quiet, &mut away).await;
            // Said once an outage; the lanes that cannot work say more.
            if !std::mem::replace(&mut away, true) {
                tracing::warn!(error = %ended, channel, "not listening to the database: workers look once a second until it is back");
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    /// Listens over one connection; gives why that ended.
    async fn listen_once(&self, db: &Db, channel: &str, quiet: Duration, away: &mut bool) -> sqlx::Error {
        let mut listener = match connect(db, channel).await {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        // Whatever was notified before is not told again.
        self.wake_all();
        if std::mem::take(away) {
            tracing::info!(channel, "listening to the database again");
        }
        loop {
            match timeout(quiet, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => self.wake(notification.payload()),
                Ok(Ok(None)) => return closed(),
                Ok(Err(error)) => return error,
                Err(_) => {
                    if let Err(error) = there(&mut listener).await {
                        return error;
                    }
                }
            }
        }
    }
}

/// Over a connection of its own: one that hangs takes none away from the others.
async fn connect(db: &Db, channel: &str) -> Result<PgListener, sqlx::Error> {
    let connecting = async {
        let mut listener = PgListener::connect_with(&db.listener_pool()).await?;
        // Who listens again is to know that something may have been missed.
        listener.eager_reconnect(false);
        listener.listen(channel).await?;
        Ok(listener)
    };
    timeout(ANSWER, connecting).await.unwrap_or_else(|_| Err(silent()))
}

async fn there(listener: &mut PgListener) -> Result<(), sqlx::Error> {
    let answer = timeout(ANSWER, sqlx::query("SELECT 1").execute(listener)).await;
    answer.map_or_else(|_| Err(silent()), |answer| answer.map(|_| ()))
}

fn closed() -> sqlx::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection was closed").into()
}

fn silent() -> sqlx::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "the database does not answer").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_each_group_one_is_woken() {
        let wakeups = Wakeups::default();
        let (one, other) = (wakeups.of_group("jobs", "a"), wakeups.of_group("jobs", "b"));
        let (shared, elsewhere) = (wakeups.of_group("jobs", "b"), wakeups.get("outbox"));
        wakeups.wake("jobs");
        one.notified().await;
        other.notified().await;
        let woken = |call: Arc<Notify>| async move {
            timeout(Duration::from_millis(1), call.notified()).await.is_ok()
        };
        assert!(!woken(shared).await && !woken(elsewhere).await);
    }
}
