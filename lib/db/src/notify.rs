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

    /// Wakes everybody: nobody knows what was missed.
    fn wake_all(&self) {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        for call in named.values() {
            call.one.notify_one();
            call.all.send_replace(());
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
