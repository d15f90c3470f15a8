//! Sessions in Redis, for several replicas.
//!
//! Keys, below a prefix: `s:` a session by the hash of its id, `n:` its hash by its name, `u:` `j:` `i:` the hashes of a
//! person's, an identity's and a provider's sign-in's sessions, `l:` who renews a session, `b:` what is under way, `o:`
//! what must not come twice, `a:` answers, `w:` the keys of a person's answers. Everything has a time to live; an index may name sessions that are gone, which
//! costs a look. Times are kept too, since the clock that decides is the application's. Scripts name keys of several
//! slots: a Redis Cluster is not served, one primary with its replicas is.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use uuid::Uuid;

use super::engine::{Hash, Row};
use super::seal::Sealed;
use super::{Claim, Engine, StoreError, Which};

/// A request that waits longer is answered that the store is away.
const ANSWER: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(1);
/// How long between attempts to connect.
const AGAIN: Duration = Duration::from_millis(200);

/// KEYS: session, name, indexes… ARGV: 1 where the session must be there and 0 where it must not, its time to live, its
/// longest, hash, fields and values… 1: done.
const WRITE: &str = r"
local there = redis.call('EXISTS', KEYS[1])
if there ~= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[3])
for k = 3, #KEYS do
  redis.call('SADD', KEYS[k], ARGV[4])
  if redis.call('PTTL', KEYS[k]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[k], ARGV[3]) end
end
return 1";

/// KEYS: lease, session. ARGV: holder, time to live. 1: taken.
const LEASE: &str = r"
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0";

/// KEYS: lease. ARGV: holder.
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// KEYS: what is under way. ARGV: browser. Its fields, once, for that browser.
const TAKE: &str = r"
if redis.call('HGET', KEYS[1], 'browser') ~= ARGV[1] then return {} end
local all = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
return all";

/// KEYS: answer. ARGV: what stands there without one. Deletes it where there is no answer.
const UNCLAIM: &str = r"
local kept = redis.call('GET', KEYS[1])
if kept and not cjson.decode(kept).answer then return redis.call('DEL', KEYS[1]) end
return 0";

/// KEYS: answer, index of the person's. ARGV: answer, time to live. Keeps it beside the claim. What comes later lives
/// longer, so the index lives as long as all that it names.
const ANSWERED: &str = r"
local kept = redis.call('GET', KEYS[1])
if not kept then return 0 end
local claim = cjson.decode(kept)
claim.answer = ARGV[1]
redis.call('SET', KEYS[1], cjson.encode(claim), 'PX', ARGV[2])
redis.call('SADD', KEYS[2], KEYS[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1";

/// KEYS: index of a person's answers. Deletes them and it.
const FORGET: &str = r"
for _, answer in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('DEL', answer) end
return redis.call('DEL', KEYS[1])";

/// Over one connection that is made anew when it breaks.
pub(crate) struct RedisEngine {
    connection: ConnectionManager,
    prefix: String,
    write: Script,
    lease: Script,
    release: Script,
    take: Script,
    unclaim: Script,
    answered: Script,
    forget: Script,
}

impl RedisEngine {
    /// Nothing is asked yet: a Redis that is away now is waited for by requests, each for a moment.
    pub(crate) fn new(url: &str, prefix: &str) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_min_delay(AGAIN)
            .set_max_delay(AGAIN)
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?,
            prefix: prefix.to_owned(),
            write: Script::new(WRITE),
            lease: Script::new(LEASE),
            release: Script::new(RELEASE),
            take: Script::new(TAKE),
            unclaim: Script::new(UNCLAIM),
            answered: Script::new(ANSWERED),
            forget: Script::new(FORGET),
        })
    }

    fn key(&self, kind: char, name: &str) -> String {
        format!("{}{kind}:{name}", self.prefix)
    }

    /// An issuer and a name there are anybody's text of any length: a key is their hash.
    fn pair(&self, kind: char, issuer: &str, name: &str) -> String {
        // Lengths first, so that no two pairs give one text.
        let text = format!("{}:{issuer}{name}", issuer.len());
        self.key(kind, &encoded(digest(&SHA256, text.as_bytes()).as_ref()))
    }

    fn keys(&self, row: &Row) -> Vec<String> {
        let mut keys = vec![
            self.key('s', &encoded(&row.hash)),
            self.key('n', &row.id.simple().to_string()),
            self.key('u', &row.user.simple().to_string()),
            self.pair('j', &row.issuer, &row.subject),
        ];
        keys.extend(row.sid.as_ref().map(|sid| self.pair('i', &row.issuer, sid)));
        keys
    }

    async fn write(
        &self,
        row: &Row,
        fields: &[(&str, Vec<u8>)],
        there: bool,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut script = self.write.prepare_invoke();
        for key in self.keys(row) {
            script.key(key);
        }
        script
            .arg(i32::from(there))
            .arg(left(row.expires_at, now))
            .arg(left(row.ends_at, now))
            .arg(encoded(&row.hash));
        for (name, value) in fields {
            script.arg(*name).arg(value.as_slice());
        }
        let done: i32 = script.invoke_async(&mut self.connection.clone()).await?;
        Ok(done == 1)
    }

    async fn row(&self, hash: Hash, now: DateTime<Utc>) -> Result<Option<Row>, StoreError> {
        let fields: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
            .arg(self.key('s', &encoded(&hash)))
            .query_async(&mut self.connection.clone())
            .await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let row = parsed(hash, fields)?;
        Ok((row.expires_at > now).then_some(row))
    }

    async fn members(&self, index: String, now: DateTime<Utc>) -> Result<Vec<Row>, StoreError> {
        let mut connection = self.connection.clone();
        let named: Vec<String> = redis::cmd("SMEMBERS").arg(&index).query_async(&mut connection).await?;
        let mut rows = Vec::new();
        for name in named {
            let hash = decoded(&name)?;
            match self.row(hash, now).await? {
                Some(row) => rows.push(row),
                // Gone, and its key with it or soon.
                None => {
                    redis::cmd("SREM").arg(&index).arg(&name).exec_async(&mut connection).await?;
                }
            }
        }
        Ok(rows)
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(text: &str) -> Result<Hash, StoreError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| StoreError::Malformed("the hash of an id"))?;
    bytes.try_into().map_err(|_| StoreError::Malformed("the hash of an id"))
}

/// Milliseconds until then; at least one, since Redis takes no less.
fn left(until: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (until - now).num_milliseconds().max(1)
}

fn micros(time: DateTime<Utc>) -> Vec<u8> {
    time.timestamp_micros().to_string().into_bytes()
}

fn times(row: &Row) -> Vec<(&'static str, Vec<u8>)> {
    vec![("seen", micros(row.last_seen_at)), ("expires", micros(row.expires_at))]
}

fn changing(row: &Row) -> Vec<(&'static str, Vec<u8>)> {
    let mut fields = times(row);
    fields.extend([
        ("ends", micros(row.ends_at)),
        ("key", row.sealed.key_id.clone().into_bytes()),
        ("sealed", row.sealed.bytes.clone()),
    ]);
    fields
}

fn parsed(hash: Hash, mut fields: HashMap<String, Vec<u8>>) -> Result<Row, StoreError> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| StoreError::Malformed("a text"));
    let mut optional = |name: &str| fields.remove(name);
    let (sid, user_agent) = (optional("sid"), optional("agent"));
    let mut field = |name: &'static str| fields.remove(name).ok_or(StoreError::Malformed(name));
    let time = |bytes: Vec<u8>| {
        let micros = text(bytes)?.parse().map_err(|_| StoreError::Malformed("a time"))?;
        DateTime::from_timestamp_micros(micros).ok_or(StoreError::Malformed("a time"))
    };
    let uuid = |bytes: Vec<u8>| text(bytes)?.parse().map_err(|_| StoreError::Malformed("an id"));
    Ok(Row {
        hash,
        id: uuid(field("id")?)?,
        user: uuid(field("user")?)?,
        issuer: text(field("issuer")?)?,
        subject: text(field("subject")?)?,
        sid: sid.map(text).transpose()?,
        user_agent: user_agent.map(text).transpose()?,
        created_at: time(field("created")?)?,
        last_seen_at: time(field("seen")?)?,
        expires_at: time(field("expires")?)?,
        ends_at: time(field("ends")?)?,
        sealed: Sealed { key_id: text(field("key")?)?, bytes: field("sealed")? },
    })
}

#[async_trait]
impl Engine for RedisEngine {
    async fn ping(&self) -> Result<(), StoreError> {
        Ok(redis::cmd("PING").exec_async(&mut self.connection.clone()).await?)
    }

    async fn create(&self, row: &Row, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut fields = changing(row);
        fields.extend([
            ("id", row.id.to_string().into_bytes()),
            ("user", row.user.to_string().into_bytes()),
            ("issuer", row.issuer.clone().into_bytes()),
            ("subject", row.subject.clone().into_bytes()),
            ("created", micros(row.created_at)),
        ]);
        fields.extend(row.sid.as_ref().map(|sid| ("sid", sid.clone().into_bytes())));
        fields.extend(row.user_agent.as_ref().map(|agent| ("agent", agent.clone().into_bytes())));
        self.write(row, &fields, false, now).await
    }

    async fn change(&self, row: &Row, now: DateTime<Utc>) -> Result<bool, StoreError> {
        self.write(row, &changing(row), true, now).await
    }

    async fn touch(&self, row: &Row, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(row, &times(row), true, now).await?;
        Ok(())
    }

    async fn load(&self, hash: &Hash, now: DateTime<Utc>) -> Result<Option<Row>, StoreError> {
        self.row(*hash, now).await
    }

    async fn find(&self, which: Which<'_>, now: DateTime<Utc>) -> Result<Vec<Row>, StoreError> {
        let index = match which {
            Which::Named(id) => {
                let named: Option<String> = redis::cmd("GET")
                    .arg(self.key('n', &id.simple().to_string()))
                    .query_async(&mut self.connection.clone())
                    .await?;
                let Some(named) = named else { return Ok(Vec::new()) };
                return Ok(self.row(decoded(&named)?, now).await?.into_iter().collect());
            }
            Which::Of(user) => self.key('u', &user.simple().to_string()),
            Which::Subject { issuer, subject } => self.pair('j', issuer, subject),
            Which::Sid { issuer, sid } => self.pair('i', issuer, sid),
        };
        self.members(index, now).await
    }

    async fn remove(&self, hash: &Hash) -> Result<bool, StoreError> {
        // Indexes forget it when they are next read, and at the latest when the session would have ended.
        let gone: i32 = redis::cmd("DEL")
            .arg(self.key('s', &encoded(hash)))
            .query_async(&mut self.connection.clone())
            .await?;
        Ok(gone > 0)
    }

    async fn lease(
        &self,
        hash: &Hash,
        holder: Uuid,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let name = encoded(hash);
        let taken: i32 = self
            .lease
            .key(self.key('l', &name))
            .key(self.key('s', &name))
            .arg(holder.to_string())
            .arg(left(until, now))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(taken == 1)
    }

    async fn release(&self, hash: &Hash, holder: Uuid) -> Result<(), StoreError> {
        let _: i32 = self
            .release
            .key(self.key('l', &encoded(hash)))
            .arg(holder.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(())
    }

    async fn begin(
        &self,
        state: &Hash,
        browser: &Hash,
        sealed: &Sealed,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let key = self.key('b', &encoded(state));
        redis::pipe()
            .atomic()
            .cmd("HSET")
            .arg(&key)
            .arg("browser")
            .arg(encoded(browser))
            .arg("key")
            .arg(&sealed.key_id)
            .arg("sealed")
            .arg(&sealed.bytes)
            .arg("expires")
            .arg(micros(until))
            .cmd("PEXPIRE")
            .arg(&key)
            .arg(left(until, now))
            .exec_async(&mut self.connection.clone())
            .await?;
        Ok(())
    }

    async fn take(
        &self,
        state: &Hash,
        browser: &Hash,
        now: DateTime<Utc>,
    ) -> Result<Option<Sealed>, StoreError> {
        let mut fields: HashMap<String, Vec<u8>> = self
            .take
            .key(self.key('b', &encoded(state)))
            .arg(encoded(browser))
            .invoke_async(&mut self.connection.clone())
            .await?;
        let mut field = |name: &'static str| fields.remove(name);
        let (Some(key), Some(bytes), Some(expires)) = (field("key"), field("sealed"), field("expires"))
        else {
            return Ok(None);
        };
        let number = |bytes: Vec<u8>| String::from_utf8(bytes).ok()?.parse::<i64>().ok();
        if number(expires).is_none_or(|expires| expires <= now.timestamp_micros()) {
            return Ok(None);
        }
        let key_id = String::from_utf8(key).map_err(|_| StoreError::Malformed("the name of a key"))?;
        Ok(Some(Sealed { key_id, bytes }))
    }

    async fn remember(
        &self,
        what: &Hash,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done: Option<String> = redis::cmd("SET")
            .arg(self.key('o', &encoded(what)))
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(left(until, now))
            .query_async(&mut self.connection.clone())
            .await?;
        Ok(done.is_some())
    }

    async fn forget(&self, what: &Hash) -> Result<(), StoreError> {
        let key = self.key('o', &encoded(what));
        Ok(redis::cmd("DEL").arg(key).exec_async(&mut self.connection.clone()).await?)
    }

    async fn claim(
        &self,
        user: Uuid,
        key: &str,
        request: &Hash,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Claim, StoreError> {
        let request = encoded(request);
        // Sets, and tells what was there: one step.
        let kept: Option<String> = redis::cmd("SET")
            .arg(self.pair('a', &user.to_string(), key))
            .arg(json!({"request": request}).to_string())
            .arg("NX")
            .arg("GET")
            .arg("PX")
            .arg(left(until, now))
            .query_async(&mut self.connection.clone())
            .await?;
        let Some(kept) = kept else { return Ok(Claim::New) };
        let kept: Value = serde_json::from_str(&kept).map_err(|_| StoreError::Malformed("an answer"))?;
        if kept["request"] != request {
            return Ok(Claim::Misused);
        }
        match kept["answer"].as_str() {
            None => Ok(Claim::UnderWay),
            Some(answer) => serde_json::from_str(answer)
                .map(Claim::Answered)
                .map_err(|_| StoreError::Malformed("an answer")),
        }
    }

    async fn answer(
        &self,
        user: Uuid,
        key: &str,
        answer: &Value,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let _: i32 = self
            .answered
            .key(self.pair('a', &user.to_string(), key))
            .key(self.key('w', &user.simple().to_string()))
            .arg(answer.to_string())
            .arg(left(until, now))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(())
    }

    async fn unclaim(&self, user: Uuid, key: &str) -> Result<(), StoreError> {
        let _: i32 = self
            .unclaim
            .key(self.pair('a', &user.to_string(), key))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(())
    }

    async fn forget_answers(&self, user: Uuid) -> Result<(), StoreError> {
        let _: i32 = self
            .forget
            .key(self.key('w', &user.simple().to_string()))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(())
    }

    /// Redis deletes by itself.
    async fn sweep(&self, _: DateTime<Utc>) -> Result<u64, StoreError> {
        Ok(0)
    }
}
