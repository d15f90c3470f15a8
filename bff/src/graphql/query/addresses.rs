//! Where the person is reached outside, and the searches they keep.

use async_graphql::{Context, Object, Result, SimpleObject};
use cs_proto::notifications::v1 as pb;

use crate::graphql::scope::{Scope, read};
use crate::graphql::types::{PushSubscription, SavedSearch, Webhook};

/// The person's browsers, and what a browser needs to become one.
#[derive(SimpleObject)]
struct Pushing {
    /// The application server's key (RFC 8292), base64url.
    public_key: String,
    subscriptions: Vec<PushSubscription>,
}

#[derive(Default)]
pub(super) struct AddressQueries;

#[Object]
impl AddressQueries {
    /// The browsers that the person is told in.
    #[graphql(complexity = "10 * child_complexity")]
    async fn pushing(&self, context: &Context<'_>) -> Result<Pushing> {
        let scope = Scope::of(context);
        scope.person()?;
        let answer =
            read!(scope.calls, notifications.list_push_subscriptions, pb::ListPushSubscriptionsRequest {})?;
        Ok(Pushing {
            public_key: answer.public_key,
            subscriptions: answer.subscriptions.into_iter().map(Into::into).collect(),
        })
    }

    /// The addresses of the person's own that are told.
    #[graphql(complexity = "5 * child_complexity")]
    async fn webhooks(&self, context: &Context<'_>) -> Result<Vec<Webhook>> {
        let scope = Scope::of(context);
        scope.person()?;
        let answer = read!(scope.calls, notifications.list_webhooks, pb::ListWebhooksRequest {})?;
        Ok(answer.webhooks.into_iter().map(Into::into).collect())
    }

    /// The searches that the person keeps.
    #[graphql(complexity = "10 * child_complexity")]
    async fn saved_searches(&self, context: &Context<'_>) -> Result<Vec<SavedSearch>> {
        let scope = Scope::of(context);
        scope.person()?;
        let answer = read!(scope.calls, notifications.list_saved_searches, pb::ListSavedSearchesRequest {})?;
        Ok(answer.saved_searches.into_iter().map(Into::into).collect())
    }
}
