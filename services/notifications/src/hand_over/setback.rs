//! What could not be handed over: put off, and in the end given up.
//!
//! An error of the database's passing is no delivery's fault: everything is put off, and nothing is counted. One that comes
//! again whenever the same is tried is counted against the delivery that was tried alone; the last of its tries makes it a
//! dead letter.

use std::time::Duration;

use cs_core::{Caller, TenantId, Trace};

use crate::send::{POLICY, wait};
use crate::store::deliveries::{self, Claim};
use crate::store::erasure;
use crate::{Deps, Error, SCHEMA};

/// Tries to write it where the database is away, and between them: a restart of it takes seconds. After that the lease
/// ends by itself.
const WRITES: u32 = 10;
const AGAIN: Duration = Duration::from_millis(500);

/// Puts claims off, each by how often it was taken.
pub(super) async fn give_back(deps: &Deps, tenant: TenantId, claims: &[Claim]) -> Result<(), Error> {
    let mut writes = 1;
    loop {
        let put_off = async {
            let now = deps.ids.now();
            let mut tx = deps.db.tenant(&Caller::service(SCHEMA, tenant, Trace::start())).await?;
            erasure::hold_off(&mut tx).await?;
            let claims: Vec<_> =
                claims.iter().map(|claim| (claim, now + wait(claim.attempt.unsigned_abs()))).collect();
            deliveries::put_off(&mut tx, &claims).await?;
            tx.commit().await
        };
        match put_off.await {
            Err(error) if error.is_transient() && writes < WRITES => {
                writes += 1;
                tokio::time::sleep(AGAIN).await;
            }
            written => return Ok(written?),
        }
    }
}

/// Counts a failure against the one delivery that was tried.
pub(super) async fn of(deps: &Deps, tenant: TenantId, claim: &Claim, error: &Error) -> Result<(), Error> {
    let mut tx = deps.db.tenant(&Caller::service(SCHEMA, tenant, Trace::start())).await?;
    erasure::hold_off(&mut tx).await?;
    let Some(failures) = deliveries::count_failure(&mut tx, claim).await? else { return Ok(()) };
    let again = (failures < POLICY.attempts).then(|| deps.ids.now() + wait(failures));
    let why = error.to_string().replace('\0', "");
    deliveries::fail(&mut tx, &deps.ids, claim, &why, again).await?;
    tx.commit().await?;
    if again.is_none() {
        tracing::error!(delivery_id = %claim.id, tenant_id = %tenant, %error, "a notification is given up: it waits among the dead letters");
    }
    Ok(())
}
