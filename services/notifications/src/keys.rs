//! What this service signs with. Derived from the installation's secret, each for its own purpose, so that every
//! replica has the same and nothing more is kept.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cs_core::{TenantId, UserId, WebhookId};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use web_push_native::p256;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint;

/// A channel that a link stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Whose space.
    pub tenant: TenantId,
    /// Who is told no more.
    pub user: UserId,
    /// By what: email, push or webhook.
    pub channel: String,
}

/// The keys of an installation.
#[derive(Clone)]
pub struct Keys {
    stop: [u8; 32],
    webhooks: [u8; 32],
    push: p256::SecretKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(redacted)")
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl Keys {
    /// From the installation's secret.
    pub fn derive(secret: &[u8]) -> Self {
        // One in 2³² candidates is no scalar of the curve; the next one is.
        let push = (0u8..=255)
            .find_map(|turn| {
                p256::SecretKey::from_slice(&mac(secret, &[b"councilsense push ", &[turn]])).ok()
            })
            .unwrap_or_else(|| unreachable!("256 candidates in a row outside the curve's order"));
        Self {
            stop: mac(secret, &[b"councilsense stop links"]),
            webhooks: mac(secret, &[b"councilsense webhooks"]),
            push,
        }
    }

    /// What a link that stops a channel carries. It has no end: a message is read years later (RFC 8058 wants its link
    /// to work then), and all it can do is stop.
    pub fn stop_token(&self, stop: &Stop) -> String {
        let text = format!("{}.{}.{}", stop.tenant, stop.user, stop.channel);
        let tag = mac(&self.stop, &[text.as_bytes()]);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(tag))
    }

    /// What a link stops; `None`: it is none of ours.
    pub fn open_stop_token(&self, token: &str) -> Option<Stop> {
        let (text, tag) = token.split_once('.')?;
        let (text, tag) = (URL_SAFE_NO_PAD.decode(text).ok()?, URL_SAFE_NO_PAD.decode(tag).ok()?);
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.stop).ok()?;
        mac.update(&text);
        mac.verify_slice(&tag).ok()?;
        let text = String::from_utf8(text).ok()?;
        let mut parts = text.splitn(3, '.');
        let (tenant, user, channel) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Stop { tenant: tenant.parse().ok()?, user: user.parse().ok()?, channel: channel.to_owned() })
    }

    fn webhook_key(&self, id: WebhookId) -> [u8; 32] {
        mac(&self.webhooks, &[id.uuid().as_bytes()])
    }

    /// The secret of a webhook, as Standard Webhooks writes it.
    pub fn webhook_secret(&self, id: WebhookId) -> String {
        format!("whsec_{}", STANDARD.encode(self.webhook_key(id)))
    }

    /// The signature `v1` of Standard Webhooks over `id.timestamp.body`.
    pub fn webhook_signature(&self, webhook: WebhookId, id: &str, timestamp: i64, body: &[u8]) -> String {
        let head = format!("{id}.{timestamp}.");
        format!("v1,{}", STANDARD.encode(mac(&self.webhook_key(webhook), &[head.as_bytes(), body])))
    }

    /// The application server's public key (RFC 8292), uncompressed, base64url.
    pub fn push_public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.push.public_key().to_encoded_point(false).as_bytes())
    }

    /// The application server's key.
    pub(crate) fn push(&self) -> &p256::SecretKey {
        &self.push
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_token_cannot_be_made_or_changed_by_others() {
        let (keys, others) = (Keys::derive(b"one"), Keys::derive(b"two"));
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let stop = Stop { tenant: id.parse().unwrap(), user: id.parse().unwrap(), channel: "email".into() };
        let token = keys.stop_token(&stop);
        assert_eq!(keys.open_stop_token(&token), Some(stop.clone()));
        assert_eq!(Keys::derive(b"one").open_stop_token(&token), Some(stop.clone()), "every replica");
        assert_eq!(others.open_stop_token(&token), None);
        let (text, tag) = token.split_once('.').unwrap();
        let forged = URL_SAFE_NO_PAD.encode(format!("{id}.{id}.push"));
        for bad in ["", ".", text, &format!("{text}."), &format!("{forged}.{tag}"), &format!("{token}x")] {
            assert_eq!(keys.open_stop_token(bad), None, "{bad}");
        }
        assert!(!format!("{keys:?}").contains(&keys.push_public()));
    }

    #[test]
    fn each_webhook_has_a_secret_of_its_own() {
        let keys = Keys::derive(b"one");
        let (one, other): (WebhookId, WebhookId) =
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(), "01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap());
        assert_ne!(keys.webhook_secret(one), keys.webhook_secret(other));
        assert_eq!(keys.webhook_secret(one).len(), "whsec_".len() + 44);
    }
}
