//! A worker that dies where no transaction holds its effects together — behind the store of documents, between two writes to
//! the index — is followed by one that makes them whole. Every other effect of a handler is one transaction with the end of
//! its job, or with its inbox: there, `lib/events/tests` let it die.

use councilsense::wiring::Role;
use cs_core::{Caller, Trace};
use cs_events::dying::dying;
use cs_proto::common::v1::Visibility;
use cs_proto::meetings::v1 as mt;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1 as ops;
use cs_proto::ops::v1::dead_letters_client::DeadLettersClient;
use cs_proto::ops::v1::records_client::RecordsClient;
use cs_proto::ops::v1::sources_client::SourcesClient;
use search::reindex::verify;
use sqlx::PgConnection;

use crate::harness::{Harness, MINUTES, Mode, anonymous, operator};
use crate::records::total;

/// A worker dies of what is to be done now; when its leases have ended, another does it.
async fn dies(h: &Harness, point: &'static str) {
    assert!(dying(point, h.drain_what_is_due()).await.is_none(), "{point} was never reached");
    let mut admin = <PgConnection as sqlx::Connection>::connect(h.database.as_str()).await.unwrap();
    let ended = "UPDATE bus.messages SET visible_at = now() WHERE dead_at IS NULL;
                 UPDATE meetings.jobs SET run_at = now() WHERE state IN ('ready', 'running')";
    sqlx::raw_sql(ended).execute(&mut admin).await.unwrap();
    h.drain().await;
}

/// Each meeting has ended and has one current version; nothing is left to do.
async fn whole(h: &Harness, clerk: &Caller, meetings: i64, after: &str) {
    let mut admin = <PgConnection as sqlx::Connection>::connect(h.database.as_str()).await.unwrap();
    let mut count = async |from: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {from}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut admin).await.unwrap()
    };
    for table in [
        "meetings.meetings WHERE run_state = 'published'",
        "meetings.runs",
        "meetings.artifacts",
        "summaries.publications WHERE is_current",
        "summaries.summaries",
    ] {
        assert_eq!(count(table).await, meetings, "{table} after {after}");
    }
    let mut letters = DeadLettersClient::new(h.channel(Role::Meetings));
    let left = letters.get_backlog(h.request(clerk, ops::GetBacklogRequest {})).await.unwrap().into_inner();
    assert_eq!((left.outbox, left.queued, left.jobs, left.dead), (0, 0, 0, 0), "after {after}");
}

/// The index holds what the services have.
async fn indexed(h: &Harness, clerk: &Caller, after: &str) {
    let indexer = Caller::service("search", clerk.tenant, Trace::start());
    let there = verify(h.stacks[0].search().unwrap(), &indexer).await;
    there.unwrap_or_else(|differs| panic!("after {after}: {differs}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_between_two_effects_is_followed_by_one_that_makes_them_whole() {
    let h = Harness::start("dying", Mode::Together).await;
    let clerk = operator(h.tenant().await);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("2023-01-05-city-council")).unwrap();
    std::fs::write(folder.path().join("2023-01-05-city-council/minutes.txt"), MINUTES).unwrap();
    let city = mt::AddCityRequest {
        slug: "springfield".to_owned(),
        name: "Springfield".to_owned(),
        time_zone: "America/Chicago".to_owned(),
        language: "en".to_owned(),
    };
    let mut meetings = MeetingsClient::new(h.channel(Role::Meetings));
    meetings.add_city(h.request(&clerk, city)).await.unwrap();
    let source = ops::AddSourceRequest {
        city: "springfield".to_owned(),
        kind: "folder".to_owned(),
        location: folder.path().display().to_string(),
        schedule: String::new(),
    };
    let mut sources = SourcesClient::new(h.channel(Role::Meetings));
    sources.add_source(h.request(&clerk, source)).await.unwrap();
    let scan = ops::ScanCityRequest { city: "springfield".to_owned() };
    sources.scan_city(h.request(&clerk, scan)).await.unwrap();
    dies(&h, "ingest.stored").await;
    whole(&h, &clerk, 1, "ingest.stored").await;
    indexed(&h, &clerk, "ingest.stored").await;

    let mut taken = mt::IngestMeetingResponse::default();
    for (known, point) in (2..).zip(["indexer.documents", "indexer.claims"]) {
        let text = format!("{MINUTES}\nThe clerk noted {point}.\n");
        let files = [("minutes.txt", "minutes", text.as_bytes())];
        taken = h.ingest(&clerk, "springfield", point, &files).await;
        dies(&h, point).await;
        whole(&h, &clerk, known, point).await;
        indexed(&h, &clerk, point).await;
    }
    let reader = anonymous(clerk.tenant);
    let all = total(&h, &reader).await;

    let request = mt::BatchListArtifactsRequest { meeting_ids: vec![taken.meeting_id.clone()] };
    let listed = meetings.batch_list_artifacts(h.request(&clerk, request)).await.unwrap().into_inner();
    let artifact = listed.artifacts[0].id.clone();
    let mut records = RecordsClient::new(h.channel(Role::Meetings));
    for (tag, shown) in [(Visibility::Reviewer, all / 3 * 2), (Visibility::Public, all)] {
        let request =
            ops::SetArtifactVisibilityRequest { artifact_id: artifact.clone(), visibility: tag.into() };
        records.set_artifact_visibility(h.request(&clerk, request)).await.unwrap();
        dies(&h, "indexer.tagged").await;
        whole(&h, &clerk, 3, "indexer.tagged").await;
        assert_eq!((total(&h, &reader).await, total(&h, &clerk).await), (shown, all), "{tag:?}");
        indexed(&h, &clerk, "indexer.tagged").await;
    }

    let away = ops::WithdrawMeetingRequest { meeting_id: taken.meeting_id, reason: "a mistake".to_owned() };
    records.withdraw_meeting(h.request(&clerk, away)).await.unwrap();
    dies(&h, "indexer.removed").await;
    indexed(&h, &clerk, "indexer.removed").await;
    assert_eq!(total(&h, &clerk).await, all / 3 * 2);
}
