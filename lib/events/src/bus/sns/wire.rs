//! Envelopes as SNS and SQS carry them: the envelope's JSON, with its type, tenant and trace as attributes for filters.

use std::collections::HashMap;

use aws_sdk_sns::types::MessageAttributeValue as SnsValue;
use aws_sdk_sqs::types::{Message, MessageAttributeValue as SqsValue, MessageSystemAttributeName};
use chrono::{DateTime, Utc};
use cs_db::{DbError, Reason, Tx};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{BYTES, ENTRIES, SnsBus, internal};
use crate::bus::{BusError, Malformed};
use crate::{Envelope, fault};

/// Above this a payload goes by reference: room is left for attributes and for a dead letter's error.
const INLINE: usize = BYTES - (16 << 10);
/// Stands beside `payload: null` where the payload is kept aside.
const REFERENCE: &str = "payload_by_reference";

/// Names what takes turns with others: also the message's group.
pub(super) const LANE: &str = "lane";
/// Longest name of a group.
const LONGEST_LANE: usize = 128;

/// A message as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) body: String,
    pub(super) attributes: HashMap<String, String>,
}

impl Wire {
    fn bytes(&self) -> usize {
        // An attribute counts its name, its type `String` and its value.
        self.body.len()
            + self.attributes.iter().map(|(name, value)| name.len() + value.len() + 6).sum::<usize>()
    }

    pub(super) fn for_sqs(&self) -> Result<HashMap<String, SqsValue>, BusError> {
        let value = |text: &str| SqsValue::builder().data_type("String").string_value(text).build();
        let values = self.attributes.iter().map(|(name, text)| Ok((name.clone(), value(text)?)));
        values
            .collect::<Result<_, _>>()
            .map_err(|e: aws_sdk_sqs::error::BuildError| internal("attributes", &e))
    }

    pub(super) fn for_sns(&self) -> Result<HashMap<String, SnsValue>, BusError> {
        let value = |text: &str| SnsValue::builder().data_type("String").string_value(text).build();
        let values = self.attributes.iter().map(|(name, text)| Ok((name.clone(), value(text)?)));
        values
            .collect::<Result<_, _>>()
            .map_err(|e: aws_sdk_sns::error::BuildError| internal("attributes", &e))
    }
}

/// JSON that SQS takes: two characters that it refuses are escaped, the others that it refuses JSON escapes itself. Outside
/// its strings JSON has neither.
fn encoded(value: &impl serde::Serialize) -> Result<String, BusError> {
    let text = serde_json::to_string(value).map_err(|e| internal("encoding", &e))?;
    Ok(text.replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff"))
}

/// In batches that one call takes.
pub(super) fn batches(wires: &[Wire]) -> Vec<&[Wire]> {
    let (mut batches, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, wire) in wires.iter().enumerate() {
        let size = wire.bytes();
        if at > start && (at - start == ENTRIES || bytes + size > BYTES) {
            batches.push(&wires[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < wires.len() {
        batches.push(&wires[start..]);
    }
    batches
}

/// How often SQS gave it out, this time included.
pub(super) fn receive_count(message: &Message) -> u32 {
    let counts =
        message.attributes().and_then(|a| a.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    counts.and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// What takes turns with others; what an older version or somebody else sent says nothing, and is one lane.
pub(super) fn lane(message: &Message) -> String {
    let said = message.message_attributes().and_then(|attributes| attributes.get(LANE));
    said.and_then(SqsValue::string_value).unwrap_or("-").to_owned()
}

/// A lane in the characters of a group's name.
fn group(lane: &str) -> String {
    let lane = lane.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' });
    lane.take(LONGEST_LANE).collect()
}

/// Body and text attributes.
pub(super) fn parts(message: Message) -> (String, HashMap<String, String>) {
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    let attributes = attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect();
    (message.body.unwrap_or_default(), attributes)
}

impl SnsBus {
    /// As they are sent; large payloads are kept aside first.
    pub(super) async fn wires(&self, envelopes: &[Envelope]) -> Result<Vec<Wire>, BusError> {
        let mut wires = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            let mut body = encoded(envelope)?;
            if body.len() > INLINE {
                self.keep_payload(envelope).await?;
                fault!("sns.payload_kept");
                let mut value = serde_json::to_value(envelope).map_err(|e| internal("encoding", &e))?;
                value["payload"] = Value::Null;
                value[REFERENCE] = Value::Bool(true);
                body = encoded(&value)?;
            }
            let attributes = [
                ("type", envelope.kind.clone()),
                ("tenant_id", envelope.tenant_id.to_string()),
                ("traceparent", envelope.traceparent.clone()),
                (LANE, group(envelope.lane())),
            ];
            // An empty attribute is refused.
            let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
            let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).collect();
            wires.push(Wire { body, attributes });
        }
        Ok(wires)
    }

    /// The envelope in a body, with its payload; or why it is none.
    pub(super) async fn read(&self, body: &str) -> Result<Result<Envelope, Malformed>, BusError> {
        let malformed = |error: String| Malformed { error, bytes: body.to_owned() };
        let mut value: Value = match serde_json::from_str(body) {
            Ok(value) => value,
            Err(error) => return Ok(Err(malformed(format!("no JSON: {error}")))),
        };
        if value[REFERENCE] == true {
            let id = value["id"].as_str().and_then(|id| id.parse::<cs_core::EventId>().ok());
            let payload = match id {
                Some(id) => self.kept_payload(id.uuid()).await?,
                None => None,
            };
            match payload {
                Some(payload) => value["payload"] = payload,
                None => return Ok(Err(malformed("its payload was kept aside and is gone".to_owned()))),
            }
        }
        Ok(serde_json::from_value(value).map_err(|error| malformed(format!("no envelope: {error}"))))
    }

    async fn keep_payload(&self, envelope: &Envelope) -> Result<(), BusError> {
        let mut tx = self.db.system(Reason::Relay).await?;
        sqlx::query("SELECT bus_put_payload($1, $2, $3)")
            .bind(envelope.id.uuid())
            .bind(Json(&envelope.payload))
            .bind(self.clock.now())
            .execute(tx.conn())
            .await
            .map_err(DbError::from)?;
        Ok(tx.commit().await?)
    }

    async fn kept_payload(&self, event: Uuid) -> Result<Option<Value>, BusError> {
        let mut tx = self.db.system(Reason::Relay).await?;
        let payload: Option<Json<Value>> = sqlx::query_scalar("SELECT bus_get_payload($1)")
            .bind(event)
            .fetch_one(tx.conn())
            .await
            .map_err(DbError::from)?;
        Ok(payload.map(|Json(payload)| payload))
    }

    pub(super) async fn forget_payloads(&self, before: DateTime<Utc>) -> Result<u64, BusError> {
        let mut tx = self.db.system(Reason::Relay).await?;
        let gone: i64 = sqlx::query_scalar("SELECT bus_forget_payloads($1)")
            .bind(before)
            .fetch_one(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        Ok(gone.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_sent_in_characters_that_sqs_takes() {
        let text: String =
            ('\0'..='\u{11FF}').chain('\u{FFF0}'..='\u{FFFF}').chain(['🏛', '\u{1FFFE}']).collect();
        let body = encoded(&text).unwrap();
        let taken = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
        assert_eq!(body.chars().find(|c| !taken(*c)), None);
        assert_eq!(serde_json::from_str::<String>(&body).unwrap(), text);
    }

    #[test]
    fn a_lane_is_the_name_of_a_group() {
        assert_eq!(group("01ARZ3NDEKTSV4RRFFQ69G5FAV"), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert_eq!(group("a b\u{e9}\n"), "a_b__");
        assert_eq!(group(&"x".repeat(500)).len(), LONGEST_LANE);
        assert_eq!(lane(&Message::builder().build()), "-");
    }

    #[test]
    fn batches_keep_order_and_limits() {
        let wire = |size: usize| Wire { body: "x".repeat(size), attributes: HashMap::new() };
        let wires: Vec<Wire> = (0..25).map(|_| wire(10)).collect();
        assert_eq!(batches(&wires).iter().map(|b| b.len()).collect::<Vec<_>>(), [10, 10, 5]);
        let wires: Vec<Wire> = [200_000, 60_000, 10_000, 250_000, 5].map(wire).to_vec();
        let sizes: Vec<Vec<usize>> =
            batches(&wires).iter().map(|b| b.iter().map(Wire::bytes).collect()).collect();
        assert_eq!(sizes, [vec![200_000, 60_000], vec![10_000, 250_000, 5]]);
        let wires: Vec<Wire> = [200_000, 70_000, 200_000].map(wire).to_vec();
        assert_eq!(batches(&wires).len(), 3, "each call stays below 256 KiB");
        assert!(batches(&[]).is_empty());
    }
}
