//! Where a person is reached outside.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use cs_proto::notifications::v1 as pb;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::once;
use crate::graphql::known::hash;
use crate::graphql::scope::{Scope, write};
use crate::graphql::types::{PushSubscription, UserError, Webhook};

/// What a browser's `PushSubscription` says of itself.
#[derive(InputObject)]
struct RegisterPushSubscriptionInput {
    endpoint: String,
    /// base64url
    #[graphql(name = "p256dh")]
    p256dh: String,
    /// base64url
    auth: String,
    /// What the person sees of the browser.
    user_agent: Option<String>,
    idempotency_key: Option<String>,
}

/// An endpoint is a secret. Its hash tells one browser from another where a request's key is used again.
impl std::fmt::Debug for RegisterPushSubscriptionInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [&self.endpoint, &self.p256dh, &self.auth].map(|part| part.as_bytes());
        f.debug_struct("RegisterPushSubscriptionInput").field("hash", &hash(&parts)).finish_non_exhaustive()
    }
}

#[derive(SimpleObject)]
struct RegisterPushSubscriptionPayload {
    subscription: Option<PushSubscription>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct RemovePushSubscriptionInput {
    id: ID,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct RemovePushSubscriptionPayload {
    /// Of what is not sent to any more.
    id: Option<ID>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct AddWebhookInput {
    /// Begins with https://
    url: String,
}

#[derive(SimpleObject)]
struct AddWebhookPayload {
    webhook: Option<Webhook>,
    /// Signs what is sent there (Standard Webhooks).
    secret: Option<String>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct RemoveWebhookInput {
    id: ID,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct RemoveWebhookPayload {
    /// Of what is not called any more.
    id: Option<ID>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub(super) struct AddressMutations;

#[Object]
impl AddressMutations {
    /// Pushes to this browser from now on.
    async fn register_push_subscription(
        &self,
        context: &Context<'_>,
        input: RegisterPushSubscriptionInput,
    ) -> Result<RegisterPushSubscriptionPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let request = pb::RegisterPushSubscriptionRequest {
            endpoint: input.endpoint.clone(),
            p256dh: input.p256dh.clone(),
            auth: input.auth.clone(),
            user_agent: input.user_agent.clone().unwrap_or_default(),
            idempotency_key: input.idempotency_key.clone().unwrap_or_default(),
        };
        let change = async {
            write!(scope.calls, notifications.register_push_subscription, request)?
                .subscription
                .ok_or_else(Fault::internal)
        };
        let key = input.idempotency_key.as_ref();
        let outcome = once(scope, "registerPushSubscription", key, &input, change).await?;
        let (made, user_errors) = outcome.parts();
        Ok(RegisterPushSubscriptionPayload { subscription: made.map(Into::into), user_errors })
    }

    /// Pushes to a browser no more.
    async fn remove_push_subscription(
        &self,
        context: &Context<'_>,
        input: RemovePushSubscriptionInput,
    ) -> Result<RemovePushSubscriptionPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let id = Kind::PushSubscription.own(&input.id, "input.id")?;
        let request = pb::RemovePushSubscriptionRequest { id };
        let change = async { Ok(write!(scope.calls, notifications.remove_push_subscription, request)?.id) };
        let key = input.idempotency_key.as_ref();
        let outcome = once(scope, "removePushSubscription", key, &input, change).await?;
        let (id, user_errors) = outcome.parts();
        Ok(RemovePushSubscriptionPayload { id: id.map(|id| Kind::PushSubscription.id(&id)), user_errors })
    }

    /// Calls an address of the person's own from now on. The same address again gives the same webhook and secret.
    async fn add_webhook(&self, context: &Context<'_>, input: AddWebhookInput) -> Result<AddWebhookPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let request = pb::AddWebhookRequest { url: input.url.clone(), ..Default::default() };
        let change = async { write!(scope.calls, notifications.add_webhook, request) };
        // No key: a repetition gives the same answer, and a kept answer would keep the secret.
        let outcome = once(scope, "addWebhook", None, &input, change).await?;
        let (made, user_errors) = outcome.parts();
        let (webhook, secret) = made.map(|made| (made.webhook, made.secret)).unzip();
        Ok(AddWebhookPayload { webhook: webhook.flatten().map(Into::into), secret, user_errors })
    }

    /// Calls an address no more.
    async fn remove_webhook(
        &self,
        context: &Context<'_>,
        input: RemoveWebhookInput,
    ) -> Result<RemoveWebhookPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let request = pb::RemoveWebhookRequest { id: Kind::Webhook.own(&input.id, "input.id")? };
        let change = async { Ok(write!(scope.calls, notifications.remove_webhook, request)?.id) };
        let outcome = once(scope, "removeWebhook", input.idempotency_key.as_ref(), &input, change).await?;
        let (id, user_errors) = outcome.parts();
        Ok(RemoveWebhookPayload { id: id.map(|id| Kind::Webhook.id(&id)), user_errors })
    }
}
