//! What the person was told.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, Object, Result};
use cs_proto::notifications::v1::ListNotificationsRequest;

use crate::graphql::scope::{Scope, read};
use crate::graphql::types::{Notification, Totals, page};

#[derive(Default)]
pub(super) struct NotificationQueries;

#[Object]
impl NotificationQueries {
    /// What the person was told, the newest first.
    #[graphql(complexity = "page::size(first, None) * child_complexity")]
    async fn notifications(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        unread_only: Option<bool>,
    ) -> Result<Connection<String, Notification, Totals>> {
        let scope = Scope::of(context);
        scope.person()?;
        let request = ListNotificationsRequest {
            page: Some(page::request(first, after, None, None)?),
            unread_only: unread_only.unwrap_or(false),
        };
        let answer = read!(scope.calls, notifications.list_notifications, request)?;
        let totals = Totals { unread_count: answer.unread_count };
        Ok(page::with_fields(
            answer.notifications,
            answer.cursors,
            answer.page_info,
            totals,
            |notification| Notification(Arc::new(notification)),
        ))
    }
}
