//! Ways to reach a person outside the application.

mod email;
mod push;
mod smtp;
mod text;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use cs_core::{TenantId, UserId, WebhookId};
use cs_net::{Answer, NetError};

pub use crate::store::outgoing::Item;
pub use email::{Email, EmailError};
pub use push::{Push, PushError};
pub use webhook::Webhooks;

/// Where a message goes.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// A mailbox.
    Mailbox {
        /// Whose.
        name: String,
        /// `name@host`.
        address: String,
    },
    /// A browser.
    Browser {
        /// Where its push service takes messages for it.
        endpoint: String,
        /// Its public key, uncompressed.
        p256dh: Vec<u8>,
        /// Its authentication secret.
        auth: Vec<u8>,
    },
    /// An address that is told by web.
    Web {
        /// Its id, from which its secret is derived.
        id: WebhookId,
        /// Where.
        url: String,
    },
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address(redacted)")
    }
}

/// What is sent: one notification, or a digest of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The idempotency id: a receiver that got it before drops the repeat.
    pub dedupe_key: String,
    /// Whose space.
    pub tenant: TenantId,
    /// To whom.
    pub user: UserId,
    /// Where to.
    pub address: Address,
    /// What it tells, oldest first; never nothing.
    pub items: Vec<Item>,
    /// Whether it is a digest, and of when.
    pub digest_at: Option<DateTime<Utc>>,
    /// When it was made: the same in every try.
    pub created_at: DateTime<Utc>,
    /// The time of this try.
    pub now: DateTime<Utc>,
    /// The address of the page that explains and stops it.
    pub stop: Stop,
}

/// How the reader stops what they get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Stops this channel, without signing in.
    pub link: String,
    /// Everything that can be chosen, for who signs in.
    pub settings: String,
}

/// Why a channel did not take a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// It may later.
    #[error("{0}")]
    Transient(String),
    /// It may, and says when.
    #[error("{0}")]
    Later(String, Duration),
    /// It never will take this one.
    #[error("{0}")]
    Permanent(String),
    /// The address is gone for good.
    #[error("{0}")]
    Gone(String),
}

/// A way to reach a person.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Its name in messages and preferences.
    fn name(&self) -> &'static str;
    /// Hands the message over, and ends by itself, in time: it is never dropped in between. It may come twice with the
    /// same key: where a worker died before it could write that the first was taken.
    async fn send(&self, message: &Message) -> Result<(), ChannelError>;
}

/// Longest that somebody else's `Retry-After` is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What an HTTP receiver's answer means.
fn answered(answer: Result<Answer, NetError>) -> Result<(), ChannelError> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_transient() => return Err(ChannelError::Transient(error.to_string())),
        // However long its page is, the receiver has answered.
        Err(NetError::TooLarge { cut, .. }) => *cut,
        Err(error) => return Err(ChannelError::Permanent(error.to_string())),
    };
    let said = format!("the receiver answered {}", answer.status.as_u16());
    match answer.status.as_u16() {
        200..=299 => Ok(()),
        404 | 410 => Err(ChannelError::Gone(said)),
        408 | 425 | 429 | 500..=599 => Err(match answer.retry_after() {
            Some(wait) => ChannelError::Later(said, wait.min(LONGEST_WAIT)),
            None => ChannelError::Transient(said),
        }),
        _ => Err(ChannelError::Permanent(said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_page_says_what_its_status_says() {
        let large = |status: u16| {
            let cut = Answer {
                status: http::StatusCode::from_u16(status).unwrap(),
                headers: http::HeaderMap::new(),
                body: Default::default(),
                url: "https://hook.example.org/".parse().unwrap(),
            };
            answered(Err(NetError::TooLarge { most: 1, cut: Box::new(cut) }))
        };
        assert_eq!(large(200), Ok(()));
        assert!(matches!(large(502), Err(ChannelError::Transient(_))));
        assert!(matches!(large(403), Err(ChannelError::Permanent(_))));
        assert!(matches!(large(410), Err(ChannelError::Gone(_))));
    }
}
