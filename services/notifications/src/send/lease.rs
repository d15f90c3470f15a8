//! What a sender holds of messages: renewed while it sends, let go of one by one.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Mutex as Plain, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{Caller, TenantId, Trace};
use cs_db::Reason;
use cs_events::dies_at;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::LEASE;
use crate::store::addresses;
use crate::store::deliveries::Claim;
use crate::store::erasure;
use crate::store::messages::{self, Ended};
use crate::{Deps, Error, SCHEMA};

/// Less of the lease than this is left: nothing more is begun, because another sender may begin it soon.
const MARGIN: TimeDelta = TimeDelta::seconds(30);
/// Between tries to write what became of a message.
const AGAIN: Duration = Duration::from_millis(500);

/// A message that was tried.
pub(super) struct Tried {
    pub(super) tenant: TenantId,
    pub(super) ended: Ended,
    /// Its address, where that is gone for good.
    pub(super) gone: Option<Uuid>,
}

/// The messages of one batch that have not ended yet.
pub(super) struct Lease<'a> {
    deps: &'a Deps,
    /// Held while they are renewed or ended, so that what waits for its next try is not renewed.
    left: Mutex<HashMap<Uuid, Claim>>,
    until: Plain<DateTime<Utc>>,
}

impl<'a> Lease<'a> {
    pub(super) fn new(deps: &'a Deps, claims: &[Claim], until: DateTime<Utc>) -> Self {
        let left = claims.iter().map(|claim| (claim.id, claim.clone())).collect();
        Self { deps, left: Mutex::new(left), until: Plain::new(until) }
    }

    fn until(&self) -> DateTime<Utc> {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a message may be begun.
    pub(super) async fn holds(&self, id: Uuid) -> bool {
        self.left.lock().await.contains_key(&id) && self.deps.ids.now() + MARGIN < self.until()
    }

    /// Says again and again that somebody is at work; never ends.
    pub(super) async fn renew(&self, every: Duration) -> Infallible {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = self.renew_once().await {
                tracing::warn!(%error, "the lease of messages could not be renewed");
            }
        }
    }

    async fn renew_once(&self) -> Result<(), Error> {
        let mut left = self.left.lock().await;
        let until = self.deps.ids.now() + LEASE;
        let claims: Vec<&Claim> = left.values().collect();
        let mut tx = self.deps.db.system(Reason::Jobs).await?;
        let kept = messages::renew(&mut tx, &claims, until).await?;
        tx.commit().await?;
        dies_at!("send.renewed");
        // What another sender has by now is not begun here.
        left.retain(|id, _| kept.contains(id));
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        Ok(())
    }

    /// Writes what became of messages.
    pub(super) async fn end(&self, tried: Vec<Tried>) -> Result<(), Error> {
        let mut by_tenant: BTreeMap<TenantId, Vec<Tried>> = BTreeMap::new();
        for one in tried {
            by_tenant.entry(one.tenant).or_default().push(one);
        }
        let mut failure = None;
        for (tenant, tried) in by_tenant {
            // One tenant's trouble is no other's.
            if let Err(error) = self.end_for(tenant, &tried).await {
                tracing::warn!(%error, tenant_id = %tenant, messages = tried.len(), "what became of messages could not be written");
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// What was sent and is not written is sent twice: a database that is away is waited for as long as the lease lasts.
    async fn end_for(&self, tenant: TenantId, tried: &[Tried]) -> Result<(), Error> {
        loop {
            let mut left = self.left.lock().await;
            let error = match self.write(tenant, tried).await {
                Ok(()) => {
                    for one in tried {
                        left.remove(&one.ended.id);
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            drop(left);
            if !matches!(&error, Error::Db(db) if db.is_transient()) || self.deps.ids.now() >= self.until() {
                return Err(error);
            }
            tracing::warn!(%error, tenant_id = %tenant, "what became of messages is written again");
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn write(&self, tenant: TenantId, tried: &[Tried]) -> Result<(), Error> {
        let caller = Caller::service(SCHEMA, tenant, Trace::start());
        let ended: Vec<&Ended> = tried.iter().map(|one| &one.ended).collect();
        let gone: Vec<Uuid> = tried.iter().filter_map(|one| one.gone).collect();
        let mut tx = self.deps.db.tenant(&caller).await?;
        erasure::hold_off(&mut tx).await?;
        let kept = messages::end(&mut tx, &self.deps.ids, ended).await?;
        if !gone.is_empty() {
            addresses::forget(&mut tx, &gone).await?;
        }
        dies_at!("send.writing");
        tx.commit().await?;
        dies_at!("send.written");
        tracing::info!(tenant_id = %tenant, tries = tried.len(), kept, gone = gone.len(), "messages sent");
        Ok(())
    }
}
