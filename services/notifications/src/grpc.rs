//! Messages to use cases and back; no rules.
//!
//! Idempotency keys are the edge's: these verbs set a state, so that a repeat changes nothing.

use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cs_core::Caller;
use cs_core::page::{Page, encode_cursor};
use cs_db::TenantTx;
use cs_proto::common::v1::PageInfo;
use cs_proto::notifications::v1 as pb;
use cs_proto::notifications::v1::notifications_server::Notifications;
use futures::Stream;
use tonic::{Request, Response, Status};

use crate::follow::{Target, own};
use crate::inbox::Which;
use crate::{Deps, Error, follow, inbox, preferences, watch};

/// `notifications.v1.Notifications`.
#[derive(Clone)]
pub struct NotificationsService {
    deps: Deps,
    stream_life: Duration,
}

impl NotificationsService {
    /// Over `deps`.
    pub fn new(deps: Deps) -> Self {
        Self { deps, stream_life: watch::STREAM_LIFE }
    }

    /// The same, with streams that end sooner or later than a caller token does.
    #[must_use]
    pub fn with_stream_life(self, stream_life: Duration) -> Self {
        Self { stream_life, ..self }
    }

    async fn begin(&self, caller: &Caller) -> Result<TenantTx, Error> {
        Ok(self.deps.db.tenant(caller).await?)
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn id<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::invalid(field, "must be a ULID"))
}

/// Empty: no time.
fn time(field: &str, text: &str) -> Result<Option<DateTime<Utc>>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = DateTime::parse_from_rfc3339(text)
        .map_err(|_| Error::invalid(field, "must be a time, such as 2026-01-31T18:00:00Z"))?;
    Ok(Some(parsed.to_utc()))
}

async fn commit(tx: TenantTx) -> Result<(), Error> {
    Ok(tx.commit().await?)
}

#[tonic::async_trait]
impl Notifications for NotificationsService {
    type WatchInboxStream = Pin<Box<dyn Stream<Item = Result<pb::WatchInboxResponse, Status>> + Send>>;

    async fn get_preferences(
        &self,
        request: Request<pb::GetPreferencesRequest>,
    ) -> Answer<pb::GetPreferencesResponse> {
        let caller = cs_rpc::caller(&request)?;
        let found = preferences::get(&mut self.begin(&caller).await?, &caller).await?;
        Ok(Response::new(pb::GetPreferencesResponse { preferences: Some(found.into()) }))
    }

    async fn update_preferences(
        &self,
        request: Request<pb::UpdatePreferencesRequest>,
    ) -> Answer<pb::UpdatePreferencesResponse> {
        let caller = cs_rpc::caller(&request)?;
        let request = request.into_inner();
        let pause_until = request.pause_until.map(|text| time("pause_until", &text)).transpose()?;
        let change = preferences::Change { enabled: request.enabled, pause_until };
        let mut tx = self.begin(&caller).await?;
        let changed = preferences::update(&mut tx, &caller, &self.deps.ids, &change).await?;
        commit(tx).await?;
        Ok(Response::new(pb::UpdatePreferencesResponse { preferences: Some(changed.into()) }))
    }

    async fn list_follows(
        &self,
        request: Request<pb::ListFollowsRequest>,
    ) -> Answer<pb::ListFollowsResponse> {
        let caller = cs_rpc::caller(&request)?;
        let follows = follow::list(&mut self.begin(&caller).await?, &caller).await?;
        Ok(Response::new(pb::ListFollowsResponse { follows: follows.into_iter().map(Into::into).collect() }))
    }

    async fn follow(&self, request: Request<pb::FollowRequest>) -> Answer<pb::FollowResponse> {
        let caller = cs_rpc::caller(&request)?;
        own(&caller)?;
        let target = Target::parse(&request.get_ref().kind, &request.get_ref().target_id)?;
        follow::check(&self.deps, &caller, &target).await?;
        let mut tx = self.begin(&caller).await?;
        let made = follow::follow(&mut tx, &caller, &self.deps.ids, &target).await?;
        commit(tx).await?;
        Ok(Response::new(pb::FollowResponse { follow: Some(made.into()) }))
    }

    async fn unfollow(&self, request: Request<pb::UnfollowRequest>) -> Answer<pb::UnfollowResponse> {
        let caller = cs_rpc::caller(&request)?;
        let text = request.into_inner().id;
        let follow = id("id", &text)?;
        let mut tx = self.begin(&caller).await?;
        follow::unfollow(&mut tx, &caller, follow).await?;
        commit(tx).await?;
        Ok(Response::new(pb::UnfollowResponse { id: text }))
    }

    async fn list_notifications(
        &self,
        request: Request<pb::ListNotificationsRequest>,
    ) -> Answer<pb::ListNotificationsResponse> {
        let caller = cs_rpc::caller(&request)?;
        let pb::ListNotificationsRequest { page, unread_only } = request.into_inner();
        let page = page.unwrap_or_default();
        let page: Page<i64> =
            Page::parse(page.first, &page.after, page.last, &page.before).map_err(Error::from)?;
        let (paged, unread_count) =
            inbox::list(&mut self.begin(&caller).await?, &caller, &page, unread_only).await?;
        let cursors: Vec<String> = paged.rows.iter().map(|row| encode_cursor(&row.sequence)).collect();
        let page_info = PageInfo {
            has_next_page: paged.has_next,
            has_previous_page: paged.has_previous,
            start_cursor: cursors.first().cloned().unwrap_or_default(),
            end_cursor: cursors.last().cloned().unwrap_or_default(),
        };
        Ok(Response::new(pb::ListNotificationsResponse {
            notifications: paged.rows.into_iter().map(Into::into).collect(),
            cursors,
            page_info: Some(page_info),
            unread_count,
        }))
    }

    async fn mark_read(&self, request: Request<pb::MarkReadRequest>) -> Answer<pb::MarkReadResponse> {
        let caller = cs_rpc::caller(&request)?;
        let pb::MarkReadRequest { ids, all } = request.into_inner();
        let which = match (all, ids.is_empty()) {
            (true, true) => Which::All,
            (false, false) => Which::These(ids.iter().map(|text| id("ids", text)).collect::<Result<_, _>>()?),
            _ => return Err(Error::invalid("ids", "name some, or say all, and not both").into()),
        };
        let mut tx = self.begin(&caller).await?;
        let (rows, unread_count) = inbox::mark_read(&mut tx, &caller, &self.deps.ids, &which).await?;
        commit(tx).await?;
        let notifications = rows.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::MarkReadResponse { notifications, unread_count }))
    }

    async fn watch_inbox(&self, request: Request<pb::WatchInboxRequest>) -> Answer<Self::WatchInboxStream> {
        let caller = cs_rpc::caller(&request)?;
        let stream = watch::inbox(&self.deps, caller, &request.get_ref().after, self.stream_life).await?;
        Ok(Response::new(Box::pin(stream)))
    }
}
