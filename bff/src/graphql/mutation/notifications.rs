//! How a person is told of things, and what has been read.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};
use cs_proto::notifications::v1 as pb;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::once;
use crate::graphql::scalars::DateTime;
use crate::graphql::scope::{Scope, write};
use crate::graphql::types::{
    DigestFrequency, Notification, NotificationChannel, QuietHoursInput, UserError, Viewer,
};

#[derive(InputObject, Debug)]
struct UpdateNotificationPreferencesInput {
    enabled: Option<bool>,
    /// null ends the pause. What came up during it is not told afterwards.
    pause_until: MaybeUndefined<DateTime>,
    /// All that are to be on.
    channels: Option<Vec<NotificationChannel>>,
    /// IANA, such as America/Chicago.
    time_zone: Option<String>,
    /// null: at any time.
    quiet_hours: MaybeUndefined<QuietHoursInput>,
    digest: Option<DigestFrequency>,
    /// 0 to 23.
    digest_hour: Option<u32>,
    changed_summaries: Option<bool>,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct UpdateNotificationPreferencesPayload {
    viewer: Option<Viewer>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct MarkNotificationsReadInput {
    ids: Option<Vec<ID>>,
    /// Instead of ids: every one of the person's.
    all: Option<bool>,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct MarkNotificationsReadPayload {
    notifications: Vec<Notification>,
    unread_count: u32,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub(super) struct NotificationMutations;

#[Object]
impl NotificationMutations {
    /// Changes what is given, and nothing else.
    async fn update_notification_preferences(
        &self,
        context: &Context<'_>,
        input: UpdateNotificationPreferencesInput,
    ) -> Result<UpdateNotificationPreferencesPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let request = pb::UpdatePreferencesRequest {
            enabled: input.enabled,
            pause_until: match &input.pause_until {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(String::new()),
                MaybeUndefined::Value(time) => Some(time.0.clone()),
            },
            channels: input.channels.as_ref().map(|channels| pb::Channels {
                names: channels.iter().map(|channel| channel.word().to_owned()).collect(),
            }),
            time_zone: input.time_zone.clone(),
            quiet_hours: match &input.quiet_hours {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(pb::QuietHours::default()),
                MaybeUndefined::Value(hours) => Some(hours.clone().into()),
            },
            digest: input.digest.map(|digest| digest.word().to_owned()),
            digest_hour: input.digest_hour,
            changed_summaries: input.changed_summaries,
            idempotency_key: input.idempotency_key.clone().unwrap_or_default(),
        };
        let change = async {
            write!(scope.calls, notifications.update_preferences, request)?
                .preferences
                .ok_or_else(Fault::internal)
        };
        let key = input.idempotency_key.as_ref();
        let outcome = once(scope, "updateNotificationPreferences", key, &input, change).await?;
        let (done, user_errors) = outcome.parts();
        let viewer = if done.is_some() { Viewer::load(scope).await? } else { None };
        Ok(UpdateNotificationPreferencesPayload { viewer, user_errors })
    }

    /// Marks notifications as read.
    async fn mark_notifications_read(
        &self,
        context: &Context<'_>,
        input: MarkNotificationsReadInput,
    ) -> Result<MarkNotificationsReadPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let all = input.all.unwrap_or(false);
        let ids = input
            .ids
            .iter()
            .flatten()
            .map(|id| Kind::Notification.own(id, "input.ids"))
            .collect::<Result<Vec<_>, _>>()?;
        if all != ids.is_empty() {
            return Err(Fault::input("input", "give ids, or all: true").into());
        }
        let change = async { write!(scope.calls, notifications.mark_read, pb::MarkReadRequest { ids, all }) };
        let key = input.idempotency_key.as_ref();
        let outcome = once(scope, "markNotificationsRead", key, &input, change).await?;
        let (done, user_errors) = outcome.parts();
        let done = done.unwrap_or_default();
        Ok(MarkNotificationsReadPayload {
            notifications: done.notifications.into_iter().map(Arc::new).map(Notification).collect(),
            unread_count: done.unread_count,
            user_errors,
        })
    }
}
