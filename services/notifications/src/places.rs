//! Which cities and bodies there are: meetings knows. Asked before a transaction, never inside one.

use std::time::Duration;

use cs_core::{BodyId, Caller, CityId};
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_rpc::Failure;
use tonic::{Request, Status};

use crate::{Deps, Error, SCHEMA};

const DEADLINE: Duration = Duration::from_secs(3);

/// The name of a city of the caller's tenant.
pub(crate) async fn city_name(deps: &Deps, caller: &Caller, city: CityId) -> Result<Option<String>, Error> {
    let request = ask(deps, caller, city.to_string())?;
    let answer =
        MeetingsClient::new(deps.meetings.clone()).batch_get_cities(request).await.map_err(failed)?;
    Ok(answer.into_inner().cities.into_iter().find(|c| c.id == city.to_string()).map(|c| c.name))
}

/// Whether there is such a body in the caller's tenant.
pub(crate) async fn is_body(deps: &Deps, caller: &Caller, body: BodyId) -> Result<bool, Error> {
    let request = ask(deps, caller, body.to_string())?;
    let answer =
        MeetingsClient::new(deps.meetings.clone()).batch_get_bodies(request).await.map_err(failed)?;
    Ok(answer.get_ref().bodies.iter().any(|b| b.id == body.to_string()))
}

fn ask(deps: &Deps, caller: &Caller, id: String) -> Result<Request<BatchGetRequest>, Error> {
    let us = Caller {
        request_id: caller.request_id.clone(),
        ..Caller::service(SCHEMA, caller.tenant, caller.trace.child())
    };
    let asked = BatchGetRequest { ids: vec![id] };
    deps.outbound.to("meetings").request(&us, asked, DEADLINE).map_err(failed)
}

fn failed(status: Status) -> Error {
    Error::Meetings(Failure::from(&status))
}
