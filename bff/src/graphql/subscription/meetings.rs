//! Meetings, as their summaries are published.

use std::sync::Arc;

use async_graphql::{Context, ID, Result, Subscription};
use cs_proto::meetings::v1::WatchPublishedRequest;
use futures::{Stream, StreamExt};

use super::resuming::resuming;
use crate::graphql::global_id::Kind;
use crate::graphql::scope::Scope;
use crate::graphql::types::MeetingPublished;

#[derive(Default)]
pub(super) struct MeetingSubscriptions;

#[Subscription]
impl MeetingSubscriptions {
    /// A meeting's summary was published. Without a city: of any.
    async fn meeting_published(
        &self,
        context: &Context<'_>,
        city_id: Option<ID>,
    ) -> Result<impl Stream<Item = Result<MeetingPublished>>> {
        let calls = Scope::of(context).calls.clone();
        let city_id = city_id.map_or(Ok(String::new()), |id| Kind::City.own(&id, "cityId"))?;
        let open = move |after: String| {
            let (calls, request) = (calls.clone(), WatchPublishedRequest { city_id: city_id.clone(), after });
            async move {
                calls
                    .clients
                    .meetings
                    .watch(&calls.caller, request, |mut client, request| async move {
                        client.watch_published(request).await
                    })
                    .await
            }
        };
        let events = resuming(open, |message| {
            let version = message.summary_version;
            let event =
                message.meeting.map(|meeting| MeetingPublished { meeting: Arc::new(meeting), version });
            (event, message.cursor)
        });
        Ok(events.map(|event| event.map_err(Into::into)))
    }
}
