//! The city a person calls home. Notifications learn of it by event, and make it a follow.

use std::time::Duration;

use cs_core::{Caller, CityId, Ids};
use cs_db::TenantTx;
use cs_events::{Envelope, Fact, outbox};
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::events::v1::AccountHomeCityChanged;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_rpc::Failure;

use crate::{Deps, Error, SCHEMA, User, store};

const DEADLINE: Duration = Duration::from_secs(3);

/// Asks meetings whether there is such a city in the caller's tenant. Before the transaction: none is held across a
/// call. A city is never deleted, so the answer stays true.
pub async fn check(deps: &Deps, caller: &Caller, city: CityId) -> Result<(), Error> {
    let us = Caller {
        request_id: caller.request_id.clone(),
        ..Caller::service(SCHEMA, caller.tenant, caller.trace.child())
    };
    let asked = BatchGetRequest { ids: vec![city.to_string()] };
    let failed = |status: tonic::Status| Error::Meetings(Failure::from(&status));
    let request = deps.outbound.to("meetings").request(&us, asked, DEADLINE).map_err(failed)?;
    let answer =
        MeetingsClient::new(deps.meetings.clone()).batch_get_cities(request).await.map_err(failed)?;
    if answer.get_ref().cities.iter().any(|known| known.id == city.to_string()) {
        Ok(())
    } else {
        Err(Error::UnknownCity)
    }
}

/// Moves the caller's home to a city that was checked, or to none. The same city again changes and tells nothing.
pub async fn set(tx: &mut TenantTx, caller: &Caller, ids: &Ids, city: Option<CityId>) -> Result<User, Error> {
    let id = crate::users::own(caller)?;
    // Held until the end, so that two changes at once get different versions in the order they are made.
    if !store::lock_user(tx, id).await? {
        return Err(Error::NotFound("account"));
    }
    let before = store::user(tx, id).await?.ok_or(Error::NotFound("account"))?;
    if before.home_city == city {
        return Ok(before);
    }
    let version = store::set_home_city(tx, id, city, ids.now()).await?;
    let text = |city: Option<CityId>| city.map(|c| c.to_string()).unwrap_or_default();
    let payload = AccountHomeCityChanged {
        user_id: id.to_string(),
        city_id: text(city),
        previous_city_id: text(before.home_city),
        version: version.unsigned_abs(),
    };
    let fact = Fact {
        kind: "account.home_city_changed",
        resource: ("account", id.to_string()),
        key: format!("{id}:{version}"),
        payload: &payload,
    };
    outbox::put(tx, &Envelope::new(SCHEMA, caller, ids, fact)?).await?;
    Ok(User { home_city: city, version, ..before })
}
