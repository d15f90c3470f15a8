//! What is withdrawn or hidden is found no more.

use std::sync::Arc;

use councilsense::wiring::Role;
use cs_proto::common::v1::{BatchGetRequest, Visibility};
use cs_proto::meetings::v1 as mt;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1::records_client::RecordsClient;
use cs_proto::ops::v1::{SetArtifactVisibilityRequest, WithdrawMeetingRequest};
use cs_proto::search::v1::SearchRequest;
use cs_proto::search::v1::search_client::SearchClient;

use crate::harness::{Harness, MINUTES, Mode, anonymous, operator, tenant};

async fn total(h: &Harness, caller: &cs_core::Caller) -> u64 {
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
    records.set_artifact_visibility(h.request(&clerk, hide(Visibility::Public))).await.unwrap();
    h.drain().await;
    assert!(total(&h, &reader).await > 0);

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
}
