//! SNS → SQS: one topic with attribute filters, one queue a consumer, one dead-letter queue each.
//!
//! Queues are standard ones: SQS may deliver twice and in any order, which consumers bear by their inbox and versions.
//! That cities take turns is seen to by [`ahead`] and by the groups of messages.

mod again;
mod ahead;
mod dead;
mod ensure;
mod send;
mod wire;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use chrono::{DateTime, Utc};
use cs_core::{Clock, EventId};
use cs_db::Db;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{Bus, BusError, DeadFilter, DeadMessage, Delivery, Receipt, Unpublished};
use crate::{Envelope, fault};

use again::Counted;
use ahead::Ahead;
pub use ensure::{Names, QueueReport};

/// Entries of one batch call.
const ENTRIES: usize = 10;
/// Bytes of one batch call, and of one message: what SNS and SQS both take.
const BYTES: usize = 256 << 10;
/// Longest wait for an answer; a long poll fits into it.
const DEADLINE: Duration = Duration::from_secs(30);

/// How to reach SNS and SQS. Region and credentials come from the usual `AWS_*` settings.
#[derive(Clone, Debug)]
pub struct SnsOptions {
    /// Somewhere else than AWS.
    pub endpoint: Option<url::Url>,
    /// What names begin with.
    pub prefix: String,
    /// The topic, where these credentials may not look it up.
    pub topic_arn: Option<String>,
    /// How long a receive waits for messages, at most 20 s; zero for tests that step.
    pub wait: Duration,
}

/// The bus over SNS and SQS.
pub struct SnsBus {
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
    db: Db,
    clock: Arc<dyn Clock>,
    names: Names,
    options: SnsOptions,
    topic: OnceCell<String>,
    urls: Mutex<HashMap<String, String>>,
    ahead: Mutex<HashMap<String, Arc<Ahead>>>,
    /// Whether the server takes groups of messages on standard topics and queues; older ones and imitations do not.
    groups: AtomicBool,
}

impl SnsBus {
    /// Over SNS and SQS. `db` is the schema of the embedded bus: payloads above 256 KiB are kept there and sent by
    /// reference, because every consumer reaches it already while the artifact store is meetings' own.
    pub async fn connect(options: SnsOptions, db: Db, clock: Arc<dyn Clock>) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_timeout(DEADLINE * 2)
            .operation_attempt_timeout(DEADLINE)
            .build();
        let mut config =
            aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts);
        if let Some(endpoint) = &options.endpoint {
            config = config.endpoint_url(endpoint.as_str());
        }
        let config = config.load().await;
        Self {
            sns: aws_sdk_sns::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            db,
            clock,
            names: Names::new(&options.prefix),
            topic: OnceCell::new_with(options.topic_arn.clone()),
            options,
            urls: Mutex::default(),
            ahead: Mutex::default(),
            groups: AtomicBool::new(true),
        }
    }

    fn ahead(&self, queue: &str) -> Arc<Ahead> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.entry(queue.to_owned()).or_default().clone()
    }

    /// What everything is called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    async fn topic(&self) -> Result<&str, BusError> {
        let topic = self.topic.get_or_try_init(|| async {
            // Making a topic that is there finds it.
            let made = self.sns.create_topic().name(&self.names.topic).send().await;
            let made = made.map_err(|e| failed("sns:CreateTopic", &self.names.topic, e))?;
            made.topic_arn.ok_or_else(|| BusError::Missing(self.names.topic.clone()))
        });
        topic.await.map(String::as_str)
    }

    /// The address of a queue by its full name.
    async fn url(&self, name: &str) -> Result<String, BusError> {
        let known = self.urls.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(url) = known {
            return Ok(url);
        }
        let found = self.sqs.get_queue_url().queue_name(name).send().await;
        let found = found.map_err(|e| failed("sqs:GetQueueUrl", name, e))?;
        let url = found.queue_url.ok_or_else(|| BusError::Missing(name.to_owned()))?;
        let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
        urls.insert(name.to_owned(), url.clone());
        Ok(url)
    }

    async fn queue_url(&self, queue: &str) -> Result<String, BusError> {
        self.url(&self.names.queue(queue)).await
    }

    async fn change_visibility(&self, delivery: &Delivery, wait: Duration) -> Result<bool, BusError> {
        let Receipt::Handle { handle, .. } = &delivery.receipt else { return Ok(false) };
        let url = self.queue_url(&delivery.queue).await?;
        let changed = self
            .sqs
            .change_message_visibility()
            .queue_url(url)
            .receipt_handle(handle)
            .visibility_timeout(seconds(wait))
            .send()
            .await;
        match changed {
            Ok(_) => Ok(true),
            // It is in somebody else's hands, or gone.
            Err(error) if lost_receipt(error.code()) => Ok(false),
            Err(error) => Err(failed("sqs:ChangeMessageVisibility", &delivery.queue, error)),
        }
    }
}

#[async_trait]
impl Bus for SnsBus {
    async fn subscribe(&self, queue: &str, types: &[&str]) -> Result<(), BusError> {
        let ensured = self.ensure(queue, types).await;
        self.or_verified(queue, types, ensured).await
    }

    async fn want(&self, queue: &str, types: &[&str]) -> Result<(), BusError> {
        let ensured = self.ensure_also(queue, types).await;
        self.or_verified(queue, types, ensured).await
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Result<Vec<Unpublished>, BusError> {
        let topic = self.topic().await?;
        let wires = self.wires(envelopes).await?;
        self.publish_in_order(topic, &wires, envelopes).await
    }

    async fn send(&self, queue: &str, envelopes: &[Envelope]) -> Result<u64, BusError> {
        let url = self.queue_url(queue).await?;
        let types = self.types_of(queue).await?;
        let wanted: Vec<Envelope> = envelopes.iter().filter(|e| types.contains(&e.kind)).cloned().collect();
        let wires = self.wires(&wanted).await?;
        self.send_wires(&url, &wires).await?;
        Ok(wires.len() as u64)
    }

    async fn receive_until(
        &self,
        stop: &CancellationToken,
        queue: &str,
        most: u32,
        lease: Duration,
    ) -> Result<Vec<Delivery>, BusError> {
        let (ahead, most) = (self.ahead(queue), most as usize);
        ahead.drop_lapsed();
        // What a call under way brings after the word to stop comes again when its lease ends; nothing else is left half done.
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Vec::new()),
            asked = self.ask_ahead(queue, &ahead, most, lease) => asked?,
        }
        let messages = self.still_held(queue, ahead.take(most), lease).await;
        let mut read = Vec::with_capacity(messages.len());
        for message in messages {
            read.push((self.read(message.body().unwrap_or_default()).await?, message));
        }
        let mut deliveries = Vec::new();
        for (envelope, Counted { message, receives, lost, handed_back }) in
            self.counted(queue, read, lease).await?
        {
            let Some(handle) = message.receipt_handle.clone() else { continue };
            let name = message.message_id.clone().unwrap_or_default();
            let (body, attributes) = wire::parts(message);
            deliveries.push(Delivery {
                envelope,
                attempt: receives,
                lost,
                handed_back,
                queue: queue.to_owned(),
                receipt: Receipt::Handle { handle, message: name, body, attributes },
            });
        }
        Ok(deliveries)
    }

    async fn hold(&self, queue: &str, lease: Duration) {
        self.hold_ahead(queue, lease).await;
    }

    async fn let_go(&self, queue: &str) {
        self.give_back_ahead(queue).await;
    }

    fn waits(&self) -> bool {
        !self.options.wait.is_zero()
    }

    async fn done(&self, deliveries: &[Delivery]) -> Result<usize, BusError> {
        let mut ended = 0;
        for chunk in deliveries.chunks(ENTRIES) {
            let Some(first) = chunk.first() else { continue };
            let handles: Vec<String> = chunk
                .iter()
                .filter_map(|delivery| match &delivery.receipt {
                    Receipt::Handle { handle, .. } => Some(handle.clone()),
                    Receipt::Row(_) => None,
                })
                .collect();
            ended += self.delete(&self.names.queue(&first.queue), &handles).await?;
            fault!("sns.deleted");
            self.forget_comebacks(&first.queue, chunk).await;
        }
        Ok(ended)
    }

    async fn extend(&self, delivery: &Delivery, lease: Duration) -> Result<bool, BusError> {
        // First what keeps it in hand: it is not to come again because the database is away.
        let kept = self.change_visibility(delivery, lease).await?;
        if kept && delivery.lost > 1 {
            self.stay_alone(delivery, lease).await?;
        }
        Ok(kept)
    }

    async fn retry(&self, delivery: &Delivery, wait: Duration, _error: &str) -> Result<(), BusError> {
        // Noted first: given back, it may be in somebody else's hands at once.
        self.come_back(delivery, true).await?;
        fault!("sns.given_back");
        self.change_visibility(delivery, wait).await.map(|_| ())
    }

    async fn hand_back(&self, delivery: &Delivery) -> Result<(), BusError> {
        self.come_back(delivery, false).await?;
        self.change_visibility(delivery, Duration::ZERO).await.map(|_| ())
    }

    async fn bury(&self, delivery: &Delivery, error: &str) -> Result<(), BusError> {
        self.to_dead_letters(delivery, error, false).await
    }

    async fn park(&self, delivery: &Delivery, why: &str) -> Result<(), BusError> {
        self.to_dead_letters(delivery, why, true).await
    }

    async fn unpark(&self, queue: &str, readable: &[(&str, u32)]) -> Result<u64, BusError> {
        self.fetch_dead(queue).await?;
        let parked = self.parked(queue, readable).await?;
        if parked.is_empty() {
            return Ok(0);
        }
        Ok(self.send_again(queue, &parked).await?.len() as u64)
    }

    async fn dead(
        &self,
        queue: &str,
        which: DeadFilter<'_>,
        most: u32,
    ) -> Result<Vec<DeadMessage>, BusError> {
        self.dead_letters(queue, which, most).await
    }

    async fn replay(&self, queue: &str, events: &[EventId]) -> Result<Vec<EventId>, BusError> {
        self.send_again(queue, &events.iter().map(|event| event.uuid()).collect::<Vec<_>>()).await
    }

    async fn discard(&self, queue: &str, event: EventId) -> Result<bool, BusError> {
        Ok(!self.forget_letters(queue, &[event.uuid()]).await?.is_empty())
    }

    async fn count(&self, queue: &str) -> Result<(u64, u64), BusError> {
        let waiting = self.messages(&self.queue_url(queue).await?).await?;
        let given_up = self.messages(&self.url(&self.names.dead(queue)).await?).await?;
        Ok((waiting, given_up + self.count_letters(queue).await?))
    }

    async fn tidy(&self, before: DateTime<Utc>) -> Result<u64, BusError> {
        Ok(self.forget_payloads(before).await? + self.forget_old_comebacks(before).await?)
    }
}

impl SnsBus {
    /// Takes up to `most` of a queue, at most ten, waiting for the first.
    async fn take_messages(
        &self,
        queue: &str,
        most: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<Vec<Message>, BusError> {
        let received = self
            .sqs
            .receive_message()
            .queue_url(self.queue_url(queue).await?)
            .max_number_of_messages(i32::try_from(most.min(ENTRIES)).unwrap_or(1))
            .visibility_timeout(seconds(lease))
            .wait_time_seconds(seconds(wait))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|e| self.forget(queue, failed("sqs:ReceiveMessage", &self.names.queue(queue), e)))?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Ends up to ten messages of a queue by its full name; gives how many were still in hand.
    async fn delete(&self, name: &str, handles: &[String]) -> Result<usize, BusError> {
        if handles.is_empty() {
            return Ok(0);
        }
        let mut call = self.sqs.delete_message_batch().queue_url(self.url(name).await?);
        for (number, handle) in handles.iter().enumerate() {
            let entry =
                DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(handle);
            call = call.entries(entry.build().map_err(|e| internal("sqs:DeleteMessageBatch", &e))?);
        }
        let deleted = call.send().await.map_err(|e| failed("sqs:DeleteMessageBatch", name, e))?;
        // A receipt that is no longer good belongs to a message that came again: handled again, to no effect.
        match deleted.failed().iter().find(|f| !lost_receipt(Some(f.code()))) {
            Some(failure) => {
                Err(remote("sqs:DeleteMessageBatch", failure.message().unwrap_or(failure.code())))
            }
            None => Ok(deleted.successful().len()),
        }
    }

    /// Where somebody else makes queues it is enough that they are right.
    async fn or_verified(
        &self,
        queue: &str,
        types: &[&str],
        ensured: Result<QueueReport, BusError>,
    ) -> Result<(), BusError> {
        match ensured {
            Ok(_) => Ok(()),
            Err(BusError::Denied { action }) => {
                tracing::info!(
                    queue,
                    action,
                    "these credentials make no queues; what is there is checked instead"
                );
                self.verify(queue, types).await.map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    /// Messages in a queue, in whatever state; SQS calls it approximate.
    async fn messages(&self, url: &str) -> Result<u64, BusError> {
        let states = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let call = self.sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(states.to_vec()));
        let got = call.send().await.map_err(|e| failed("sqs:GetQueueAttributes", url, e))?;
        let counts = got.attributes.unwrap_or_default();
        Ok(counts.values().filter_map(|count| count.parse::<u64>().ok()).sum())
    }

    /// A queue that is gone may be made again elsewhere.
    fn forget(&self, queue: &str, error: BusError) -> BusError {
        if matches!(error, BusError::Missing(_)) {
            let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
            urls.remove(&self.names.queue(queue));
        }
        error
    }
}

/// Whole seconds, rounded up: less than asked would be too early.
fn seconds(time: Duration) -> i32 {
    // SQS takes at most twelve hours.
    i32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(i32::MAX).min(43_200)
}

fn lost_receipt(code: Option<&str>) -> bool {
    let code = code.unwrap_or_default();
    ["MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"]
        .iter()
        .any(|c| code.ends_with(c))
}

fn remote(action: &'static str, message: &str) -> BusError {
    BusError::Remote { action, message: message.to_owned() }
}

fn internal(action: &'static str, error: &dyn std::error::Error) -> BusError {
    remote(action, &error.to_string())
}

/// What a call's failure means. SQS names a missing queue in two ways, by protocol.
fn failed<E, R>(action: &'static str, what: &str, error: SdkError<E, R>) -> BusError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: Debug,
{
    match error.code() {
        Some(
            "AWS.SimpleQueueService.NonExistentQueue"
            | "QueueDoesNotExist"
            | "NotFound"
            | "NotFoundException",
        ) => BusError::Missing(what.to_owned()),
        Some(
            "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "AuthorizationErrorException",
        ) => BusError::Denied { action },
        _ => BusError::Remote { action, message: DisplayErrorContext(&error).to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_never_shorter_than_asked() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(1001)), 2);
        assert_eq!(seconds(Duration::from_secs(1_000_000)), 43_200);
    }
}
