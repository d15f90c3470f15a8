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
    /// What it tells, oldest first; never nothing. Of a long digest the newest.
    pub items: Vec<Item>,
    /// How many it does not spell out; they stand in the list. A push has room for a few: its title counts all.
    pub more: u64,
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

/// What an HTTP receiver's answer to a try at `now` means.
fn answered(answer: Result<Answer, NetError>, now: DateTime<Utc>) -> Result<(), ChannelError> {
    let answer = match answer {
        Ok(answer) => answer,
        // However long its page is, and whether or not it comes to an end: the receiver has answered.
        Err(NetError::TooLarge { cut, .. } | NetError::BrokenOff { cut, .. }) => *cut,
        Err(error) if error.is_transient() => return Err(ChannelError::Transient(error.to_string())),
        Err(error) => return Err(ChannelError::Permanent(error.to_string())),
    };
    let said = format!("the receiver answered {}", answer.status.as_u16());
    match answer.status.as_u16() {
        200..=299 => Ok(()),
        404 | 410 => Err(ChannelError::Gone(said)),
        408 | 425 | 429 | 500..=599 => Err(match answer.retry_after_at(now.into()) {
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
            answered(Err(NetError::TooLarge { most: 1, cut: Box::new(cut) }), DateTime::UNIX_EPOCH)
        };
        assert_eq!(large(200), Ok(()));
        assert!(matches!(large(502), Err(ChannelError::Transient(_))));
        assert!(matches!(large(403), Err(ChannelError::Permanent(_))));
        assert!(matches!(large(410), Err(ChannelError::Gone(_))));
    }

    #[test]
    fn a_receiver_says_when_in_seconds_or_by_a_date_and_is_believed_for_a_day() {
        let now: DateTime<Utc> = "2023-03-09T12:00:00Z".parse().unwrap();
        let wait = |retry_after: &str| {
            let answer = Answer {
                status: http::StatusCode::SERVICE_UNAVAILABLE,
                headers: [(http::header::RETRY_AFTER, retry_after.parse().unwrap())].into_iter().collect(),
                body: Default::default(),
                url: "https://hook.example.org/".parse().unwrap(),
            };
            match answered(Ok(answer), now) {
                Err(ChannelError::Later(_, wait)) => Some(wait.as_secs()),
                Err(ChannelError::Transient(_)) => None,
                other => panic!("{other:?}"),
            }
        };
        for (said, seconds) in [
            ("120", Some(120)),
            ("Thu, 09 Mar 2023 12:10:00 GMT", Some(600)),
            // It was over when it was said, or our clock is ahead.
            ("Thu, 09 Mar 2023 11:59:00 GMT", Some(0)),
            ("Fri, 09 Mar 2035 12:00:00 GMT", Some(24 * 60 * 60)),
            ("99999999999", Some(24 * 60 * 60)),
            ("soon", None),
        ] {
            assert_eq!(wait(said), seconds, "{said}");
        }
    }
}
