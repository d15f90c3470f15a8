//! The store behind the session middleware: seals, opens, and decides how long.
//!
//! Reading a session moves its idle expiry, at most once a minute.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{Clock, TenantId, UserId};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store;
use uuid::Uuid;

use super::SealError;
use super::engine::{Hash, Row};
use super::{Claim, Engine, Keys, Listed, SIGNED_IN, SignedIn, Standing, StoreError, Which};

/// How often a session in use is marked as such.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);
const SIGN_IN_LIVES: TimeDelta = TimeDelta::minutes(10);
/// An idempotency key gives the same answer for this long.
const ANSWERS_LIVE: TimeDelta = TimeDelta::days(1);
/// A request that has not answered by then never will: its process is gone.
const CLAIMS_LIVE: TimeDelta = TimeDelta::minutes(1);
/// Most sessions shown to a person.
const MOST_LISTED: usize = 100;

/// Sessions, sign-ins under way, and answers to repeated mutations.
#[derive(Clone)]
pub(crate) struct Sessions {
    engine: Arc<dyn Engine>,
    keys: Keys,
    clock: Arc<dyn Clock>,
    idle: TimeDelta,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

/// A session that was read: who it is, and what is needed to write it again.
pub(crate) struct Held {
    pub(crate) who: SignedIn,
    row: Row,
    data: HashMap<String, Value>,
}

fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

fn id_hash(id: Id) -> Hash {
    sha256(&id.0.to_be_bytes())
}

fn person_in(data: &HashMap<String, Value>) -> Option<SignedIn> {
    serde_json::from_value(data.get(SIGNED_IN)?.clone()).ok()
}

impl Sessions {
    pub(crate) fn new(engine: Arc<dyn Engine>, keys: Keys, clock: Arc<dyn Clock>, idle: TimeDelta) -> Self {
        Self { engine, keys, clock, idle }
    }

    /// Whether the store answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.engine.ping().await
    }

    fn row(
        &self,
        hash: Hash,
        who: &SignedIn,
        data: &HashMap<String, Value>,
        seen: DateTime<Utc>,
    ) -> Result<Row, StoreError> {
        Ok(Row {
            hash,
            id: who.session,
            user: who.user.uuid(),
            issuer: who.issuer.clone(),
            subject: who.subject.clone(),
            sid: who.sid.clone(),
            user_agent: who.user_agent.clone(),
            created_at: who.created_at,
            last_seen_at: seen,
            expires_at: (seen + self.idle).min(who.ends_at),
            ends_at: who.ends_at,
            sealed: self.keys.seal(data, &hash)?,
        })
    }

    async fn read(&self, hash: &Hash) -> Result<Option<Held>, StoreError> {
        let now = self.clock.now();
        let Some(row) = self.engine.load(hash, now).await? else { return Ok(None) };
        let Some(mut held) = self.opened(row).await? else { return Ok(None) };
        let row = &mut held.row;
        if now - row.last_seen_at >= SEEN_EVERY {
            row.last_seen_at = now;
            row.expires_at = (now + self.idle).min(row.ends_at);
            self.engine.touch(row, now).await?;
        }
        Ok(Some(held))
    }

    /// What stands in a row. One that does not open is ended, but for a key that is not known: that is an error.
    async fn opened(&self, row: Row) -> Result<Option<Held>, StoreError> {
        let opened: Result<HashMap<String, Value>, _> = self.keys.open(&row.sealed, &row.hash);
        match opened.map(|data| person_in(&data).map(|who| (who, data))) {
            Ok(Some((who, data))) => Ok(Some(Held { who, row, data })),
            Ok(None) => {
                tracing::warn!("a session was kept by another version, and is ended");
                self.engine.remove(&row.hash).await?;
                Ok(None)
            }
            // The replica that sealed it may have a key that this one has not got yet: it is not this one's to end, and the
            // person's cookie has to stay.
            Err(error @ SealError::UnknownKey(_)) => Err(error.into()),
            Err(error) => {
                // Its key was retired, or the row was tampered with: whoever it was signs in again.
                tracing::warn!(%error, "a session does not open, and is ended");
                self.engine.remove(&row.hash).await?;
                Ok(None)
            }
        }
    }

    /// The session of a cookie's id, as it is now. That somebody looks is no use of it.
    pub(crate) async fn held(&self, id: Id) -> Result<Option<Held>, StoreError> {
        match self.engine.load(&id_hash(id), self.clock.now()).await? {
            Some(row) => self.opened(row).await,
            None => Ok(None),
        }
    }

    /// Writes what became of a session. `false`: it ended meanwhile.
    pub(crate) async fn keep(&self, mut held: Held) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let value = serde_json::to_value(&held.who).map_err(|_| StoreError::Malformed("a person"))?;
        held.data.insert(SIGNED_IN.to_owned(), value);
        let row = self.row(held.row.hash, &held.who, &held.data, held.row.last_seen_at)?;
        self.engine.change(&row, now).await
    }

    /// Takes the right to renew a session's tokens until then.
    pub(crate) async fn lease(&self, id: Id, holder: Uuid, lives: TimeDelta) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.engine.lease(&id_hash(id), holder, now + lives, now).await
    }

    /// Gives that right back.
    pub(crate) async fn release(&self, id: Id, holder: Uuid) -> Result<(), StoreError> {
        self.engine.release(&id_hash(id), holder).await
    }

    /// Ends a session by its cookie's id.
    pub(crate) async fn end_by_id(&self, id: Id) -> Result<bool, StoreError> {
        self.engine.remove(&id_hash(id)).await
    }

    /// A person's sessions, the most recently used first.
    pub(crate) async fn list(&self, user: UserId) -> Result<Vec<Listed>, StoreError> {
        let mut rows = self.engine.find(Which::Of(user.uuid()), self.clock.now()).await?;
        rows.sort_by_key(|row| (std::cmp::Reverse(row.last_seen_at), row.id));
        rows.truncate(MOST_LISTED);
        let listed = |row: Row| Listed {
            id: row.id,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            user_agent: row.user_agent,
        };
        Ok(rows.into_iter().map(listed).collect())
    }

    /// Ends one session of a person. `None`: there is none of that name.
    pub(crate) async fn end(&self, user: UserId, session: Uuid) -> Result<Option<SignedIn>, StoreError> {
        let ended = self.end_where(Which::Named(session), |row| row.user == user.uuid()).await?;
        Ok(ended.into_iter().next())
    }

    /// A person's sessions in a tenant, the most recently used first, with who each is. A row that does not open is left
    /// out: reading it ends it.
    pub(crate) async fn of_tenant(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Vec<(Row, SignedIn)>, StoreError> {
        let mut rows = self.engine.find(Which::Of(user.uuid()), self.clock.now()).await?;
        rows.sort_by_key(|row| (std::cmp::Reverse(row.last_seen_at), row.id));
        let opened = rows.into_iter().filter_map(|row| {
            let data: HashMap<String, Value> = self.keys.open(&row.sealed, &row.hash).ok()?;
            person_in(&data).filter(|who| who.tenant == tenant).map(|who| (row, who))
        });
        Ok(opened.collect())
    }

    /// Ends a person's sessions in a tenant; who they were.
    pub(crate) async fn end_of_tenant(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Vec<SignedIn>, StoreError> {
        let mut ended = Vec::new();
        for (row, who) in self.of_tenant(tenant, user).await? {
            if self.engine.remove(&row.hash).await? {
                ended.push(who);
            }
        }
        Ok(ended)
    }

    /// Ends sessions; who they were.
    pub(crate) async fn end_all(&self, which: Which<'_>) -> Result<Vec<SignedIn>, StoreError> {
        self.end_where(which, |_| true).await
    }

    /// Ends those of the sessions for which `these` holds; who they were.
    pub(crate) async fn end_where(
        &self,
        which: Which<'_>,
        these: impl Fn(&Row) -> bool + Send,
    ) -> Result<Vec<SignedIn>, StoreError> {
        let mut ended = Vec::new();
        let found = self.engine.find(which, self.clock.now()).await?;
        for row in found.into_iter().filter(|row| these(row)) {
            if self.engine.remove(&row.hash).await?
                && let Ok(data) = self.keys.open::<HashMap<String, Value>>(&row.sealed, &row.hash)
            {
                ended.extend(person_in(&data));
            }
        }
        Ok(ended)
    }

    /// Whether a session is still good: what an open subscription asks now and then.
    pub(crate) async fn is_open(&self, session: Uuid) -> Result<bool, StoreError> {
        Ok(!self.engine.find(Which::Named(session), self.clock.now()).await?.is_empty())
    }

    /// Whether a session is still good and may stand on a sign-in.
    pub(crate) async fn stands_on(&self, session: Uuid, at: &Standing) -> Result<bool, StoreError> {
        let found = self.engine.find(Which::Named(session), self.clock.now()).await?;
        let standing = |row: Row| Standing { issuer: row.issuer, subject: row.subject, sid: row.sid };
        Ok(found.into_iter().map(standing).any(|its| its.may_be(at)))
    }

    /// Keeps what is under way for ten minutes.
    pub(crate) async fn begin<T: Serialize + Sync>(
        &self,
        state: &str,
        browser: &str,
        under_way: &T,
    ) -> Result<(), StoreError> {
        let (now, state) = (self.clock.now(), sha256(state.as_bytes()));
        let sealed = self.keys.seal(under_way, &state)?;
        self.engine.begin(&state, &sha256(browser.as_bytes()), &sealed, now + SIGN_IN_LIVES, now).await
    }

    /// Takes it, once, for the browser that began it.
    pub(crate) async fn take<T: DeserializeOwned>(
        &self,
        state: &str,
        browser: &str,
    ) -> Result<Option<T>, StoreError> {
        let state = sha256(state.as_bytes());
        let taken = self.engine.take(&state, &sha256(browser.as_bytes()), self.clock.now()).await?;
        Ok(taken.map(|sealed| self.keys.open(&sealed, &state)).transpose()?)
    }

    /// Notes something that must not come twice. `false`: it came before.
    pub(crate) async fn remember(&self, what: &str, until: DateTime<Utc>) -> Result<bool, StoreError> {
        self.engine.remember(&sha256(what.as_bytes()), until, self.clock.now()).await
    }

    /// Takes such a note back: what it stood for did not happen.
    pub(crate) async fn forget(&self, what: &str) -> Result<(), StoreError> {
        self.engine.forget(&sha256(what.as_bytes())).await
    }

    /// Claims an idempotency key for a person's request.
    pub(crate) async fn claim(&self, user: UserId, key: &str, request: &[u8]) -> Result<Claim, StoreError> {
        let now = self.clock.now();
        self.engine.claim(user.uuid(), key, &sha256(request), now + CLAIMS_LIVE, now).await
    }

    /// Keeps the answer to a claimed key for a day.
    pub(crate) async fn answer(&self, user: UserId, key: &str, answer: &Value) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.engine.answer(user.uuid(), key, answer, now + ANSWERS_LIVE, now).await
    }

    /// Gives a claimed key back: the request failed, and may be tried again.
    pub(crate) async fn unclaim(&self, user: UserId, key: &str) -> Result<(), StoreError> {
        self.engine.unclaim(user.uuid(), key).await
    }

    /// Forgets every answer that a person was given.
    pub(crate) async fn forget_answers(&self, user: UserId) -> Result<(), StoreError> {
        self.engine.forget_answers(user.uuid()).await
    }

    /// Deletes what has run out. Returns how many rows.
    pub(crate) async fn sweep(&self) -> Result<u64, StoreError> {
        self.engine.sweep(self.clock.now()).await
    }
}

fn store_error(error: StoreError) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        // Only people have sessions here: an anonymous visitor is never written down.
        let Some(who) = person_in(&record.data) else { return Ok(()) };
        let now = self.clock.now();
        loop {
            let row = self.row(id_hash(record.id), &who, &record.data, now).map_err(store_error)?;
            if self.engine.create(&row, now).await.map_err(store_error)? {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    /// A session that ended meanwhile is not brought back.
    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let Some(who) = person_in(&record.data) else { return Ok(()) };
        let now = self.clock.now();
        let row = self.row(id_hash(record.id), &who, &record.data, now).map_err(store_error)?;
        self.engine.change(&row, now).await.map_err(store_error)?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let Some(held) = self.read(&id_hash(*id)).await.map_err(store_error)? else { return Ok(None) };
        let expiry_date = OffsetDateTime::from_unix_timestamp(held.row.ends_at.timestamp())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Ok(Some(Record { id: *id, data: held.data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.end_by_id(*id).await.map_err(store_error)?;
        Ok(())
    }
}
