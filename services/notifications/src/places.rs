//! Which cities and bodies there are: meetings knows. Asked before a transaction, never inside one.

use std::collections::HashSet;
use std::time::Duration;

use cs_core::{BodyId, Caller, CityId, MeetingId};
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_rpc::Failure;
use tonic::{Request, Status};

use crate::{Deps, Error, SCHEMA};

const DEADLINE: Duration = Duration::from_secs(3);
/// Most that meetings tells at once.
const MOST: usize = 100;

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

/// Which of these meetings there are; what was taken back there is not.
pub(crate) async fn standing(
    deps: &Deps,
    caller: &Caller,
    meetings: &[MeetingId],
) -> Result<HashSet<MeetingId>, Error> {
    let mut there = HashSet::new();
    for some in meetings.chunks(MOST) {
        let request = ask_all(deps, caller, some.iter().map(ToString::to_string).collect())?;
        let answer =
            MeetingsClient::new(deps.meetings.clone()).batch_get_meetings(request).await.map_err(failed)?;
        there.extend(answer.into_inner().meetings.into_iter().filter_map(|m| m.id.parse::<MeetingId>().ok()));
    }
    Ok(there)
}

fn ask(deps: &Deps, caller: &Caller, id: String) -> Result<Request<BatchGetRequest>, Error> {
    ask_all(deps, caller, vec![id])
}

fn ask_all(deps: &Deps, caller: &Caller, ids: Vec<String>) -> Result<Request<BatchGetRequest>, Error> {
    let us = Caller {
        request_id: caller.request_id.clone(),
        ..Caller::service(SCHEMA, caller.tenant, caller.trace.child())
    };
    let asked = BatchGetRequest { ids };
    deps.outbound.to("meetings").request(&us, asked, DEADLINE).map_err(failed)
}

fn failed(status: Status) -> Error {
    Error::Meetings(Failure::from(&status))
}
