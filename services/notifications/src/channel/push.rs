//! Web Push (RFC 8030): encrypted for the browser (RFC 8291), signed by us (RFC 8292).

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cs_net::{Guarded, Limits};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use url::Url;
use web_push_native::p256::PublicKey;
use web_push_native::p256::pkcs8::EncodePrivateKey;
use web_push_native::{Auth, encrypt};

use super::{Address, Channel, ChannelError, Message, answered, text};
use crate::keys::Keys;
use crate::preferences::PUSH;

/// How long a push service keeps a message for a browser that is off.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// A signature is good for this long; at most a day is allowed.
const SIGNED_SECONDS: i64 = 12 * 60 * 60;
/// Push services take 4,096 bytes: 86 of header, 17 of padding and tag (RFC 8291, section 4).
const LARGEST: usize = 4096 - 86 - 17;

/// Pushes cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The key cannot be used.
    #[error("the key for pushes cannot be used: {0}")]
    Key(String),
}

/// Sends to browsers.
pub struct Push {
    net: Guarded,
    key: EncodingKey,
    public_key: String,
    contact: String,
    public: Url,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    sub: &'a str,
}

/// What the page's service worker is given.
#[derive(Serialize)]
struct Shown<'a> {
    title: String,
    body: String,
    reason: String,
    url: String,
    stop: &'a str,
    tag: &'a str,
}

impl Push {
    /// With the installation's key; `contact` is whom a push service may write to, a `mailto:` or `https:` address.
    pub fn new(net: Guarded, keys: &Keys, contact: &str, public: &Url) -> Result<Self, PushError> {
        let der = keys.push().to_pkcs8_der().map_err(|error| PushError::Key(error.to_string()))?;
        Ok(Self {
            net,
            key: EncodingKey::from_ec_der(der.as_bytes()),
            public_key: keys.push_public(),
            contact: contact.to_owned(),
            public: public.clone(),
        })
    }

    fn shown(&self, message: &Message) -> Vec<u8> {
        let (body, reason, url) = match message.items.as_slice() {
            [item] => (item.body.clone(), item.reason.clone(), text::meeting_page(&self.public, item)),
            items => (
                items.iter().map(text::heading).collect::<Vec<_>>().join("\n"),
                text::reasons(items),
                text::list(&self.public),
            ),
        };
        let mut most = 1_500;
        loop {
            let shown = Shown {
                title: text::cut(&text::subject(message), 300),
                body: text::cut(&body, most),
                reason: text::cut(&reason, 300),
                url: url.clone(),
                stop: &message.stop.link,
                tag: &message.dedupe_key,
            };
            let bytes = serde_json::to_vec(&shown).unwrap_or_default();
            // Escapes can make six bytes of one.
            if bytes.len() <= LARGEST || most == 0 {
                return bytes;
            }
            most /= 2;
        }
    }

    fn headers(&self, message: &Message, endpoint: &Url) -> Result<HeaderMap, ChannelError> {
        let permanent = |error: String| ChannelError::Permanent(error);
        let audience = endpoint.origin().ascii_serialization();
        let claims =
            Claims { aud: &audience, exp: message.now.timestamp() + SIGNED_SECONDS, sub: &self.contact };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key)
            .map_err(|error| permanent(error.to_string()))?;
        let authorization = format!("vapid t={token}, k={}", self.public_key);
        let mut authorization =
            HeaderValue::try_from(authorization).map_err(|error| permanent(error.to_string()))?;
        authorization.set_sensitive(true);
        // A repeat of a message that still waits takes its place (RFC 8030, section 5.4): 32 characters at most.
        let topic = URL_SAFE_NO_PAD.encode(&message.dedupe_key.as_bytes()[..24]);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization);
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(HeaderName::from_static("ttl"), HeaderValue::from(KEPT.as_secs()));
        headers.insert(HeaderName::from_static("urgency"), HeaderValue::from_static("normal"));
        if let Ok(topic) = HeaderValue::try_from(topic) {
            headers.insert(HeaderName::from_static("topic"), topic);
        }
        Ok(headers)
    }
}

#[async_trait]
impl Channel for Push {
    fn name(&self) -> &'static str {
        PUSH
    }

    async fn send(&self, message: &Message) -> Result<(), ChannelError> {
        let Address::Browser { endpoint, p256dh, auth } = &message.address else {
            return Err(ChannelError::Permanent("this is no browser".to_owned()));
        };
        let gone = |what: &str| ChannelError::Gone(what.to_owned());
        let endpoint: Url = endpoint.parse().map_err(|_| gone("the endpoint is no address"))?;
        let public = PublicKey::from_sec1_bytes(p256dh).map_err(|_| gone("the browser's key is none"))?;
        if auth.len() != 16 {
            return Err(gone("the browser's secret is none"));
        }
        let body = encrypt(self.shown(message), &public, Auth::from_slice(auth))
            .map_err(|error| ChannelError::Permanent(error.to_string()))?;
        let headers = self.headers(message, &endpoint)?;
        answered(self.net.post(&endpoint, headers, body, Limits::default()).await, message.now)
    }
}
