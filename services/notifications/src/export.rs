//! What is kept here about a person, for them to take along: an object with a member a table. Secrets stay: whoever has
//! a browser's endpoint can push to it.

use cs_core::{Caller, DeliveryId, MeetingId, MessageId, PushSubscriptionId, SavedSearchId, WebhookId};
use cs_db::TenantTx;
use serde_json::{Value, json};

use crate::Error;
use crate::follow::own;
use crate::messages::{endpoint_host, rfc3339};
use crate::store::{addresses, export, follows, preferences, searches};

/// Most deliveries, and most messages, the newest; the other tables are bounded when they are written to.
pub const MOST: i64 = 1_000;

/// All that is kept about the caller.
pub async fn person(tx: &mut TenantTx, caller: &Caller) -> Result<Value, Error> {
    let user = own(caller)?;
    let preferences = preferences::of(tx, user).await?.map(|chosen| {
        json!({
            "enabled": chosen.enabled,
            "pause_until": chosen.pause_until.map(rfc3339),
            "channels": chosen.channels,
            "time_zone": chosen.time_zone,
            "quiet_from": chosen.quiet_from,
            "quiet_until": chosen.quiet_until,
            "digest": chosen.digest,
            "digest_hour": chosen.digest_hour,
            "changed_summaries": chosen.changed_summaries,
        })
    });
    let home = export::home(tx, user).await?.map(|home| {
        json!({"city_id": home.city_id, "version": home.version, "updated_at": rfc3339(home.updated_at)})
    });
    let follows = listed(follows::of(tx, user).await?, |follow| {
        json!({
            "id": cs_core::FollowId::from(follow.id).to_string(),
            "kind": follow.kind,
            "target_id": follow.saved_search.map_or(follow.target_id, |id| SavedSearchId::from(id).to_string()),
            "origin": follow.origin,
            "created_at": rfc3339(follow.created_at),
        })
    });
    let saved_searches = listed(searches::of(tx, user).await?, |search| {
        json!({
            "id": SavedSearchId::from(search.id).to_string(),
            "name": search.name,
            "query": search.query,
            "filter": search.filter,
            "created_at": rfc3339(search.created_at),
        })
    });
    let push_subscriptions = listed(addresses::subscriptions(tx, user).await?, |browser| {
        json!({
            "id": PushSubscriptionId::from(browser.id).to_string(),
            "host": endpoint_host(&browser.endpoint),
            "user_agent": browser.user_agent,
            "created_at": rfc3339(browser.created_at),
        })
    });
    let webhooks = listed(addresses::webhooks(tx, user).await?, |webhook| {
        json!({
            "id": WebhookId::from(webhook.id).to_string(),
            "url": webhook.url,
            "created_at": rfc3339(webhook.created_at),
        })
    });
    let deliveries = listed(export::deliveries(tx, user, MOST).await?, |delivery| {
        json!({
            "id": DeliveryId::from(delivery.id).to_string(),
            "type": delivery.kind,
            "meeting_id": MeetingId::from(delivery.meeting_id).to_string(),
            "title": delivery.title,
            "reason": delivery.reason,
            "state": delivery.state,
            "state_reason": delivery.state_reason,
            "in_app": delivery.in_app,
            "created_at": rfc3339(delivery.created_at),
            "sent_at": delivery.sent_at.map(rfc3339),
            "read_at": delivery.read_at.map(rfc3339),
            "delivery_attempts": delivery.attempts.0,
        })
    });
    let messages = listed(export::messages(tx, user, MOST).await?, |message| {
        json!({
            "id": MessageId::from(message.id).to_string(),
            "channel": message.channel,
            "digest_at": message.digest_at.map(rfc3339),
            "state": message.state,
            "state_reason": message.state_reason,
            "created_at": rfc3339(message.created_at),
            "sent_at": message.sent_at.map(rfc3339),
            "message_deliveries":
                message.deliveries.into_iter().map(|id| DeliveryId::from(id).to_string()).collect::<Vec<_>>(),
            "message_attempts": message.attempts.0,
        })
    });
    Ok(json!({
        "preferences": preferences,
        "homes": home,
        "follows": follows,
        "saved_searches": saved_searches,
        "push_subscriptions": push_subscriptions,
        "webhooks": webhooks,
        "deliveries": deliveries,
        "messages": messages,
        "newest_deliveries_and_messages": MOST,
    }))
}

fn listed<T>(rows: Vec<T>, written: impl FnMut(T) -> Value) -> Vec<Value> {
    rows.into_iter().map(written).collect()
}
