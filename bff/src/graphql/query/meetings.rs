//! Meetings.

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result};

use crate::graphql::global_id::Kind;
use crate::graphql::scope::Scope;
use crate::graphql::types::{Meeting, MeetingFilter, MeetingOrder, list_meetings, page};

#[derive(Default)]
pub(super) struct MeetingQueries;

#[Object]
impl MeetingQueries {
    /// null: there is none of this id, or none that you may see.
    async fn meeting(&self, context: &Context<'_>, id: ID) -> Result<Option<Meeting>> {
        let own = Kind::Meeting.own(&id, "id")?;
        Ok(Scope::of(context).loaders.meetings.load(own).await?.map(Meeting))
    }

    /// Meetings, the newest first unless asked otherwise.
    #[allow(clippy::too_many_arguments, reason = "Relay's four and two of ours")]
    #[graphql(complexity = "page::size(first, last) * child_complexity")]
    async fn meetings(
        &self,
        context: &Context<'_>,
        filter: Option<MeetingFilter>,
        order: Option<MeetingOrder>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, Meeting>> {
        Ok(list_meetings(context, filter, order, page::request(first, after, last, before)?).await?)
    }
}
