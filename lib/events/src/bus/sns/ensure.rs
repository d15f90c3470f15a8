//! Makes or checks topic, queues, filters and redrive; names them for whoever makes them instead.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use serde_json::{Value, json};

use super::{SnsBus, failed, remote};
use crate::bus::BusError;

/// Fourteen days, the longest that SQS keeps a message.
const RETENTION: &str = "1209600";
/// What a message is out of sight for at first; consumers renew it while they work.
const VISIBILITY: &str = "60";
/// Long polling for who does not say.
const WAIT: &str = "10";
/// SQS gives up what was taken this often, which is the most that it can be told: consumers give up long before, by what
/// they know of tries and deaths.
const RECEIVES: u32 = 1000;
/// Least that a queue of somebody else's may say: below that it gives up what still has tries with a consumer.
const LEAST_RECEIVES: u32 = 100;
/// A filter is read, added to and written; how often where another replica writes in between.
const TRIES: u32 = 7;
/// How much longer is waited before each than before the last; twenty seconds in all.
const PAUSE: Duration = Duration::from_secs(1);

/// Where filters look.
const SCOPE: &str = "MessageAttributes";
/// Of a queue at which nothing was to be done.
const RIGHT: &str = "right as it was";

/// What becomes of types that a queue gets and that were not named.
#[derive(Clone, Copy)]
enum Others {
    Stay,
    Go,
}

/// What everything is called.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: String,
    /// The one topic.
    pub topic: String,
}

/// A queue as it is.
#[derive(Clone, Debug)]
pub struct QueueReport {
    /// Its full name.
    pub name: String,
    /// Its dead-letter queue's.
    pub dead_letters: String,
    /// What was done: made, changed, or right as it was.
    pub outcome: &'static str,
}

impl Names {
    /// Names that begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), topic: format!("{prefix}-events") }
    }

    /// The full name of a consumer's queue.
    pub fn queue(&self, queue: &str) -> String {
        format!("{}-{queue}", self.prefix)
    }

    /// The full name of its dead-letter queue.
    pub fn dead(&self, queue: &str) -> String {
        format!("{}-{queue}-dead", self.prefix)
    }

    /// All of it as Terraform variables, for queues and the types they get.
    pub fn terraform(&self, queues: &[(&str, &[&str])]) -> String {
        let mut text = format!("topic_name = {:?}\n\nqueues = {{\n", self.topic);
        for (queue, types) in queues {
            text += &format!(
                "  {queue} = {{\n    name                       = {:?}\n    dead_letter_name           = {:?}\n    \
                 filter_policy              = {{ type = {types:?} }}\n    raw_message_delivery       = true\n    \
                 visibility_timeout_seconds = {VISIBILITY}\n    receive_wait_time_seconds  = {WAIT}\n    \
                 message_retention_seconds  = {RETENTION}\n    max_receive_count          = {RECEIVES}\n  }}\n",
                self.queue(queue),
                self.dead(queue),
            );
        }
        text + "}\n"
    }
}

impl SnsBus {
    /// Makes what is missing of a queue and puts right what is not as it should be: it gets these types and no others.
    pub async fn ensure(&self, queue: &str, types: &[&str]) -> Result<QueueReport, BusError> {
        self.put_right(queue, types, Others::Go).await
    }

    async fn put_right(&self, queue: &str, types: &[&str], others: Others) -> Result<QueueReport, BusError> {
        let topic = self.topic().await?.to_owned();
        let (name, dead) = (self.names.queue(queue), self.names.dead(queue));
        let mut changed = self.make(&dead, &[(Attribute::MessageRetentionPeriod, RETENTION)]).await?;
        let dead_arn = self.arn(&dead).await?;
        changed |= self.make(&name, &[(Attribute::MessageRetentionPeriod, RETENTION)]).await?;
        let made = changed;
        let arn = self.arn(&name).await?;
        let redrive = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": RECEIVES }).to_string();
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
            "Resource": arn, "Condition": { "ArnEquals": { "aws:SourceArn": topic } } }] })
        .to_string();
        changed |= self
            .set(
                &name,
                &[
                    (Attribute::VisibilityTimeout, VISIBILITY),
                    (Attribute::ReceiveMessageWaitTimeSeconds, WAIT),
                    (Attribute::MessageRetentionPeriod, RETENTION),
                    (Attribute::RedrivePolicy, &redrive),
                    (Attribute::Policy, &policy),
                ],
            )
            .await?;
        changed |= self.subscription(&topic, &arn, types, others).await?;
        let outcome = match (made, changed) {
            (true, _) => "made",
            (false, true) => "changed",
            (false, false) => RIGHT,
        };
        Ok(QueueReport { name, dead_letters: dead, outcome })
    }

    /// The same, but leaves the types that others asked for. SNS has no way to add to a filter, so it is read again after
    /// it was written: where two write at once, the one whose types were lost writes again. Who misses none writes none.
    /// What the queue itself says is not waited for: it may show its old settings for a minute.
    pub async fn ensure_also(&self, queue: &str, types: &[&str]) -> Result<QueueReport, BusError> {
        let report = self.put_right(queue, types, Others::Stay).await?;
        if report.outcome == RIGHT {
            return Ok(report);
        }
        let topic = self.topic().await?.to_owned();
        let arn = self.arn(&report.name).await?;
        for number in 0..TRIES {
            // The server may answer with what was before.
            tokio::time::sleep(PAUSE * number).await;
            if !self.subscription(&topic, &arn, types, Others::Stay).await? {
                return Ok(report);
            }
        }
        Err(remote("sns:SetSubscriptionAttributes", "others change the filter all the time: try again"))
    }

    /// Checks a queue that somebody else made.
    pub async fn verify(&self, queue: &str, types: &[&str]) -> Result<QueueReport, BusError> {
        let (name, dead) = (self.names.queue(queue), self.names.dead(queue));
        let attributes = self.attributes(&name).await?;
        let dead_arn = self.arn(&dead).await?;
        let redrive: Value = attributes
            .get(&Attribute::RedrivePolicy)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let missing = |what: String| Err(BusError::Missing(what));
        if redrive["deadLetterTargetArn"] != *dead_arn {
            return missing(format!("the redrive policy from {name} to {dead}"));
        }
        // The server says it as a number or as a text.
        let most = &redrive["maxReceiveCount"];
        let most = most.as_u64().or_else(|| most.as_str()?.parse().ok()).unwrap_or_default();
        if most < u64::from(LEAST_RECEIVES) {
            return missing(format!(
                "the maxReceiveCount {RECEIVES} in the redrive policy of {name} (it is {most})"
            ));
        }
        if attributes.get(&Attribute::Policy).is_none_or(String::is_empty) {
            return missing(format!("the policy of {name} that lets the topic send to it"));
        }
        let subscription = self.subscription_of(queue).await?;
        if subscription.get("RawMessageDelivery").is_none_or(|raw| raw != "true") {
            return missing(format!("the raw message delivery of the subscription of {name}"));
        }
        if subscription.get("FilterPolicyScope").is_some_and(|scope| scope != SCOPE) {
            return missing(format!("the filter policy scope {SCOPE} of the subscription of {name}"));
        }
        let filtered = types_in(&subscription);
        if let Some(kind) = types.iter().find(|kind| !filtered.iter().any(|f| f == *kind)) {
            return missing(format!("the type {kind} in the filter policy of {name}"));
        }
        Ok(QueueReport { name, dead_letters: dead, outcome: RIGHT })
    }

    /// The types that the topic brings to a queue.
    pub(super) async fn types_of(&self, queue: &str) -> Result<Vec<String>, BusError> {
        Ok(types_in(&self.subscription_of(queue).await?))
    }

    /// What is set of the subscription that brings the topic's messages to a queue.
    async fn subscription_of(&self, queue: &str) -> Result<HashMap<String, String>, BusError> {
        let name = self.names.queue(queue);
        let topic = self.topic().await?.to_owned();
        let arn = self.arn(&name).await?;
        let subscription = self.subscribed(&topic, &arn).await?;
        let subscription = subscription
            .ok_or_else(|| BusError::Missing(format!("the subscription of {name} to {topic}")))?;
        self.subscription_attributes(&subscription).await
    }

    /// `true`: it was not there.
    async fn make(&self, name: &str, attributes: &[(Attribute, &str)]) -> Result<bool, BusError> {
        match self.url(name).await {
            Ok(_) => return Ok(false),
            Err(BusError::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        let mut call = self.sqs.create_queue().queue_name(name);
        for (attribute, value) in attributes {
            call = call.attributes(attribute.clone(), *value);
        }
        call.send().await.map_err(|e| failed("sqs:CreateQueue", name, e))?;
        Ok(true)
    }

    async fn attributes(&self, name: &str) -> Result<HashMap<Attribute, String>, BusError> {
        let call = self.sqs.get_queue_attributes().queue_url(self.url(name).await?);
        let got = call.attribute_names(Attribute::All).send().await;
        Ok(got.map_err(|e| failed("sqs:GetQueueAttributes", name, e))?.attributes.unwrap_or_default())
    }

    async fn arn(&self, name: &str) -> Result<String, BusError> {
        let arn = self.attributes(name).await?.remove(&Attribute::QueueArn);
        arn.ok_or_else(|| BusError::Missing(name.to_owned()))
    }

    /// `true`: something was different.
    async fn set(&self, name: &str, wanted: &[(Attribute, &str)]) -> Result<bool, BusError> {
        let there = self.attributes(name).await?;
        let different: HashMap<Attribute, String> = wanted
            .iter()
            .filter(|(attribute, value)| !same(there.get(attribute).map(String::as_str), value))
            .map(|(attribute, value)| (attribute.clone(), (*value).to_owned()))
            .collect();
        if different.is_empty() {
            return Ok(false);
        }
        let call = self.sqs.set_queue_attributes().queue_url(self.url(name).await?);
        let set = call.set_attributes(Some(different)).send().await;
        set.map_err(|e| failed("sqs:SetQueueAttributes", name, e))?;
        Ok(true)
    }

    async fn subscribed(&self, topic: &str, queue_arn: &str) -> Result<Option<String>, BusError> {
        let mut next = None;
        loop {
            let call = self.sns.list_subscriptions_by_topic().topic_arn(topic).set_next_token(next);
            let page = call.send().await.map_err(|e| failed("sns:ListSubscriptionsByTopic", topic, e))?;
            let found = page.subscriptions().iter().find(|s| s.endpoint() == Some(queue_arn));
            if let Some(arn) = found.and_then(|s| s.subscription_arn()) {
                return Ok(Some(arn.to_owned()));
            }
            match page.next_token {
                Some(token) if !token.is_empty() => next = Some(token),
                _ => return Ok(None),
            }
        }
    }

    async fn subscription_attributes(&self, arn: &str) -> Result<HashMap<String, String>, BusError> {
        let call = self.sns.get_subscription_attributes().subscription_arn(arn);
        let got = call.send().await.map_err(|e| failed("sns:GetSubscriptionAttributes", arn, e))?;
        Ok(got.attributes.unwrap_or_default())
    }

    /// `true`: it was not there, or different.
    async fn subscription(
        &self,
        topic: &str,
        queue_arn: &str,
        types: &[&str],
        others: Others,
    ) -> Result<bool, BusError> {
        let subscription = self.subscribed(topic, queue_arn).await?;
        let there = match &subscription {
            Some(subscription) => self.subscription_attributes(subscription).await?,
            None => HashMap::new(),
        };
        let mut wanted = match others {
            Others::Stay => types_in(&there),
            Others::Go => Vec::new(),
        };
        for kind in types {
            if !wanted.iter().any(|there| there == kind) {
                wanted.push((*kind).to_owned());
            }
        }
        let filter = json!({ "type": wanted }).to_string();
        let wanted =
            [("RawMessageDelivery", "true"), ("FilterPolicyScope", SCOPE), ("FilterPolicy", filter.as_str())];
        let Some(subscription) = subscription else {
            let mut call = self.sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(queue_arn);
            for (name, value) in wanted {
                call = call.attributes(name, value);
            }
            call.send().await.map_err(|e| failed("sns:Subscribe", topic, e))?;
            return Ok(true);
        };
        let mut changed = false;
        for (name, value) in wanted {
            // The scope is left out of the answer where it is the usual one.
            let default = (name == "FilterPolicyScope").then_some(SCOPE);
            if same(there.get(name).map(String::as_str).or(default), value) {
                continue;
            }
            let call = self.sns.set_subscription_attributes().subscription_arn(&subscription);
            let set = call.attribute_name(name).attribute_value(value).send().await;
            set.map_err(|e| failed("sns:SetSubscriptionAttributes", topic, e))?;
            changed = true;
        }
        Ok(changed)
    }
}

/// The types that a subscription lets through.
fn types_in(subscription: &HashMap<String, String>) -> Vec<String> {
    let filter = subscription.get("FilterPolicy").and_then(|text| serde_json::from_str(text).ok());
    let filter: Value = filter.unwrap_or_default();
    let types = filter["type"].as_array().cloned().unwrap_or_default();
    types.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect()
}

/// Equal as texts or as JSON, whose keys may come in another order.
fn same(there: Option<&str>, wanted: &str) -> bool {
    let Some(there) = there else { return false };
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    there == wanted || json(there).is_some_and(|value| Some(value) == json(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ready_for_terraform() {
        let text = Names::new("council").terraform(&[("search", &["summary.gated", "meeting.published"])]);
        assert!(text.contains("topic_name = \"council-events\""));
        assert!(text.contains("name                       = \"council-search\"\n"));
        assert!(
            text.contains(
                "filter_policy              = { type = [\"summary.gated\", \"meeting.published\"] }"
            )
        );
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn policies_are_compared_as_json() {
        assert!(same(Some("{\"a\": 1, \"b\":2}"), "{\"b\":2,\"a\":1}"));
        assert!(same(Some("60"), "60"));
        assert!(!same(Some("{\"a\":1}"), "{\"a\":2}") && !same(None, "x"));
    }
}
