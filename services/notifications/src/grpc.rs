//! Messages to use cases and back; no rules. Whoever has nothing of their own here is told so before the message is looked at:
//! what is wrong with it is for those who have.
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

use crate::addresses::Browser;
use crate::follow::{Target, own};
use crate::inbox::Which;
use crate::saved_search::Wanted;
use crate::schedule::{Digest, QuietHours};
use crate::{
    Deps, Error, addresses, export, follow, inbox, messages, preferences, saved_search, unsubscribe, watch,
};

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

/// What is to change of somebody's preferences.
fn change(request: pb::UpdatePreferencesRequest) -> Result<preferences::Change, Error> {
    let zone = |text: String| {
        text.parse()
            .map_err(|_| Error::invalid("time_zone", "must be an IANA time zone, such as America/Chicago"))
    };
    let quiet = |hours: pb::QuietHours| match (hours.from.as_str(), hours.until.as_str()) {
        ("", "") => Ok(None),
        (from, until) => messages::minutes(from)
            .zip(messages::minutes(until))
            .map(|(from, until)| Some(QuietHours { from, until }))
            .ok_or_else(|| {
                Error::invalid("quiet_hours", "must be two times of day, such as 22:00 and 07:00")
            }),
    };
    let digest = |word: String| {
        Digest::parse(&word).ok_or_else(|| Error::invalid("digest", "must be off, daily or weekly"))
    };
    let hour = |hour: u32| u8::try_from(hour).map_err(|_| Error::invalid("digest_hour", "must be 0 to 23"));
    Ok(preferences::Change {
        enabled: request.enabled,
        pause_until: request.pause_until.map(|text| time("pause_until", &text)).transpose()?,
        channels: request.channels.map(|channels| channels.names),
        time_zone: request.time_zone.map(zone).transpose()?,
        quiet: request.quiet_hours.map(quiet).transpose()?,
        digest: request.digest.map(digest).transpose()?,
        digest_hour: request.digest_hour.map(hour).transpose()?,
        changed_summaries: request.changed_summaries,
    })
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
        let found = messages::preferences(found, &self.deps.available);
        Ok(Response::new(pb::GetPreferencesResponse { preferences: Some(found) }))
    }

    async fn update_preferences(
        &self,
        request: Request<pb::UpdatePreferencesRequest>,
    ) -> Answer<pb::UpdatePreferencesResponse> {
        let caller = cs_rpc::caller(&request)?;
        own(&caller)?;
        let change = change(request.into_inner())?;
        let mut tx = self.begin(&caller).await?;
        let changed = preferences::update(&mut tx, &caller, &self.deps, &change).await?;
        commit(tx).await?;
        let changed = messages::preferences(changed, &self.deps.available);
        Ok(Response::new(pb::UpdatePreferencesResponse { preferences: Some(changed) }))
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
        own(&caller)?;
        let text = request.into_inner().id;
        let follow = id("id", &text)?;
        let mut tx = self.begin(&caller).await?;
        follow::unfollow(&mut tx, &caller, follow).await?;
        commit(tx).await?;
        Ok(Response::new(pb::UnfollowResponse { id: text }))
    }

    async fn save_search(&self, request: Request<pb::SaveSearchRequest>) -> Answer<pb::SaveSearchResponse> {
        let caller = cs_rpc::caller(&request)?;
        let pb::SaveSearchRequest { name, query, filter, follow, .. } = request.into_inner();
        let wanted = Wanted { name, query, filter: filter.unwrap_or_default().into(), follow };
        let mut tx = self.begin(&caller).await?;
        let saved = saved_search::save(&mut tx, &caller, &self.deps.ids, wanted).await?;
        commit(tx).await?;
        Ok(Response::new(pb::SaveSearchResponse { saved_search: Some(saved.into()) }))
    }

    async fn list_saved_searches(
        &self,
        request: Request<pb::ListSavedSearchesRequest>,
    ) -> Answer<pb::ListSavedSearchesResponse> {
        let caller = cs_rpc::caller(&request)?;
        let saved = saved_search::list(&mut self.begin(&caller).await?, &caller).await?;
        let saved_searches = saved.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListSavedSearchesResponse { saved_searches }))
    }

    async fn delete_saved_search(
        &self,
        request: Request<pb::DeleteSavedSearchRequest>,
    ) -> Answer<pb::DeleteSavedSearchResponse> {
        let caller = cs_rpc::caller(&request)?;
        own(&caller)?;
        let text = request.into_inner().id;
        let search = id("id", &text)?;
        let mut tx = self.begin(&caller).await?;
        saved_search::delete(&mut tx, &caller, search).await?;
        commit(tx).await?;
        Ok(Response::new(pb::DeleteSavedSearchResponse { id: text }))
    }

    async fn list_push_subscriptions(
        &self,
        request: Request<pb::ListPushSubscriptionsRequest>,
    ) -> Answer<pb::ListPushSubscriptionsResponse> {
        let caller = cs_rpc::caller(&request)?;
        let browsers = addresses::browsers(&mut self.begin(&caller).await?, &caller).await?;
        Ok(Response::new(pb::ListPushSubscriptionsResponse {
            subscriptions: browsers.into_iter().map(Into::into).collect(),
            public_key: self.deps.keys.push_public(),
        }))
    }

    async fn register_push_subscription(
        &self,
        request: Request<pb::RegisterPushSubscriptionRequest>,
    ) -> Answer<pb::RegisterPushSubscriptionResponse> {
        let caller = cs_rpc::caller(&request)?;
        let pb::RegisterPushSubscriptionRequest { endpoint, p256dh, auth, user_agent, .. } =
            request.into_inner();
        let browser = Browser { endpoint, p256dh, auth, user_agent };
        let mut tx = self.begin(&caller).await?;
        let made = addresses::register(&mut tx, &caller, &self.deps, &browser).await?;
        commit(tx).await?;
        Ok(Response::new(pb::RegisterPushSubscriptionResponse { subscription: Some(made.into()) }))
    }

    async fn remove_push_subscription(
        &self,
        request: Request<pb::RemovePushSubscriptionRequest>,
    ) -> Answer<pb::RemovePushSubscriptionResponse> {
        let caller = cs_rpc::caller(&request)?;
        own(&caller)?;
        let text = request.into_inner().id;
        let browser = id("id", &text)?;
        let mut tx = self.begin(&caller).await?;
        addresses::remove(&mut tx, &caller, browser).await?;
        commit(tx).await?;
        Ok(Response::new(pb::RemovePushSubscriptionResponse { id: text }))
    }

    async fn list_webhooks(
        &self,
        request: Request<pb::ListWebhooksRequest>,
    ) -> Answer<pb::ListWebhooksResponse> {
        let caller = cs_rpc::caller(&request)?;
        let webhooks = addresses::webhooks(&mut self.begin(&caller).await?, &caller).await?;
        Ok(Response::new(pb::ListWebhooksResponse {
            webhooks: webhooks.into_iter().map(Into::into).collect(),
        }))
    }

    async fn add_webhook(&self, request: Request<pb::AddWebhookRequest>) -> Answer<pb::AddWebhookResponse> {
        let caller = cs_rpc::caller(&request)?;
        let mut tx = self.begin(&caller).await?;
        let (made, secret) =
            addresses::add_webhook(&mut tx, &caller, &self.deps, &request.get_ref().url).await?;
        commit(tx).await?;
        Ok(Response::new(pb::AddWebhookResponse { webhook: Some(made.into()), secret }))
    }

    async fn remove_webhook(
        &self,
        request: Request<pb::RemoveWebhookRequest>,
    ) -> Answer<pb::RemoveWebhookResponse> {
        let caller = cs_rpc::caller(&request)?;
        own(&caller)?;
        let text = request.into_inner().id;
        let webhook = id("id", &text)?;
        let mut tx = self.begin(&caller).await?;
        addresses::remove_webhook(&mut tx, &caller, webhook).await?;
        commit(tx).await?;
        Ok(Response::new(pb::RemoveWebhookResponse { id: text }))
    }

    async fn unsubscribe(&self, request: Request<pb::UnsubscribeRequest>) -> Answer<pb::UnsubscribeResponse> {
        let caller = cs_rpc::caller(&request)?;
        let channel = unsubscribe::stop(&self.deps, &caller, &request.get_ref().token).await?;
        Ok(Response::new(pb::UnsubscribeResponse { channel }))
    }

    async fn list_notifications(
        &self,
        request: Request<pb::ListNotificationsRequest>,
    ) -> Answer<pb::ListNotificationsResponse> {
        let caller = cs_rpc::caller(&request)?;
        own(&caller)?;
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
        own(&caller)?;
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

    async fn export_person(
        &self,
        request: Request<pb::ExportPersonRequest>,
    ) -> Answer<pb::ExportPersonResponse> {
        let caller = cs_rpc::caller(&request)?;
        let kept = export::person(&mut self.begin(&caller).await?, &caller).await?;
        Ok(Response::new(pb::ExportPersonResponse { json: kept.to_string() }))
    }
}
