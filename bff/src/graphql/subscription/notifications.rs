//! Notifications, as they are sent.

use std::sync::Arc;

use async_graphql::{Context, Result, Subscription};
use cs_proto::notifications::v1::WatchInboxRequest;
use futures::{Stream, StreamExt};

use super::resuming::resuming;
use crate::graphql::scope::Scope;
use crate::graphql::types::Notification;

#[derive(Default)]
pub(super) struct NotificationSubscriptions;

#[Subscription]
impl NotificationSubscriptions {
    /// The person was told something.
    async fn notification_received(
        &self,
        context: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<Notification>>> {
        let scope = Scope::of(context);
        scope.person()?;
        let calls = scope.calls.clone();
        let open = move |after: String| {
            let calls = calls.clone();
            async move {
                calls
                    .clients
                    .notifications
                    .watch(&calls.caller, WatchInboxRequest { after }, |mut client, request| async move {
                        client.watch_inbox(request).await
                    })
                    .await
            }
        };
        let events = resuming(open, |message| {
            let event = message.notification.map(|notification| Notification(Arc::new(notification)));
            (event, message.cursor)
        });
        Ok(events.map(|event| event.map_err(Into::into)))
    }
}
