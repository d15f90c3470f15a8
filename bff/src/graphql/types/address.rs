//! Where a person is reached outside.

use async_graphql::{ID, SimpleObject};
use cs_proto::notifications::v1 as pb;

use crate::graphql::global_id::Kind;
use crate::graphql::scalars::DateTime;

/// A browser that takes pushes.
#[derive(SimpleObject)]
pub(crate) struct PushSubscription {
    id: ID,
    /// Of its push service.
    host: String,
    user_agent: String,
    created_at: DateTime,
}

impl From<pb::PushSubscription> for PushSubscription {
    fn from(subscription: pb::PushSubscription) -> Self {
        Self {
            id: Kind::PushSubscription.id(&subscription.id),
            host: subscription.host,
            user_agent: subscription.user_agent,
            created_at: DateTime(subscription.created_at),
        }
    }
}

/// An address that is told by web.
#[derive(SimpleObject)]
pub(crate) struct Webhook {
    id: ID,
    url: String,
    created_at: DateTime,
}

impl From<pb::Webhook> for Webhook {
    fn from(webhook: pb::Webhook) -> Self {
        Self { id: Kind::Webhook.id(&webhook.id), url: webhook.url, created_at: DateTime(webhook.created_at) }
    }
}
