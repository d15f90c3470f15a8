//! Who replayed or discarded what: append-only rows beside the embedded bus, whichever bus is used.

use chrono::{DateTime, Utc};
use cs_core::{Caller, EventId, Ids, TenantId};
use cs_db::{Db, DbError, Reason, Tx};
use cs_proto::ops::v1::Intervention;
use uuid::Uuid;

use super::rfc3339;

type Row = (String, String, String, String, String, String, DateTime<Utc>);

/// Keeps what operators did.
#[derive(Clone)]
pub struct Ledger {
    db: Db,
    ids: Ids,
}

/// What was done to.
pub(super) struct Touched {
    pub(super) place: String,
    pub(super) letter: String,
    pub(super) kind: String,
}

impl Ledger {
    /// Over the bus's schema.
    pub fn new(db: Db, ids: Ids) -> Self {
        Self { db, ids }
    }

    /// Writes down what `caller` is about to do.
    pub(super) async fn record(
        &self,
        caller: &Caller,
        action: &str,
        reason: &str,
        touched: &[Touched],
    ) -> Result<(), DbError> {
        let ids: Vec<Uuid> = touched.iter().map(|_| self.ids.next::<EventId>().uuid()).collect();
        let column = |of: fn(&Touched) -> &String| touched.iter().map(|t| of(t).clone()).collect::<Vec<_>>();
        let mut tx = self.db.system(Reason::Operations).await?;
        sqlx::query("SELECT bus_intervened($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(ids)
            .bind(caller.tenant.uuid())
            .bind(caller.subject.to_string())
            .bind(action)
            .bind(column(|t| &t.place))
            .bind(column(|t| &t.letter))
            .bind(column(|t| &t.kind))
            .bind(reason)
            .bind(self.ids.now())
            .execute(tx.conn())
            .await?;
        tx.commit().await
    }

    /// The newest of a tenant.
    pub(super) async fn list(&self, tenant: TenantId, most: u32) -> Result<Vec<Intervention>, DbError> {
        let mut tx = self.db.system(Reason::Operations).await?;
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM bus_interventions($1, $2)")
            .bind(tenant.uuid())
            .bind(i32::try_from(most).unwrap_or(i32::MAX))
            .fetch_all(tx.conn())
            .await?;
        Ok(rows
            .into_iter()
            .map(|(actor, action, place, letter, kind, reason, at)| Intervention {
                actor,
                action,
                place,
                letter,
                r#type: kind,
                reason,
                at: rfc3339(at),
            })
            .collect())
    }
}
