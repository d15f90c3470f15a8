//! `summaries.v1.Summaries`: proto ⇄ use cases, no rules.

use std::str::FromStr;

use cs_core::{ClaimId, InvalidId, MeetingId};
use cs_proto::summaries::v1 as pb;
use cs_proto::summaries::v1::summaries_server::Summaries;
use cs_rpc::{FieldViolation, caller};
use tonic::{Request, Response, Status};

use crate::{Deps, Error, agenda_items, grpc_review, read};

const MOST_MEETINGS: usize = 100;
const MOST_CLAIMS: usize = 200;

/// The service.
pub struct SummariesService(Deps);

impl SummariesService {
    /// Over `deps`.
    pub fn new(deps: Deps) -> Self {
        Self(deps)
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn ids<T: FromStr<Err = InvalidId>>(field: &str, texts: &[String], most: usize) -> Result<Vec<T>, Error> {
    if texts.len() > most {
        return Err(Error::Invalid(FieldViolation::new(field, format!("at most {most} at once"))));
    }
    texts.iter().map(|text| id(field, text)).collect()
}

pub(crate) fn id<T: FromStr<Err = InvalidId>>(field: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|e: InvalidId| Error::Invalid(FieldViolation::new(field, e.to_string())))
}

#[tonic::async_trait]
impl Summaries for SummariesService {
    async fn batch_get_current_summaries(
        &self,
        request: Request<pb::BatchGetCurrentSummariesRequest>,
    ) -> Answer<pb::BatchGetCurrentSummariesResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let meetings: Vec<MeetingId> = ids("meeting_ids", &request.meeting_ids, MOST_MEETINGS)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let summaries = read::current(&mut tx, &caller, &meetings, &request.view.unwrap_or_default()).await?;
        Ok(Response::new(pb::BatchGetCurrentSummariesResponse { summaries }))
    }

    async fn list_versions(
        &self,
        request: Request<pb::ListVersionsRequest>,
    ) -> Answer<pb::ListVersionsResponse> {
        let caller = caller(&request)?;
        let meeting = id("meeting_id", &request.get_ref().meeting_id)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let summaries = read::versions(&mut tx, &caller, meeting).await?;
        Ok(Response::new(pb::ListVersionsResponse { summaries }))
    }

    async fn get_summary(&self, request: Request<pb::GetSummaryRequest>) -> Answer<pb::GetSummaryResponse> {
        let caller = caller(&request)?;
        let meeting = id("meeting_id", &request.get_ref().meeting_id)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let summary = read::version(&mut tx, &caller, meeting, request.get_ref().version).await?;
        Ok(Response::new(pb::GetSummaryResponse { summary: Some(summary) }))
    }

    async fn batch_get_claims(
        &self,
        request: Request<pb::BatchGetClaimsRequest>,
    ) -> Answer<pb::BatchGetClaimsResponse> {
        let caller = caller(&request)?;
        let ids: Vec<ClaimId> = ids("ids", &request.get_ref().ids, MOST_CLAIMS)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let claims = read::claims(&mut tx, &caller, &ids).await?;
        Ok(Response::new(pb::BatchGetClaimsResponse { claims }))
    }

    async fn batch_get_agenda_items(
        &self,
        request: Request<pb::BatchGetAgendaItemsRequest>,
    ) -> Answer<pb::BatchGetAgendaItemsResponse> {
        let caller = caller(&request)?;
        let meetings: Vec<MeetingId> = ids("meeting_ids", &request.get_ref().meeting_ids, MOST_MEETINGS)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let agendas = agenda_items::of_meetings(&mut tx, &caller, &meetings).await?;
        Ok(Response::new(pb::BatchGetAgendaItemsResponse { agendas }))
    }

    async fn list_review_queue(
        &self,
        request: Request<pb::ListReviewQueueRequest>,
    ) -> Answer<pb::ListReviewQueueResponse> {
        let caller = caller(&request)?;
        Ok(Response::new(grpc_review::list_review_queue(&self.0, &caller, request.into_inner()).await?))
    }

    async fn approve_summary(
        &self,
        request: Request<pb::ApproveSummaryRequest>,
    ) -> Answer<pb::ApproveSummaryResponse> {
        let caller = caller(&request)?;
        Ok(Response::new(grpc_review::approve_summary(&self.0, &caller, request.into_inner()).await?))
    }

    async fn retract_claim(
        &self,
        request: Request<pb::RetractClaimRequest>,
    ) -> Answer<pb::RetractClaimResponse> {
        let caller = caller(&request)?;
        Ok(Response::new(grpc_review::retract_claim(&self.0, &caller, request.into_inner()).await?))
    }

    async fn flag_claim(&self, request: Request<pb::FlagClaimRequest>) -> Answer<pb::FlagClaimResponse> {
        let caller = caller(&request)?;
        Ok(Response::new(grpc_review::flag_claim(&self.0, &caller, request.into_inner()).await?))
    }

    async fn list_reviews(
        &self,
        request: Request<pb::ListReviewsRequest>,
    ) -> Answer<pb::ListReviewsResponse> {
        let caller = caller(&request)?;
        Ok(Response::new(grpc_review::list_reviews(&self.0, &caller, request.into_inner()).await?))
    }

    async fn export_person(
        &self,
        request: Request<pb::ExportPersonRequest>,
    ) -> Answer<pb::ExportPersonResponse> {
        let caller = caller(&request)?;
        Ok(Response::new(grpc_review::export_person(&self.0, &caller).await?))
    }
}
