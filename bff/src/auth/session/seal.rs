//! Authenticated encryption of what is kept about a session.
//!
//! ChaCha20-Poly1305 (RFC 8439) with a random nonce in front; what it belongs to is bound as additional data, so that a
//! sealed row moved under another id does not open. Keys have names: the first seals, all of them open.

use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why something did not open or close.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No key.
    #[error("no session key is configured: give at least one, 32 random bytes in base64")]
    NoKey,
    /// Sealed with a key that is not there.
    #[error(
        "sealed with the key {0:?}, which is not configured; where it is gone for good, say `{0}=retired`"
    )]
    UnknownKey(String),
    /// Sealed with a key that was given up.
    #[error("sealed with the key {0:?}, which is retired")]
    RetiredKey(String),
    /// Not what was sealed.
    #[error("the sealed data is damaged or belongs elsewhere")]
    Damaged,
    /// The machine gives no randomness.
    #[error("the machine gives no randomness")]
    NoRandomness,
}

/// A named key.
#[derive(Clone)]
pub struct SessionKey {
    /// Its name, kept beside what it seals.
    pub id: String,
    /// 256 bits.
    pub secret: [u8; 32],
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionKey({}, redacted)", self.id)
    }
}

/// The keys in use, and the names of those that are not any more.
#[derive(Clone)]
pub(crate) struct Keys {
    keys: Arc<[(String, LessSafeKey)]>,
    retired: Arc<[String]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(redacted)")
    }
}

/// Bytes, and the name of the key that opens them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) key_id: String,
    pub(crate) bytes: Vec<u8>,
}

impl Keys {
    /// What is sealed under a retired key is given up; under one that is neither, it is somebody else's to open.
    pub(crate) fn new(keys: &[SessionKey], retired: &[String]) -> Result<Self, SealError> {
        if keys.is_empty() {
            return Err(SealError::NoKey);
        }
        let keys = keys
            .iter()
            .map(|key| {
                let unbound =
                    UnboundKey::new(&CHACHA20_POLY1305, &key.secret).map_err(|_| SealError::NoKey)?;
                Ok((key.id.clone(), LessSafeKey::new(unbound)))
            })
            .collect::<Result<_, SealError>>()?;
        Ok(Self { keys, retired: retired.into() })
    }

    pub(crate) fn seal<T: Serialize>(&self, value: &T, belongs_to: &[u8]) -> Result<Sealed, SealError> {
        let (id, key) = self.keys.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let mut text = serde_json::to_vec(value).map_err(|_| SealError::Damaged)?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(belongs_to), &mut text)
            .map_err(|_| SealError::Damaged)?;
        let bytes = [&nonce[..], &text].concat();
        Ok(Sealed { key_id: id.clone(), bytes })
    }

    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        sealed: &Sealed,
        belongs_to: &[u8],
    ) -> Result<T, SealError> {
        let (_, key) = self.keys.iter().find(|(id, _)| *id == sealed.key_id).ok_or_else(|| {
            let id = sealed.key_id.clone();
            if self.retired.contains(&id) { SealError::RetiredKey(id) } else { SealError::UnknownKey(id) }
        })?;
        let (nonce, text) = sealed.bytes.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Damaged)?;
        let mut text = text.to_vec();
        let opened = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(belongs_to), &mut text)
            .map_err(|_| SealError::Damaged)?;
        serde_json::from_slice(opened).map_err(|_| SealError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> SessionKey {
        SessionKey { id: id.into(), secret: [byte; 32] }
    }

    #[test]
    fn an_older_key_still_opens_and_nothing_else_does() {
        let old = Keys::new(&[key("1", 1)], &[]).unwrap();
        let sealed = old.seal(&"canary", b"row").unwrap();
        assert!(!sealed.bytes.windows(6).any(|w| w == b"canary"));

        let both = Keys::new(&[key("2", 2), key("1", 1)], &["0".into()]).unwrap();
        assert_eq!(both.open::<String>(&sealed, b"row").unwrap(), "canary");
        assert_eq!(both.seal(&"x", b"row").unwrap().key_id, "2");

        let open = |id: &str, bytes: &[u8], row: &[u8]| {
            both.open::<String>(&Sealed { key_id: id.into(), bytes: bytes.into() }, row)
        };
        assert!(matches!(open("3", &sealed.bytes, b"row"), Err(SealError::UnknownKey(_))));
        assert!(matches!(open("0", &sealed.bytes, b"row"), Err(SealError::RetiredKey(_))));
        assert!(matches!(open("2", &sealed.bytes, b"row"), Err(SealError::Damaged)), "another key");
        assert!(matches!(open("1", &sealed.bytes, b"other"), Err(SealError::Damaged)), "another row");
        assert!(matches!(open("1", &sealed.bytes[..5], b"row"), Err(SealError::Damaged)), "cut short");
        let mut flipped = sealed.bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(matches!(open("1", &flipped, b"row"), Err(SealError::Damaged)), "one bit");
        assert!(Keys::new(&[], &["0".into()]).is_err());
    }
}
