//! Webhooks, signed as Standard Webhooks has it.

use async_trait::async_trait;
use chrono::SecondsFormat;
use cs_net::{Guarded, Limits};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use url::Url;

use super::{Address, Channel, ChannelError, Message, answered, text};
use crate::keys::Keys;
use crate::preferences::WEBHOOK;

/// Sends to addresses of people's own.
pub struct Webhooks {
    net: Guarded,
    keys: Keys,
    public: Url,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    meetings: Vec<Told<'a>>,
    /// How many more there are, and where; only of a long digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<More>,
    /// Stops this channel.
    unsubscribe_url: &'a str,
}

#[derive(Serialize)]
struct More {
    count: u64,
    url: String,
}

#[derive(Serialize)]
struct Told<'a> {
    /// meeting_published, or summary_changed:VERSION
    r#type: &'a str,
    meeting_id: String,
    url: String,
    city: &'a str,
    title: &'a str,
    summary: &'a str,
    summary_version: i64,
    reason: &'a str,
}

impl Webhooks {
    /// Signing with the installation's keys.
    pub fn new(net: Guarded, keys: &Keys, public: &Url) -> Self {
        Self { net, keys: keys.clone(), public: public.clone() }
    }

    /// The same bytes in every try.
    fn body(&self, message: &Message) -> Vec<u8> {
        let kind = match (message.items.as_slice(), message.digest_at) {
            (_, Some(_)) => "digest",
            ([item], None) if item.kind.starts_with("summary_changed") => "summary.changed",
            (_, None) => "meeting.published",
        };
        let meetings = message
            .items
            .iter()
            .map(|item| Told {
                r#type: &item.kind,
                meeting_id: cs_core::MeetingId::from(item.meeting_id).to_string(),
                url: text::meeting_page(&self.public, item),
                city: &item.city_name,
                title: &item.title,
                summary: &item.body,
                summary_version: item.summary_version,
                reason: &item.reason,
            })
            .collect();
        let timestamp = message.created_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let more = (message.more > 0).then(|| More { count: message.more, url: text::list(&self.public) });
        let data = Data { meetings, more, unsubscribe_url: &message.stop.link };
        serde_json::to_vec(&Body { r#type: kind, timestamp, data }).unwrap_or_default()
    }
}

#[async_trait]
impl Channel for Webhooks {
    fn name(&self) -> &'static str {
        WEBHOOK
    }

    async fn send(&self, message: &Message) -> Result<(), ChannelError> {
        let Address::Web { id, url } = &message.address else {
            return Err(ChannelError::Permanent("this is no address on the web".to_owned()));
        };
        let url: Url = url.parse().map_err(|_| ChannelError::Gone("the address is none".to_owned()))?;
        let body = self.body(message);
        let timestamp = message.now.timestamp();
        let signature = self.keys.webhook_signature(*id, &message.dedupe_key, timestamp, &body);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("webhook-timestamp"), HeaderValue::from(timestamp));
        for (name, value) in [("webhook-id", message.dedupe_key.clone()), ("webhook-signature", signature)] {
            let value = HeaderValue::try_from(value).map_err(|e| ChannelError::Permanent(e.to_string()))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        match answered(self.net.post(&url, headers, body, Limits::default()).await, message.now) {
            // A path that is missing for now is a mistake of its owner's; only 410 says that it is over.
            Err(ChannelError::Gone(said)) if said.ends_with("404") => Err(ChannelError::Transient(said)),
            sent => sent,
        }
    }
}
