//! `ops.v1.Runs`, `ops.v1.Sources` and `ops.v1.Records`: this service's part of the operators' interface. Reviewers begin
//! runs and watch them too.

use std::pin::Pin;

use cs_core::{Caller, CityId, RunId, SourceId};
use cs_policy::{Action, allow};
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::ops::v1 as pb;
use cs_proto::ops::v1::records_server::Records;
use cs_proto::ops::v1::runs_server::Runs;
use cs_proto::ops::v1::sources_server::Sources;
use futures::Stream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::grpc::{id, ids, optional_id, page, page_info};
use crate::store::runs;
use crate::{Deps, Error, messages, read, rerun, scan, visibility, watch_run, withdraw};

/// The service.
#[derive(Clone)]
pub struct OpsService(Deps);

impl OpsService {
    /// Over `deps`.
    pub fn new(deps: Deps) -> Self {
        Self(deps)
    }
}

type Answer<T> = Result<Response<T>, Status>;

/// Who calls, if they may. Before the message is looked at: what is wrong with it is for those who may.
fn operator<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = cs_rpc::caller(request)?;
    allow(&caller, Action::Operate).map_err(Error::from)?;
    Ok(caller)
}

#[tonic::async_trait]
impl Runs for OpsService {
    async fn list_runs(&self, request: Request<pb::ListRunsRequest>) -> Answer<pb::ListRunsResponse> {
        let caller = operator(&request)?;
        let r = request.into_inner();
        let (meeting, city) =
            (optional_id("meeting_id", &r.meeting_id)?, optional_id("city_id", &r.city_id)?);
        let state = (!r.state.is_empty()).then_some(r.state);
        if let Some(unknown) = state.as_deref().filter(|state| !runs::STATES.contains(state)) {
            let rule = format!("{unknown:?} is none of {}", runs::STATES.join(", "));
            return Err(Error::invalid("state", rule).into());
        }
        let page = page::<Uuid>(r.page)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let paged = read::runs(&mut tx, meeting, city, state.as_deref(), &page).await?;
        let (cursors, info) =
            page_info(&paged, |run| run.id.parse::<RunId>().map(RunId::uuid).unwrap_or_default());
        Ok(Response::new(pb::ListRunsResponse { runs: paged.rows, cursors, page_info: Some(info) }))
    }

    async fn batch_get_runs(&self, request: Request<BatchGetRequest>) -> Answer<pb::BatchGetRunsResponse> {
        let caller = operator(&request)?;
        let ids: Vec<RunId> = ids("ids", &request.get_ref().ids)?;
        let ids: Vec<Uuid> = ids.into_iter().map(RunId::uuid).collect();
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let rows = runs::by_ids(&mut tx, &ids).await.map_err(Error::from)?;
        Ok(Response::new(pb::BatchGetRunsResponse { runs: rows.into_iter().map(messages::run).collect() }))
    }

    async fn rerun_meeting(
        &self,
        request: Request<pb::RerunMeetingRequest>,
    ) -> Answer<pb::RerunMeetingResponse> {
        let caller = cs_rpc::caller(&request)?;
        rerun::may(&caller).map_err(Error::from)?;
        let meeting = id("meeting_id", &request.get_ref().meeting_id)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let run =
            rerun::rerun(&mut tx, &caller, &self.0.ids, meeting, &request.get_ref().idempotency_key).await?;
        let row = runs::by_ids(&mut tx, &[run.uuid()]).await.map_err(Error::from)?.pop();
        tx.commit().await.map_err(Error::from)?;
        Ok(Response::new(pb::RerunMeetingResponse { run: row.map(messages::run) }))
    }

    type WatchRunStream = Pin<Box<dyn Stream<Item = Result<pb::WatchRunResponse, Status>> + Send>>;

    async fn watch_run(&self, request: Request<pb::WatchRunRequest>) -> Answer<Self::WatchRunStream> {
        let caller = cs_rpc::caller(&request)?;
        rerun::may(&caller).map_err(Error::from)?;
        let request = request.into_inner();
        let stream = watch_run::watch(&self.0, caller, id("id", &request.id)?, &request.after).await?;
        Ok(Response::new(Box::pin(stream)))
    }
}

#[tonic::async_trait]
impl Sources for OpsService {
    async fn add_source(&self, request: Request<pb::AddSourceRequest>) -> Answer<pb::AddSourceResponse> {
        let caller = operator(&request)?;
        let r = request.into_inner();
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let source =
            scan::add_source(&mut tx, &caller, &self.0.ids, &r.city, &r.kind, &r.location, &r.schedule)
                .await?;
        tx.commit().await.map_err(Error::from)?;
        Ok(Response::new(pb::AddSourceResponse { source: Some(messages::source(source.0)) }))
    }

    async fn list_sources(
        &self,
        request: Request<pb::ListSourcesRequest>,
    ) -> Answer<pb::ListSourcesResponse> {
        let caller = operator(&request)?;
        let city: Option<CityId> = optional_id("city_id", &request.get_ref().city_id)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let rows = scan::list_sources(&mut tx, &caller, city).await?;
        Ok(Response::new(pb::ListSourcesResponse {
            sources: rows.into_iter().map(|s| messages::source(s.0)).collect(),
        }))
    }

    async fn scan_city(&self, request: Request<pb::ScanCityRequest>) -> Answer<pb::ScanCityResponse> {
        let caller = operator(&request)?;
        let city = request.into_inner().city;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let asked = scan::scan_city(&mut tx, &caller, &self.0.ids, &city).await?;
        tx.commit().await.map_err(Error::from)?;
        let source_ids = asked.iter().map(SourceId::to_string).collect();
        Ok(Response::new(pb::ScanCityResponse { source_ids }))
    }
}

#[tonic::async_trait]
impl Records for OpsService {
    async fn withdraw_meeting(
        &self,
        request: Request<pb::WithdrawMeetingRequest>,
    ) -> Answer<pb::WithdrawMeetingResponse> {
        let caller = operator(&request)?;
        let r = request.into_inner();
        let meeting = id("meeting_id", &r.meeting_id)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let changed = withdraw::withdraw(&mut tx, &caller, &self.0.ids, meeting, &r.reason).await?;
        tx.commit().await.map_err(Error::from)?;
        Ok(Response::new(pb::WithdrawMeetingResponse { changed }))
    }

    async fn set_artifact_visibility(
        &self,
        request: Request<pb::SetArtifactVisibilityRequest>,
    ) -> Answer<pb::SetArtifactVisibilityResponse> {
        let caller = operator(&request)?;
        let r = request.get_ref();
        let artifact = id("artifact_id", &r.artifact_id)?;
        let tag = messages::tag_given("visibility", r.visibility())?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let changed = visibility::set(&mut tx, &caller, &self.0.ids, artifact, tag).await?;
        tx.commit().await.map_err(Error::from)?;
        Ok(Response::new(pb::SetArtifactVisibilityResponse { changed }))
    }
}
