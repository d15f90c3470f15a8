//! What a resident was told: the list, and what of it they have read.

use cs_core::page::{Page, Paged};
use cs_core::{Caller, DeliveryId, Ids};
use cs_db::TenantTx;

use crate::Error;
use crate::follow::own;
use crate::store::inbox as store;
pub use crate::store::inbox::Notification;

/// Most notifications in one request.
const MOST: usize = 100;

/// The caller's notifications, newest first, and how many are unread.
pub async fn list(
    tx: &mut TenantTx,
    caller: &Caller,
    page: &Page<i64>,
    unread_only: bool,
) -> Result<(Paged<Notification>, u32), Error> {
    let user = own(caller)?;
    let rows = store::page(tx, user, page, unread_only).await?;
    Ok((Paged::from_overfetch(page, rows), store::unread(tx, user).await?))
}

/// Which ones.
#[derive(Clone, Debug)]
pub enum Which {
    /// Every one of the caller's.
    All,
    /// These; all of them the caller's, or none is changed.
    These(Vec<DeliveryId>),
}

/// Marks as read; read before, it keeps its time. Gives the newest hundred of those named or changed, and how many
/// are unread now.
pub async fn mark_read(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    which: &Which,
) -> Result<(Vec<Notification>, u32), Error> {
    let user = own(caller)?;
    let rows = match which {
        Which::All => {
            let changed = store::read_all(tx, user, ids.now()).await?;
            store::these(tx, user, &changed[..changed.len().min(MOST)]).await?
        }
        Which::These(named) => {
            if named.len() > MOST {
                return Err(Error::invalid("ids", format!("at most {MOST} at once")));
            }
            let named: Vec<_> = named.iter().map(|id| id.uuid()).collect();
            store::read(tx, user, &named, ids.now()).await?;
            let found = store::these(tx, user, &named).await?;
            if named.iter().any(|id| !found.iter().any(|n| n.id == *id)) {
                return Err(Error::NotFound("notification"));
            }
            found
        }
    };
    Ok((rows, store::unread(tx, user).await?))
}
