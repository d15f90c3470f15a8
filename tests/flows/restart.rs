//! Killed at any point and started again, the system ends in the same state.

use councilsense::wiring::Role;
use cs_proto::ops::v1::GetBacklogRequest;
use cs_proto::ops::v1::dead_letters_client::DeadLettersClient;
use cs_proto::summaries::v1 as sm;
use cs_proto::summaries::v1::summaries_client::SummariesClient;

use crate::harness::{Harness, MINUTES, Mode, anonymous, operator, tenant};

/// Stops after every number of steps from none to enough, each time with another meeting, and goes on in a new stack.
#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_a_stop_between_any_two_steps() {
    let mut h = Harness::start("restart", Mode::Together).await;
    let tenant = tenant();
    let (ops, reader) = (operator(tenant), anonymous(tenant));
    let mut meetings = Vec::new();
    for steps in 0..6 {
        let uid = format!("m{steps}");
        let text = format!("{MINUTES}\nPage {steps}\n");
        meetings.push(
            h.ingest(&ops, "springfield", &uid, &[("minutes.txt", "minutes", text.as_bytes())])
                .await
                .meeting_id,
        );
        for _ in 0..steps {
            h.stacks[0].step().await.unwrap();
        }
        h = h.restart().await;
    }
    h.drain().await;
    let request = sm::BatchGetCurrentSummariesRequest { meeting_ids: meetings.clone(), view: None };
    let mut client = SummariesClient::new(h.channel(Role::Summaries));
    let summaries =
        client.batch_get_current_summaries(h.request(&reader, request)).await.unwrap().into_inner().summaries;
    assert_eq!(summaries.len(), meetings.len());
    assert!(summaries.iter().all(|s| s.version == 1), "each meeting was published once");
    let mut letters = DeadLettersClient::new(h.channel(Role::Meetings));
    let left = letters.get_backlog(h.request(&ops, GetBacklogRequest {})).await.unwrap().into_inner();
    assert_eq!((left.outbox, left.queued, left.jobs, left.dead), (0, 0, 0, 0));
}
