//! Messages that come again. SQS counts receives and knows nothing of tries, of consumers that died, and of what was handed
//! back; what is needed to tell them apart is written beside the embedded bus, of what does come again alone.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use chrono::{DateTime, TimeDelta, Utc};
use cs_db::{DbError, Reason, Tx};

use super::{SnsBus, wire};
use crate::bus::{BusError, Delivery, Receipt};
use crate::fault;

/// What may have killed its consumers waits so long while another such message is with a handler.
const LATER: Duration = Duration::from_secs(5);

/// A message for a handler, and what became of its receives before.
pub(super) struct Counted {
    pub(super) message: Message,
    pub(super) receives: u32,
    pub(super) lost: u32,
    pub(super) handed_back: u32,
}

impl SnsBus {
    fn until(&self, lease: Duration) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::from_std(lease).unwrap_or(TimeDelta::MAX)
    }

    /// Those that go to a handler now, each with what was read of it. What comes for the first time costs no call.
    pub(super) async fn counted<T>(
        &self,
        queue: &str,
        messages: Vec<(T, Message)>,
        lease: Duration,
    ) -> Result<Vec<(T, Counted)>, BusError> {
        let again = messages.iter().map(|(_, m)| m).filter(|message| wire::receive_count(message) > 1);
        let (names, receives): (Vec<&str>, Vec<i32>) = again
            .filter_map(|m| {
                Some((m.message_id()?, i32::try_from(wire::receive_count(m)).unwrap_or(i32::MAX)))
            })
            .unzip();
        let known = if names.is_empty() {
            HashMap::new()
        } else {
            self.come_again(queue, &names, &receives, lease).await?
        };
        if !known.is_empty() {
            fault!("sns.counted");
        }
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for (read, message) in messages {
            let receives = wire::receive_count(&message);
            let id = message.message_id().unwrap_or_default();
            match known.get(id).copied().unwrap_or((0, 0, true)) {
                (lost, handed_back, true) => {
                    now.push((read, Counted { message, receives, lost, handed_back }))
                }
                (.., false) => later.extend(message.receipt_handle),
            }
        }
        self.renew(queue, later, LATER).await;
        Ok(now)
    }

    async fn come_again(
        &self,
        queue: &str,
        names: &[&str],
        receives: &[i32],
        lease: Duration,
    ) -> Result<HashMap<String, (u32, u32, bool)>, BusError> {
        let mut tx = self.db.system(Reason::Relay).await?;
        let rows: Vec<(String, i32, i32, bool)> =
            sqlx::query_as("SELECT * FROM bus_come_again($1, $2, $3, $4, $5)")
                .bind(queue)
                .bind(names)
                .bind(receives)
                .bind(self.clock.now())
                .bind(self.until(lease))
                .fetch_all(tx.conn())
                .await
                .map_err(DbError::from)?;
        tx.commit().await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(name, lost, back, goes)| (name, (lost.unsigned_abs(), back.unsigned_abs(), goes)))
            .collect())
    }

    /// Notes that a message is given back, after a try or untried.
    pub(super) async fn come_back(&self, delivery: &Delivery, tried: bool) -> Result<(), BusError> {
        let Receipt::Handle { message, .. } = &delivery.receipt else { return Ok(()) };
        let mut tx = self.db.system(Reason::Relay).await?;
        sqlx::query("SELECT bus_come_back($1, $2, $3, $4)")
            .bind(&delivery.queue)
            .bind(message)
            .bind(tried)
            .bind(self.clock.now())
            .execute(tx.conn())
            .await
            .map_err(DbError::from)?;
        Ok(tx.commit().await?)
    }

    /// Notes of messages in hand ahead of their turn that they are given back: they were with no handler.
    pub(super) async fn go_back(&self, queue: &str, names: &[&str]) -> Result<(), BusError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.system(Reason::Relay).await?;
        sqlx::query("SELECT bus_go_back($1, $2, $3)")
            .bind(queue)
            .bind(names)
            .bind(self.clock.now())
            .execute(tx.conn())
            .await
            .map_err(DbError::from)?;
        Ok(tx.commit().await?)
    }

    /// Keeps what may have killed its consumers apart from others of the kind for another lease.
    pub(super) async fn stay_alone(&self, delivery: &Delivery, lease: Duration) -> Result<(), BusError> {
        let Receipt::Handle { message, .. } = &delivery.receipt else { return Ok(()) };
        let mut tx = self.db.system(Reason::Relay).await?;
        sqlx::query("SELECT bus_stay_alone($1, $2, $3)")
            .bind(&delivery.queue)
            .bind(message)
            .bind(self.until(lease))
            .execute(tx.conn())
            .await
            .map_err(DbError::from)?;
        Ok(tx.commit().await?)
    }

    /// Forgets what was written of messages that have ended. They have, whatever comes of this: what is left is tidied away.
    pub(super) async fn forget_comebacks(&self, queue: &str, ended: &[Delivery]) {
        let again = ended.iter().filter(|delivery| delivery.attempt > 1);
        let names: Vec<&str> = again
            .filter_map(|delivery| match &delivery.receipt {
                Receipt::Handle { message, .. } => Some(message.as_str()),
                Receipt::Row(_) => None,
            })
            .collect();
        if names.is_empty() {
            return;
        }
        let forgotten = async {
            let mut tx = self.db.system(Reason::Relay).await?;
            sqlx::query("SELECT bus_forget_comebacks($1, $2)")
                .bind(queue)
                .bind(names)
                .execute(tx.conn())
                .await?;
            tx.commit().await
        };
        if let Err(error) = forgotten.await {
            tracing::debug!(%error, queue, "what became of messages that have ended is forgotten later");
        }
    }

    pub(super) async fn forget_old_comebacks(&self, before: DateTime<Utc>) -> Result<u64, BusError> {
        let mut tx = self.db.system(Reason::Relay).await?;
        let gone: i64 = sqlx::query_scalar("SELECT bus_forget_old_comebacks($1)")
            .bind(before)
            .fetch_one(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        Ok(gone.unsigned_abs())
    }
}
