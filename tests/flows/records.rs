//! What is withdrawn or hidden is found no more.

use councilsense::wiring::Role;
use cs_proto::common::v1::{BatchGetRequest, Visibility};
use cs_proto::meetings::v1 as mt;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1::records_client::RecordsClient;
use cs_proto::ops::v1::{SetArtifactVisibilityRequest, WithdrawMeetingRequest};
use cs_proto::search::v1::SearchRequest;
use cs_proto::search::v1::search_client::SearchClient;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use cs_proto::summaries::v1::{BatchGetClaimsRequest, GetSummaryRequest, Summary};

use crate::harness::{Harness, MINUTES, Mode, anonymous, operator, tenant};

pub(crate) async fn total(h: &Harness, caller: &cs_core::Caller) -> u64 {
    let request = SearchRequest { query: "Riverside".to_owned(), ..Default::default() };
    let mut client = SearchClient::new(h.channel(Role::Search));
    client.search(h.request(caller, request)).await.unwrap().into_inner().total
}

async fn artifact(h: &Harness, caller: &cs_core::Caller, meeting: &str) -> String {
    let request = mt::BatchListArtifactsRequest { meeting_ids: vec![meeting.to_owned()] };
    let mut client = MeetingsClient::new(h.channel(Role::Meetings));
    client
        .batch_list_artifacts(h.request(caller, request))
        .await
        .unwrap()
        .into_inner()
        .artifacts
        .pop()
        .unwrap()
        .id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_artifact_hides_all_drawn_from_it_and_a_withdrawn_meeting_is_gone() {
    let h = Harness::start("records", Mode::Together).await;
    let tenant = tenant();
    let (clerk, reader) = (operator(tenant), anonymous(tenant));
    let files = [("minutes.txt", "minutes", MINUTES.as_bytes())];
    let taken = h.ingest(&clerk, "springfield", "m", &files).await;
    h.drain().await;
    assert!(total(&h, &reader).await > 0);
    let id = artifact(&h, &clerk, &taken.meeting_id).await;

    let mut records = RecordsClient::new(h.channel(Role::Meetings));
    let hide =
        |tag: Visibility| SetArtifactVisibilityRequest { artifact_id: id.clone(), visibility: tag.into() };
    let refused =
        records.set_artifact_visibility(h.request(&reader, hide(Visibility::Public))).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    for changed in [true, false] {
        let request = h.request(&clerk, hide(Visibility::Reviewer));
        assert_eq!(records.set_artifact_visibility(request).await.unwrap().into_inner().changed, changed);
    }
    h.drain().await;
    assert_eq!(total(&h, &reader).await, 0, "passages and claims are hidden");
    assert!(total(&h, &clerk).await > 0, "not from those who may see them");
    let hidden = summary(&h, &reader, &taken.meeting_id).await.unwrap();
    assert!(
        hidden.claims.is_empty() && hidden.short_summary.is_empty(),
        "nor does the meeting's page quote it"
    );
    let seen = summary(&h, &clerk, &taken.meeting_id).await.unwrap();
    assert!(!seen.claims.is_empty() && !seen.short_summary.is_empty());
    let claim = seen.claims[0].id.clone();
    assert_eq!(claims(&h, &reader, &claim).await, 0);
    records.set_artifact_visibility(h.request(&clerk, hide(Visibility::Public))).await.unwrap();
    h.drain().await;
    assert!(total(&h, &reader).await > 0);
    assert_eq!(summary(&h, &reader, &taken.meeting_id).await.unwrap(), seen, "all of it is back");
    assert_eq!(claims(&h, &reader, &claim).await, 1);

    let away = |reason: &str| WithdrawMeetingRequest {
        meeting_id: taken.meeting_id.clone(),
        reason: reason.to_owned(),
    };
    let refused = records.withdraw_meeting(h.request(&clerk, away(" "))).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    for changed in [true, false] {
        let request = h.request(&clerk, away("published by mistake"));
        assert_eq!(records.withdraw_meeting(request).await.unwrap().into_inner().changed, changed);
    }
    h.drain().await;
    assert_eq!((total(&h, &reader).await, total(&h, &clerk).await), (0, 0));
    let by_id = BatchGetRequest { ids: vec![taken.meeting_id.clone()] };
    let mut meetings = MeetingsClient::new(h.channel(Role::Meetings));
    let found = meetings.batch_get_meetings(h.request(&reader, by_id)).await.unwrap().into_inner();
    assert!(found.meetings.is_empty());
    // Nothing that somebody has an address of leads to it any more.
    let by_id = |id: &str| BatchGetRequest { ids: vec![id.to_owned()] };
    let found = meetings.batch_get_artifacts(h.request(&clerk, by_id(&id))).await.unwrap().into_inner();
    assert!(found.artifacts.is_empty());
    assert_eq!(summary(&h, &clerk, &taken.meeting_id).await.unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(claims(&h, &clerk, &claim).await, 0);

    // Its source goes on changing.
    let text = format!("{MINUTES}\nCorrected.\n");
    let again = h.ingest(&clerk, "springfield", "m", &[("minutes.txt", "minutes", text.as_bytes())]).await;
    assert_eq!((again.meeting_id.as_str(), again.changed), (taken.meeting_id.as_str(), false));
    h.drain().await;
    assert_eq!(total(&h, &clerk).await, 0);
}

async fn summary(h: &Harness, caller: &cs_core::Caller, meeting: &str) -> Result<Summary, tonic::Status> {
    let request = GetSummaryRequest { meeting_id: meeting.to_owned(), version: 0 };
    let mut summaries = SummariesClient::new(h.channel(Role::Summaries));
    Ok(summaries.get_summary(h.request(caller, request)).await?.into_inner().summary.unwrap())
}

async fn claims(h: &Harness, caller: &cs_core::Caller, id: &str) -> usize {
    let request = BatchGetClaimsRequest { ids: vec![id.to_owned()] };
    let mut summaries = SummariesClient::new(h.channel(Role::Summaries));
    summaries.batch_get_claims(h.request(caller, request)).await.unwrap().into_inner().claims.len()
}
