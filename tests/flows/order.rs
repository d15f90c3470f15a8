//! Work that ends in another order than it began, and uploads that do not end at all.

use councilsense::wiring::Role;
use cs_proto::meetings::v1 as pb;
use cs_proto::meetings::v1::ingest_meeting_request::Part;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1::ListRunsRequest;
use cs_proto::ops::v1::runs_client::RunsClient;
use cs_proto::ops::v1::{RerunMeetingRequest, Run};
use sqlx::{Connection, PgConnection};

use crate::harness::{File, Harness, MINUTES, Mode, anonymous, operator, tenant};
use crate::pipeline::{meeting, summary};

async fn runs(h: &Harness, ops: &cs_core::Caller, meeting: &str) -> Vec<Run> {
    let request = ListRunsRequest { meeting_id: meeting.to_owned(), ..Default::default() };
    let mut client = RunsClient::new(h.channel(Role::Meetings));
    client.list_runs(h.request(ops, request)).await.unwrap().into_inner().runs
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_run_that_ends_last_does_not_take_the_place_of_a_newer_summary() {
    let h = Harness::start("order", Mode::Together).await;
    let ops = operator(tenant());
    let reader = anonymous(ops.tenant);
    let first = h.ingest(&ops, "springfield", "m", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    let mut admin = PgConnection::connect(h.database.as_str()).await.unwrap();
    // Its last step is held back, as a retry or a dead letter would hold it.
    sqlx::raw_sql(
        "CREATE FUNCTION summaries.hold() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.run_at := now() + interval '1 day'; RETURN NEW; END $$;
         CREATE TRIGGER hold BEFORE INSERT ON summaries.jobs FOR EACH ROW EXECUTE FUNCTION summaries.hold();",
    )
    .execute(&mut admin)
    .await
    .unwrap();
    h.drain_what_is_due().await;
    sqlx::raw_sql("DROP TRIGGER hold ON summaries.jobs").execute(&mut admin).await.unwrap();
    assert!(summary(&h, &reader, &first.meeting_id).await.is_none());
    let newer = MINUTES.replace("MOVED BY: Banks", "MOVED BY: Moreau");
    h.ingest(&ops, "springfield", "m", &[("minutes.txt", "minutes", newer.as_bytes())]).await;
    h.drain_what_is_due().await;
    let before = summary(&h, &reader, &first.meeting_id).await.unwrap();
    assert!(before.claims.iter().any(|c| c.text.contains("MOVED BY: Moreau SECONDED BY: Osei")));

    sqlx::query("UPDATE summaries.jobs SET run_at = now() WHERE state = 'ready'")
        .execute(&mut admin)
        .await
        .unwrap();
    h.drain().await;
    let after = summary(&h, &reader, &first.meeting_id).await.unwrap();
    assert_eq!(after.version, before.version, "readers keep the newer documents' summary");
    let all = runs(&h, &ops, &first.meeting_id).await;
    assert!(all.len() == 2 && all.iter().all(|run| run.state == "published"), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_comes_back_ends_its_run() {
    let h = Harness::start("back", Mode::Together).await;
    let ops = operator(tenant());
    let rubbish: &[File] = &[("minutes.pdf", "minutes", b"\x00\x01\x02 not a document")];
    let good: &[File] = &[("minutes.pdf", "minutes", MINUTES.as_bytes())];
    let taken = h.ingest(&ops, "springfield", "m", rubbish).await;
    h.drain().await;
    for (files, state) in [(good, "published"), (rubbish, "failed"), (good, "published")] {
        h.ingest(&ops, "springfield", "m", files).await;
        h.drain().await;
        let seen = meeting(&h, &anonymous(ops.tenant), &taken.meeting_id).await;
        assert_eq!(seen.run_state, state, "{}", seen.run_reason);
    }
    assert!(
        runs(&h, &ops, &taken.meeting_id)
            .await
            .iter()
            .all(|r| ["published", "failed"].contains(&r.state.as_str()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_takes_nothing_in() {
    let h = Harness::start("broken", Mode::Together).await;
    let ops = operator(tenant());
    let upload = |file_count: u32, size_bytes: u64| {
        let header = pb::IngestHeader {
            city: "springfield".to_owned(),
            meeting_uid: "m".to_owned(),
            title: "A meeting".to_owned(),
            body: "City Council".to_owned(),
            date: "2023-01-05".to_owned(),
            file_count,
            ..Default::default()
        };
        let file = pb::IngestFile {
            file_name: "minutes.txt".to_owned(),
            kind: "minutes".to_owned(),
            size_bytes,
            ..Default::default()
        };
        let parts = [Part::Header(header), Part::File(file), Part::Chunk(b"MINUTES".to_vec())];
        futures::stream::iter(parts.map(|part| pb::IngestMeetingRequest { part: Some(part) }))
    };
    let mut client = MeetingsClient::new(h.channel(Role::Meetings));
    for (files, bytes, field) in [(2, 7, "file_count"), (0, 7, "file_count"), (1, 9, "size_bytes")] {
        let request = h.outbound().stream(&ops, upload(files, bytes)).unwrap();
        let refused = cs_rpc::Failure::from(&client.ingest_meeting(request).await.unwrap_err());
        assert_eq!(refused.fields[0].field, field, "{refused:?}");
    }
    let listed = client.list_meetings(h.request(&ops, pb::ListMeetingsRequest::default())).await.unwrap();
    assert!(listed.into_inner().meetings.is_empty());
    let request = h.outbound().stream(&ops, upload(1, 7)).unwrap();
    assert!(client.ingest_meeting(request).await.unwrap().into_inner().changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_begins_one_run() {
    let h = Harness::start("key", Mode::Together).await;
    let ops = operator(tenant());
    let taken = h.ingest(&ops, "springfield", "m", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    h.drain().await;
    let mut client = RunsClient::new(h.channel(Role::Meetings));
    let mut begun = std::collections::BTreeSet::new();
    for key in ["one", "one", "two"] {
        let request =
            RerunMeetingRequest { meeting_id: taken.meeting_id.clone(), idempotency_key: key.to_owned() };
        begun.insert(
            client.rerun_meeting(h.request(&ops, request)).await.unwrap().into_inner().run.unwrap().id,
        );
    }
    assert_eq!(begun.len(), 2);
}
