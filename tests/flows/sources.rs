//! What a source holds and cannot be taken in is told where operators look.

use councilsense::wiring::Role;
use cs_core::Caller;
use cs_proto::meetings::v1 as mt;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1 as ops;
use cs_proto::ops::v1::runs_client::RunsClient;
use cs_proto::ops::v1::sources_client::SourcesClient;
use sqlx::{Connection, PgConnection};
use tonic::transport::Channel;

use crate::harness::{Harness, MINUTES, Mode, operator, tenant};

async fn scanned(h: &Harness, clerk: &Caller) -> ops::Source {
    let mut sources = SourcesClient::new(h.channel(Role::Meetings));
    let request = ops::ScanCityRequest { city: "springfield".to_owned() };
    sources.scan_city(h.request(clerk, request)).await.unwrap();
    h.drain().await;
    let listed = sources.list_sources(h.request(clerk, ops::ListSourcesRequest::default())).await;
    listed.unwrap().into_inner().sources.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_that_was_given_up_stands_at_its_source_until_it_is_mended() {
    let h = Harness::start("sources", Mode::Together).await;
    let clerk = operator(tenant());
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("2023-01-05-city-council/minutes.txt", MINUTES);
    write("2023-01-05-city-council/meeting.json", r#"{ "status": "dreamt of" }"#);
    write("2023-02-02-city-council/minutes.txt", MINUTES);
    write("undated.txt", "Nothing here says of which day it is.");
    let city = mt::AddCityRequest {
        slug: "springfield".to_owned(),
        name: "Springfield".to_owned(),
        time_zone: "America/Chicago".to_owned(),
        language: "en".to_owned(),
    };
    MeetingsClient::new(h.channel(Role::Meetings)).add_city(h.request(&clerk, city)).await.unwrap();
    let source = ops::AddSourceRequest {
        city: "springfield".to_owned(),
        kind: "folder".to_owned(),
        location: folder.path().display().to_string(),
        schedule: String::new(),
    };
    let mut sources = SourcesClient::new(h.channel(Role::Meetings));
    sources.add_source(h.request(&clerk, source)).await.unwrap();

    for _ in 0..2 {
        let told = scanned(&h, &clerk).await;
        assert_eq!(told.last_scan_status, "failed", "{}", told.last_scan_reason);
        for part in ["1 meetings were given up", "scheduled, held, cancelled", "dlq replay", "undated.txt"] {
            assert!(told.last_scan_reason.contains(part), "{part}: {}", told.last_scan_reason);
        }
        assert!(!told.last_scan_reason.contains("2023-02-02"), "{}", told.last_scan_reason);
    }
    write("2023-01-05-city-council/meeting.json", r#"{ "status": "held" }"#);
    let told = scanned(&h, &clerk).await;
    assert_eq!(told.last_scan_status, "ok", "{}", told.last_scan_reason);
    assert!(!told.last_scan_reason.contains("given up"), "{}", told.last_scan_reason);
    assert!(told.last_scan_reason.contains("1 files are ignored: undated.txt"), "{}", told.last_scan_reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_away_is_looked_at_again_and_follows_its_city_s_clock() {
    let h = Harness::start("away", Mode::Together).await;
    let clerk = operator(tenant());
    let dir = tempfile::tempdir().unwrap();
    let share = dir.path().join("share");
    let city = |time_zone: &str| mt::AddCityRequest {
        slug: "springfield".to_owned(),
        name: "Springfield".to_owned(),
        time_zone: time_zone.to_owned(),
        language: "en".to_owned(),
    };
    let mut meetings = MeetingsClient::new(h.channel(Role::Meetings));
    meetings.add_city(h.request(&clerk, city("UTC"))).await.unwrap();
    let source = ops::AddSourceRequest {
        city: "springfield".to_owned(),
        kind: "folder".to_owned(),
        location: share.display().to_string(),
        schedule: "30 6 * * *".to_owned(),
    };
    let mut sources = SourcesClient::new(h.channel(Role::Meetings));
    sources.add_source(h.request(&clerk, source)).await.unwrap();
    let at = "SELECT to_char(next_scan_at AT TIME ZONE time_zone, 'HH24:MI') FROM meetings.sources";
    let mut admin = PgConnection::connect(h.database.as_str()).await.unwrap();
    let local: String = sqlx::query_scalar(at).fetch_one(&mut admin).await.unwrap();
    meetings.add_city(h.request(&clerk, city("America/Anchorage"))).await.unwrap();
    let moved: String = sqlx::query_scalar(at).fetch_one(&mut admin).await.unwrap();
    assert_eq!(moved, local, "half past six, and its jitter, by the city's clock");

    let scan = ops::ScanCityRequest { city: "springfield".to_owned() };
    sources.scan_city(h.request(&clerk, scan)).await.unwrap();
    h.drain_what_is_due().await;
    let listed = async |sources: &mut SourcesClient<Channel>| {
        let all = sources.list_sources(h.request(&clerk, ops::ListSourcesRequest::default())).await;
        all.unwrap().into_inner().sources.pop().unwrap()
    };
    let told = listed(&mut sources).await;
    assert_eq!(told.last_scan_status, "failed");
    assert!(told.last_scan_reason.contains("no such file or folder"), "{}", told.last_scan_reason);
    std::fs::create_dir(&share).unwrap();
    std::fs::write(share.join("2023-02-02-city-council.txt"), MINUTES).unwrap();
    h.drain().await;
    assert_eq!(listed(&mut sources).await.last_scan_status, "ok", "nobody had to ask again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_no_run_has_is_refused_with_those_it_can_have() {
    let h = Harness::start("states", Mode::Together).await;
    let mut runs = RunsClient::new(h.channel(Role::Meetings));
    let request = ops::ListRunsRequest { state: "bogus".to_owned(), ..Default::default() };
    let refused = runs.list_runs(h.request(&operator(tenant()), request)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("limited_confidence"), "{}", refused.message());
}
