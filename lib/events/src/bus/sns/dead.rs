//! Dead letters. SQS keeps a message fourteen days at most and shows none without taking it, so what is given up is kept
//! beside the embedded bus, as it came. What SQS itself gives up lies in the queue's dead-letter queue until it is fetched
//! from there: whenever letters are asked for, and now and then by the queue's consumer.

use std::collections::HashMap;

use aws_sdk_sqs::types::MessageSystemAttributeName;
use chrono::{DateTime, Utc};
use cs_core::EventId;
use cs_db::{DbError, Reason, Tx};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::types::Json;
use uuid::Uuid;

use super::wire::{self, Wire};
use super::{ENTRIES, SnsBus, failed};
use crate::bus::{Bus, BusError, DeadFilter, DeadMessage, Delivery, Receipt};
use crate::{Envelope, fault};

/// How long what is fetched is out of others' sight: it is kept and ended within that.
const FETCHED: i32 = 30;
/// Most that is fetched at once; more come with the next time.
const MOST: usize = 10_000;
/// What versions before this one added to a message that they put to the dead-letter queue themselves.
const ADDED: [&str; 4] = ["dead_error", "dead_attempts", "dead_at", "dead_parked"];

type Row = (Uuid, String, String, i32, String, DateTime<Utc>, bool);

type ToSend = (Uuid, String, Json<HashMap<String, String>>, i64);

/// Why a message is a dead letter.
struct Story {
    attempts: u32,
    error: String,
    parked: bool,
    at: DateTime<Utc>,
}

impl SnsBus {
    /// Keeps it as a letter, then ends the message. A crash in between leaves both, with one id.
    pub(super) async fn to_dead_letters(
        &self,
        delivery: &Delivery,
        error: &str,
        parked: bool,
    ) -> Result<(), BusError> {
        let Receipt::Handle { body, attributes, .. } = &delivery.receipt else { return Ok(()) };
        let story =
            Story { attempts: delivery.attempt, error: error.to_owned(), parked, at: self.clock.now() };
        let wire = Wire { body: body.clone(), attributes: attributes.clone() };
        self.keep(&delivery.queue, &[(wire, story)]).await?;
        fault!("sns.letter_kept");
        self.done(std::slice::from_ref(delivery)).await.map(|_| ())
    }

    async fn keep(&self, queue: &str, letters: &[(Wire, Story)]) -> Result<(), BusError> {
        let mut tx = self.db.system(Reason::Relay).await?;
        for (wire, story) in letters {
            let envelope: Option<Envelope> = serde_json::from_str(&wire.body).ok();
            let said: Value = serde_json::from_str(&wire.body).unwrap_or_default();
            let kind =
                envelope.as_ref().map(|e| e.kind.clone()).or_else(|| wire.attributes.get("type").cloned());
            let attributes: HashMap<String, String> =
                wire.attributes.iter().map(|(name, value)| (plain(name), plain(value))).collect();
            sqlx::query("SELECT bus_keep_letter($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
                .bind(queue)
                .bind(envelope.as_ref().map_or_else(|| name_of(&wire.body), |e| e.id.uuid()))
                .bind(plain(&kind.unwrap_or_default()))
                // Whose it is says what was meant as an envelope too.
                .bind(said["tenant_id"].as_str().map(plain))
                .bind(envelope.map(|e| i64::from(e.version)))
                .bind(plain(&wire.body))
                .bind(Json(attributes))
                .bind(i32::try_from(story.attempts).unwrap_or(i32::MAX))
                .bind(plain(&story.error))
                .bind(story.parked)
                .bind(story.at)
                .execute(tx.conn())
                .await
                .map_err(DbError::from)?;
        }
        Ok(tx.commit().await?)
    }

    /// Fetches what lies in the queue's dead-letter queue. What is kept and not yet ended there is fetched again, to the
    /// same letter.
    pub(super) async fn fetch_dead(&self, queue: &str) -> Result<(), BusError> {
        let name = self.names.dead(queue);
        let url = self.url(&name).await?;
        if self.messages(&url).await? == 0 {
            return Ok(());
        }
        let mut fetched = 0;
        while fetched < MOST {
            let received = self
                .sqs
                .receive_message()
                .queue_url(&url)
                .max_number_of_messages(ENTRIES as i32)
                .visibility_timeout(FETCHED)
                // Without a wait SQS asks only some of its machines.
                .wait_time_seconds(1)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
                .send()
                .await
                .map_err(|e| failed("sqs:ReceiveMessage", &name, e))?;
            let messages = received.messages.unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            fetched += messages.len();
            let mut handles = Vec::new();
            let mut letters = Vec::new();
            for message in messages {
                let Some(handle) = message.receipt_handle.clone() else { continue };
                handles.push(handle);
                letters.push(self.told(message));
            }
            self.keep(queue, &letters).await?;
            fault!("sns.fetched");
            self.delete(&name, &handles).await?;
        }
        tracing::warn!(queue, letters = fetched, "SQS gave messages up; they are among the dead letters");
        Ok(())
    }

    /// What a message of a dead-letter queue is, and why it lies there.
    fn told(&self, message: aws_sdk_sqs::types::Message) -> (Wire, Story) {
        let sent = message
            .attributes()
            .and_then(|a| a.get(&MessageSystemAttributeName::SentTimestamp))
            .and_then(|at| at.parse().ok())
            .and_then(DateTime::from_timestamp_millis);
        let count = wire::receive_count(&message);
        let (body, mut attributes) = wire::parts(message);
        let [error, attempts, at, parked] = ADDED.map(|name| attributes.remove(name));
        let at = at.and_then(|at| DateTime::parse_from_rfc3339(&at).ok()).map(Into::into);
        let story = Story {
            attempts: attempts.and_then(|n| n.parse().ok()).unwrap_or(count),
            error: error
                .unwrap_or_else(|| "SQS gave it up: it was taken again and again and never ended".to_owned()),
            parked: parked.is_some_and(|parked| parked == "true"),
            at: at.or(sent).unwrap_or_else(|| self.clock.now()),
        };
        (Wire { body, attributes }, story)
    }

    pub(super) async fn dead_letters(
        &self,
        queue: &str,
        which: DeadFilter<'_>,
        most: u32,
    ) -> Result<Vec<DeadMessage>, BusError> {
        self.fetch_dead(queue).await?;
        let mut tx = self.db.system(Reason::Operations).await?;
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM bus_letters($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(queue)
            .bind(which.tenant.to_string())
            .bind(DeadFilter::unowned().to_string())
            .bind(which.kind)
            .bind(which.event.map(EventId::uuid))
            .bind(which.before)
            .bind(which.after.map(|place| place.at))
            .bind(which.after.map(|place| place.id))
            .bind(i32::try_from(most).unwrap_or(i32::MAX))
            .fetch_all(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        let mut dead = Vec::with_capacity(rows.len());
        for (event, kind, body, attempts, error, died_at, parked) in rows {
            let envelope = match self.read(&body).await? {
                Ok(envelope) => serde_json::to_value(envelope).unwrap_or(Value::String(body)),
                Err(rubbish) => Value::String(rubbish.bytes),
            };
            let (event, attempts) = (event.into(), attempts.unsigned_abs());
            dead.push(DeadMessage { event, kind, envelope, attempts, error, died_at, parked });
        }
        Ok(dead)
    }

    /// Sends letters to their queue again; gives those that were there.
    pub(super) async fn send_again(&self, queue: &str, events: &[Uuid]) -> Result<Vec<EventId>, BusError> {
        let mut tx = self.db.system(Reason::Operations).await?;
        let rows: Vec<ToSend> = sqlx::query_as("SELECT * FROM bus_letters_again($1, $2, $3)")
            .bind(queue)
            .bind(events)
            .bind(self.clock.now())
            .fetch_all(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        let (mut events, mut stories, mut wires) = (Vec::new(), Vec::new(), Vec::new());
        for (event, body, Json(attributes), story) in rows {
            events.push(event);
            stories.push(story);
            wires.push(Wire { body, attributes });
        }
        // First sent, then forgotten: a crash in between leaves both, and the second delivery has no effect. What a
        // consumer has given up again meanwhile is another story, and stays.
        self.send_wires(&self.queue_url(queue).await?, &wires).await?;
        fault!("sns.sent_again");
        let mut tx = self.db.system(Reason::Operations).await?;
        sqlx::query("SELECT bus_forget_letters_sent($1, $2, $3)")
            .bind(queue)
            .bind(&events)
            .bind(stories)
            .execute(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        Ok(events.into_iter().map(EventId::from).collect())
    }

    /// Those that a newer version can read.
    pub(super) async fn parked(&self, queue: &str, readable: &[(&str, u32)]) -> Result<Vec<Uuid>, BusError> {
        let (types, newest): (Vec<&str>, Vec<i32>) =
            readable.iter().map(|(kind, newest)| (*kind, i32::try_from(*newest).unwrap_or(i32::MAX))).unzip();
        let mut tx = self.db.system(Reason::Operations).await?;
        let parked = sqlx::query_scalar("SELECT bus_letters_parked($1, $2, $3)")
            .bind(queue)
            .bind(types)
            .bind(newest)
            .fetch_all(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        Ok(parked)
    }

    pub(super) async fn forget_letters(
        &self,
        queue: &str,
        events: &[Uuid],
    ) -> Result<Vec<EventId>, BusError> {
        let mut tx = self.db.system(Reason::Operations).await?;
        let gone: Vec<Uuid> = sqlx::query_scalar("SELECT bus_forget_letters($1, $2)")
            .bind(queue)
            .bind(events)
            .fetch_all(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        Ok(gone.into_iter().map(EventId::from).collect())
    }

    pub(super) async fn count_letters(&self, queue: &str) -> Result<u64, BusError> {
        let mut tx = self.db.system(Reason::Operations).await?;
        let count: i64 = sqlx::query_scalar("SELECT bus_count_letters($1)")
            .bind(queue)
            .fetch_one(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        Ok(count.unsigned_abs())
    }
}

/// A text of Postgres holds no NUL, which JSON can: one such letter would hold up all behind it.
fn plain(text: &str) -> String {
    text.replace('\0', "")
}

/// A name for what has none: the same bytes have the same.
fn name_of(body: &str) -> Uuid {
    let digest: [u8; 32] = Sha256::digest(body).into();
    Uuid::from_slice(&digest[..16]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_have_the_same_name() {
        assert_eq!(name_of("x"), name_of("x"));
        assert_ne!(name_of("x"), name_of("y"));
    }
}
