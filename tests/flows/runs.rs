//! A run is watched until it has ended.

use std::time::Duration;

use councilsense::wiring::Role;
use cs_proto::ops::v1::runs_client::RunsClient;
use cs_proto::ops::v1::{ListRunsRequest, RerunMeetingRequest, WatchRunRequest, WatchRunResponse};
use tonic::Code;

use crate::harness::{Harness, MINUTES, Mode, operator, tenant};

/// What comes until the stream ends.
async fn rest(mut stream: tonic::Streaming<WatchRunResponse>) -> Vec<WatchRunResponse> {
    let all = async {
        let mut told = Vec::new();
        while let Some(message) = stream.message().await.unwrap() {
            told.push(message);
        }
        told
    };
    tokio::time::timeout(Duration::from_secs(50), all).await.expect("it ends by itself")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_state_by_state_until_it_has_ended() {
    let h = Harness::start("watched", Mode::Together).await;
    let ops = operator(tenant());
    let taken = h.ingest(&ops, "springfield", "m", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    h.drain().await;
    let mut client = RunsClient::new(h.channel(Role::Meetings));
    let rerun = RerunMeetingRequest { meeting_id: taken.meeting_id.clone(), ..Default::default() };
    let run = client.rerun_meeting(h.request(&ops, rerun)).await.unwrap().into_inner().run.unwrap();

    let watch = |id: &str, after: &str| WatchRunRequest { id: id.to_owned(), after: after.to_owned() };
    let request = h.outbound().stream(&ops, watch(&run.id, "")).unwrap();
    let mut stream = client.watch_run(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(first.run.as_ref().unwrap().state, run.state, "where it stands");
    let (told, ()) = tokio::join!(rest(stream), h.drain());
    let last = told.last().unwrap();
    let end = last.run.as_ref().unwrap();
    assert_eq!((end.state.as_str(), end.id.as_str()), ("published", run.id.as_str()));
    assert!(end.claims_proposed > 0 && end.ecr == Some(1.0));
    let states: Vec<&str> = told.iter().map(|message| message.run.as_ref().unwrap().state.as_str()).collect();
    let mut once = states.clone();
    once.dedup();
    assert_eq!(states, once, "each once");

    // Taken up again: behind what was told before, nothing is left; before it, the end is told again.
    let request = h.outbound().stream(&ops, watch(&run.id, &last.cursor)).unwrap();
    assert!(rest(client.watch_run(request).await.unwrap().into_inner()).await.is_empty());
    let request = h.outbound().stream(&ops, watch(&run.id, &first.cursor)).unwrap();
    assert_eq!(rest(client.watch_run(request).await.unwrap().into_inner()).await.len(), 1);

    let elsewhere = operator(tenant());
    let request = h.outbound().stream(&elsewhere, watch(&run.id, "")).unwrap();
    assert_eq!(client.watch_run(request).await.unwrap_err().code(), Code::NotFound);
    let mut reviewer = ops.clone();
    reviewer.roles = [cs_core::Role::Reviewer].into();
    let request = h.outbound().stream(&reviewer, watch(&run.id, "")).unwrap();
    assert_eq!(rest(client.watch_run(request).await.unwrap().into_inner()).await.len(), 1);
    let all = client.list_runs(h.request(&reviewer, ListRunsRequest::default())).await;
    assert_eq!(all.unwrap_err().code(), Code::PermissionDenied, "the list is for operators");
    let mut resident = ops;
    resident.roles = [cs_core::Role::Resident].into();
    let request = h.outbound().stream(&resident, watch(&run.id, "")).unwrap();
    assert_eq!(client.watch_run(request).await.unwrap_err().code(), Code::PermissionDenied);
}
