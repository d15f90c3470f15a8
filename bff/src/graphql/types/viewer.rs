//! The person who asks.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};
use cs_proto::accounts::v1 as pb;
use cs_proto::common::v1::PageRequest;
use cs_proto::errors::v1::Reason;
use cs_proto::notifications::v1 as notifications;

use super::city::City;
use super::preferences::NotificationPreferences;
use crate::auth::leave;
use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::scalars::text;
use crate::graphql::scope::{Scope, read};

/// What a person may be.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Signed in.
    Resident,
    /// Sees what the gate held back.
    Reviewer,
    /// Runs the system for a tenant.
    Operator,
    /// Answers for the tenant.
    Owner,
}

/// The person who asks.
pub(crate) struct Viewer(pub(crate) Arc<pb::User>);

impl Viewer {
    /// The caller's own account; `None` for anybody else's eyes. A session that outlived its account, because it was
    /// beginning when the account was deleted, ends here.
    pub(crate) async fn load(scope: &Scope) -> Result<Option<Self>, Fault> {
        let Some(person) = scope.caller().user() else { return Ok(None) };
        match read!(scope.calls, accounts.get_viewer, pb::GetViewerRequest {}) {
            Err(fault) if fault.reason == Reason::NotFound => {
                leave(&scope.app, person, scope.session.as_ref()).await.map_err(|error| {
                    tracing::warn!(%error, "the sessions of a deleted account were not ended");
                    Fault::unavailable()
                })?;
                Ok(None)
            }
            answer => Ok(answer?.user.map(Arc::new).map(Self)),
        }
    }
}

/// The person who asks.
#[Object]
impl Viewer {
    pub(crate) async fn id(&self) -> ID {
        Kind::User.id(&self.0.id)
    }

    async fn display_name(&self) -> &str {
        &self.0.display_name
    }

    async fn email(&self) -> Option<&str> {
        text(&self.0.email)
    }

    /// BCP 47.
    async fn locale(&self) -> Option<&str> {
        text(&self.0.locale)
    }

    /// IANA time zone.
    async fn time_zone(&self) -> Option<&str> {
        text(&self.0.time_zone)
    }

    /// In effect in this session.
    async fn roles(&self, context: &Context<'_>) -> Vec<Role> {
        let granted = &Scope::of(context).caller().roles;
        granted
            .iter()
            .map(|role| match role {
                cs_core::Role::Resident => Role::Resident,
                cs_core::Role::Reviewer => Role::Reviewer,
                cs_core::Role::Operator => Role::Operator,
                cs_core::Role::Owner => Role::Owner,
            })
            .collect()
    }

    async fn home_city(&self, context: &Context<'_>) -> Result<Option<City>> {
        let Some(id) = text(&self.0.home_city_id) else { return Ok(None) };
        Ok(Scope::of(context).loaders.cities.load(id.to_owned()).await?.map(City))
    }

    async fn notification_preferences(&self, context: &Context<'_>) -> Result<NotificationPreferences> {
        let request = notifications::GetPreferencesRequest {};
        let answer = read!(Scope::of(context).calls, notifications.get_preferences, request)?;
        Ok(NotificationPreferences::try_from(answer.preferences.unwrap_or_default())?)
    }

    async fn unread_notification_count(&self, context: &Context<'_>) -> Result<u32> {
        let page = Some(PageRequest { first: 1, ..PageRequest::default() });
        let request = notifications::ListNotificationsRequest { page, unread_only: true };
        Ok(read!(Scope::of(context).calls, notifications.list_notifications, request)?.unread_count)
    }
}
