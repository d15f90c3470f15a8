//! What was granted: codes, access tokens and refresh tokens, in memory.
//!
//! A refresh token also tells by itself whose it is, signed: so one from before a restart still renews a sign-in, and
//! nobody is signed out because the development instance was started again.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::SecureRandom;

use serde_json::json;

use crate::{Person, SigningKey};

const CODE_LIVES: TimeDelta = TimeDelta::seconds(60);
pub(crate) const ACCESS_LIVES: TimeDelta = TimeDelta::minutes(5);
const REFRESH_LIVES: TimeDelta = TimeDelta::days(7);

/// One sign-in: what every token of it shares.
#[derive(Clone)]
pub(crate) struct SignIn {
    pub(crate) sid: String,
    pub(crate) person: Person,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) at: DateTime<Utc>,
}

pub(crate) struct Code {
    pub(crate) sign_in: SignIn,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    expires: DateTime<Utc>,
    used: bool,
}

struct Access {
    sign_in: SignIn,
    expires: DateTime<Utc>,
}

struct Refresh {
    sign_in: SignIn,
    expires: DateTime<Utc>,
    used: bool,
}

pub(crate) struct Grants {
    key: SigningKey,
    people: Vec<Person>,
    began: DateTime<Utc>,
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
}

pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) sign_in: SignIn,
}

/// 256 random bits as text. `None` where the machine has no randomness.
pub(crate) fn random() -> Option<String> {
    let mut bytes = [0; 32];
    ring::rand::SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Marks our refresh tokens, so that no other token of ours passes for one.
const REFRESH: &str = "councilsense-refresh";

impl Grants {
    pub(crate) fn new(key: SigningKey, people: Vec<Person>, began: DateTime<Utc>) -> Self {
        Self { key, people, began, codes: HashMap::new(), access: HashMap::new(), refresh: HashMap::new() }
    }

    fn refresh_token(&self, sign_in: &SignIn, now: DateTime<Utc>) -> Option<String> {
        Some(self.key.sign(&json!({
            "kind": REFRESH,
            "jti": random()?,
            "sid": sign_in.sid,
            "sub": sign_in.person.key,
            "scope": sign_in.scope,
            "auth_time": sign_in.at.timestamp(),
            "iat": now.timestamp(),
            "exp": (now + REFRESH_LIVES).timestamp(),
        })))
    }

    /// The sign-in of a refresh token that this process did not issue, but one before it did.
    fn restored(&self, refresh: &str, now: DateTime<Utc>) -> Option<SignIn> {
        let claims = self.key.open(refresh).filter(|claims| claims["kind"] == REFRESH)?;
        let time = |name: &str| claims[name].as_i64().and_then(|at| DateTime::from_timestamp(at, 0));
        if time("exp")? <= now || time("iat")? >= self.began - TimeDelta::seconds(1) {
            return None;
        }
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        let key = text("sub")?;
        Some(SignIn {
            sid: text("sid")?,
            person: self.people.iter().find(|person| person.key == key)?.clone(),
            scope: text("scope")?,
            nonce: None,
            at: time("auth_time")?,
        })
    }

    /// Keeps a code for a minute.
    pub(crate) fn code(
        &mut self,
        sign_in: SignIn,
        redirect_uri: String,
        challenge: String,
        now: DateTime<Utc>,
    ) -> Option<String> {
        self.prune(now);
        let code = random()?;
        let expires = now + CODE_LIVES;
        self.codes.insert(code.clone(), Code { sign_in, redirect_uri, challenge, expires, used: false });
        Some(code)
    }

    /// Takes a code, once. A second time ends everything that the first gave (RFC 6749 §4.1.2).
    pub(crate) fn redeem(&mut self, code: &str, now: DateTime<Utc>) -> Option<&Code> {
        self.prune(now);
        let found = self.codes.get_mut(code)?;
        if found.used {
            let sid = found.sign_in.sid.clone();
            self.end(&sid);
            return None;
        }
        found.used = true;
        self.codes.get(code)
    }

    pub(crate) fn issue(&mut self, sign_in: SignIn, now: DateTime<Utc>) -> Option<Tokens> {
        let (access, refresh) = (random()?, self.refresh_token(&sign_in, now)?);
        self.access.insert(access.clone(), Access { sign_in: sign_in.clone(), expires: now + ACCESS_LIVES });
        self.refresh.insert(
            refresh.clone(),
            Refresh { sign_in: sign_in.clone(), expires: now + REFRESH_LIVES, used: false },
        );
        Some(Tokens { access, refresh, sign_in })
    }

    /// New tokens for a refresh token, which is dead then. One that was used before ends the sign-in (RFC 9700 §4.14).
    pub(crate) fn rotate(&mut self, refresh: &str, now: DateTime<Utc>) -> Option<Tokens> {
        self.prune(now);
        let Some(found) = self.refresh.get_mut(refresh) else {
            let sign_in = self.restored(refresh, now)?;
            let spent = Refresh { sign_in: sign_in.clone(), expires: now + REFRESH_LIVES, used: true };
            self.refresh.insert(refresh.to_owned(), spent);
            return self.issue(sign_in, now);
        };
        let sign_in = found.sign_in.clone();
        if found.used {
            self.end(&sign_in.sid);
            return None;
        }
        found.used = true;
        self.issue(sign_in, now)
    }

    pub(crate) fn who(&mut self, access: &str, now: DateTime<Utc>) -> Option<SignIn> {
        self.prune(now);
        self.access.get(access).map(|found| found.sign_in.clone())
    }

    /// Ends the sign-in that a token belongs to; an unknown token is no error (RFC 7009 §2.2).
    pub(crate) fn revoke(&mut self, token: &str) {
        let sid = self
            .refresh
            .get(token)
            .map(|found| &found.sign_in)
            .or_else(|| self.access.get(token).map(|found| &found.sign_in))
            .map(|sign_in| sign_in.sid.clone());
        if let Some(sid) = sid {
            self.end(&sid);
        }
    }

    pub(crate) fn end(&mut self, sid: &str) {
        self.access.retain(|_, found| found.sign_in.sid != sid);
        self.refresh.retain(|_, found| found.sign_in.sid != sid);
    }

    fn prune(&mut self, now: DateTime<Utc>) {
        self.codes.retain(|_, found| found.expires > now);
        self.access.retain(|_, found| found.expires > now);
        self.refresh.retain(|_, found| found.expires > now);
    }
}
