//! Ways to reach a person.

use async_trait::async_trait;
use cs_core::{TenantId, UserId};

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The idempotency id: a receiver that got it before drops the repeat.
    pub dedupe_key: String,
    /// Whose space.
    pub tenant: TenantId,
    /// To whom.
    pub user: UserId,
    /// One line.
    pub title: String,
    /// The summary.
    pub body: String,
    /// Why it is sent.
    pub reason: String,
}

/// Why a channel did not take a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// It may later.
    #[error("{0}")]
    Transient(String),
    /// It never will.
    #[error("{0}")]
    Permanent(String),
}

/// A way to reach a person. In the application now; e-mail, web push and webhooks follow the same shape.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Its name in attempts and preferences.
    fn name(&self) -> &'static str;
    /// Hands the message over. It may come twice with the same key: where a worker died before it could write that
    /// the first was taken.
    async fn send(&self, message: &Message) -> Result<(), ChannelError>;
}

/// In the application: a delivery that is sent stands in the inbox, so there is nothing more to hand over.
#[derive(Clone, Copy, Debug, Default)]
pub struct InApp;

#[async_trait]
impl Channel for InApp {
    fn name(&self) -> &'static str {
        "in_app"
    }

    async fn send(&self, _message: &Message) -> Result<(), ChannelError> {
        Ok(())
    }
}
