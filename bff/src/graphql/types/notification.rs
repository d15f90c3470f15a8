//! What a resident was told.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use cs_proto::notifications::v1 as pb;

use super::meeting::Meeting;
use crate::graphql::global_id::Kind;
use crate::graphql::scalars::{DateTime, text, time};
use crate::graphql::scope::Scope;

/// Beside the edges of a list of notifications.
#[derive(SimpleObject)]
pub(crate) struct Totals {
    /// Of all the person's notifications.
    pub(crate) unread_count: u32,
}

/// Something a resident was told.
pub(crate) struct Notification(pub(crate) Arc<pb::Notification>);

/// Something a resident was told.
#[Object]
impl Notification {
    pub(crate) async fn id(&self) -> ID {
        Kind::Notification.id(&self.0.id)
    }

    /// meeting_published, or summary_changed:VERSION
    #[graphql(name = "type")]
    async fn kind(&self) -> &str {
        &self.0.r#type
    }

    async fn title(&self) -> &str {
        &self.0.title
    }

    async fn body(&self) -> &str {
        &self.0.body
    }

    /// Why it was sent.
    async fn reason(&self) -> &str {
        &self.0.reason
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at.clone())
    }

    /// null: unread.
    async fn read_at(&self) -> Option<DateTime> {
        time(&self.0.read_at)
    }

    async fn meeting(&self, context: &Context<'_>) -> Result<Option<Meeting>> {
        let Some(id) = text(&self.0.meeting_id) else { return Ok(None) };
        Ok(Scope::of(context).loaders.meetings.load(id.to_owned()).await?.map(Meeting))
    }
}
