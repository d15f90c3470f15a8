//! From a document to a search hit, in both modes.

use councilsense::wiring::Role;
use cs_proto::accounts::v1::SetHomeCityRequest;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::meetings::v1 as mt;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::notifications::v1::ListNotificationsRequest;
use cs_proto::notifications::v1::notifications_client::NotificationsClient;
use cs_proto::ops::v1::runs_client::RunsClient;
use cs_proto::ops::v1::{ListRunsRequest, RerunMeetingRequest};
use cs_proto::search::v1::SearchRequest;
use cs_proto::search::v1::search_client::SearchClient;
use cs_proto::summaries::v1 as sm;
use cs_proto::summaries::v1::summaries_client::SummariesClient;

use crate::erasure::sign_in;
use crate::harness::{File, Harness, MINUTES, Mode, anonymous, operator, tenant};

pub(crate) async fn summary(h: &Harness, caller: &cs_core::Caller, meeting: &str) -> Option<sm::Summary> {
    let request = sm::BatchGetCurrentSummariesRequest { meeting_ids: vec![meeting.to_owned()], view: None };
    let mut client = SummariesClient::new(h.channel(Role::Summaries));
    client.batch_get_current_summaries(h.request(caller, request)).await.unwrap().into_inner().summaries.pop()
}

pub(crate) async fn meeting(h: &Harness, caller: &cs_core::Caller, id: &str) -> mt::Meeting {
    let request = BatchGetRequest { ids: vec![id.to_owned()] };
    let mut client = MeetingsClient::new(h.channel(Role::Meetings));
    client.batch_get_meetings(h.request(caller, request)).await.unwrap().into_inner().meetings.pop().unwrap()
}

async fn search(h: &Harness, caller: &cs_core::Caller, query: &str) -> Vec<cs_proto::search::v1::Hit> {
    let request = SearchRequest { query: query.to_owned(), ..Default::default() };
    let mut client = SearchClient::new(h.channel(Role::Search));
    client.search(h.request(caller, request)).await.unwrap().into_inner().hits
}

pub(crate) async fn inbox(
    h: &Harness,
    caller: &cs_core::Caller,
) -> Vec<cs_proto::notifications::v1::Notification> {
    let mut client = NotificationsClient::new(h.channel(Role::Notifications));
    client
        .list_notifications(h.request(caller, ListNotificationsRequest::default()))
        .await
        .unwrap()
        .into_inner()
        .notifications
}

/// A resident whose home city is the city of `meeting`.
pub(crate) async fn follower(h: &Harness, tenant: cs_core::TenantId, city_id: &str) -> cs_core::Caller {
    let caller = sign_in(h, tenant, "rosa").await;
    let home = SetHomeCityRequest { city_id: city_id.to_owned(), ..Default::default() };
    AccountsClient::new(h.channel(Role::Accounts)).set_home_city(h.request(&caller, home)).await.unwrap();
    h.drain().await;
    caller
}

async fn from_document_to_hit(h: &Harness) {
    let tenant = h.tenant().await;
    let (ops, reader) = (operator(tenant), anonymous(tenant));
    let first = h
        .ingest(&ops, "springfield", "first", &[("agenda.txt", "agenda", b"AGENDA\n\n1. Call to order\n")])
        .await;
    h.drain().await;
    let city = meeting(h, &reader, &first.meeting_id).await.city_id;
    let resident = follower(h, tenant, &city).await;

    let taken =
        h.ingest(&ops, "springfield", "2023-01-05", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    assert!(taken.changed);
    h.drain().await;

    let seen = meeting(h, &reader, &taken.meeting_id).await;
    assert_eq!(seen.run_state, "published", "{}", seen.run_reason);
    let summary = summary(h, &reader, &taken.meeting_id).await.expect("a current summary");
    assert_eq!((summary.version, summary.verdict.as_str()), (1, "pass"));
    let outcome = |file: &str| {
        let decision =
            summary.claims.iter().filter_map(|c| c.decision.as_ref()).find(|d| d.file_number.contains(file));
        decision.unwrap_or_else(|| panic!("no decision on {file}")).outcome.clone()
    };
    assert_eq!(outcome("34,001"), "adopted");
    assert_eq!(outcome("34,002"), "deferred");
    let vote = summary
        .claims
        .iter()
        .filter_map(|c| c.decision.as_ref())
        .find(|d| d.file_number.contains("M-23-2"))
        .unwrap();
    assert_eq!(vote.votes.as_ref().unwrap().nays, ["Banks", "Lindqvist"]);
    assert!(!summary.short_summary.is_empty());

    // Every excerpt is the text at its offsets, as meetings keeps it.
    let mut client = MeetingsClient::new(h.channel(Role::Meetings));
    let request = mt::ListTextVersionsRequest { meeting_id: taken.meeting_id.clone() };
    let text = client
        .list_text_versions(h.request(&ops, request))
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    for evidence in summary.claims.iter().flat_map(|c| &c.evidence) {
        let there = cs_core::document::slice_code_points(&text.text, evidence.start, evidence.end);
        assert_eq!(there, Some(evidence.excerpt.as_str()));
    }
    assert!(summary.claims.iter().all(|c| !c.evidence.is_empty()));

    // By words, and by meaning without one of its words.
    assert!(search(h, &reader, "Riverside").await[0].passage.as_ref().unwrap().text.contains("Riverside"));
    let by_meaning = search(h, &reader, "money for fixing roads").await;
    assert!(by_meaning.iter().take(3).any(|hit| hit.passage.as_ref().unwrap().text.contains("$250,000")));
    assert!(by_meaning.iter().any(|hit| hit.explanation.as_ref().unwrap().vector_rank.is_some()));

    let told = inbox(h, &resident).await;
    assert_eq!(told.iter().filter(|n| n.meeting_id == taken.meeting_id).count(), 1, "told once");
    assert!(!told[0].reason.is_empty());

    // The same again changes nothing and sends nothing.
    let again =
        h.ingest(&ops, "springfield", "2023-01-05", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    assert!(!again.changed && again.meeting_id == taken.meeting_id);
    h.drain().await;
    assert_eq!(self::summary(h, &reader, &taken.meeting_id).await.unwrap().version, 1);
    assert_eq!(inbox(h, &resident).await.len(), told.len());

    // A re-run replaces, never duplicates, and tells nobody twice.
    let hits = search(h, &reader, "library Elm Street").await.len();
    let mut runs = RunsClient::new(h.channel(Role::Meetings));
    let rerun = RerunMeetingRequest { meeting_id: taken.meeting_id.clone(), ..Default::default() };
    runs.rerun_meeting(h.request(&ops, rerun)).await.unwrap();
    h.drain().await;
    assert_eq!(self::summary(h, &reader, &taken.meeting_id).await.unwrap().version, 2);
    assert_eq!(search(h, &reader, "library Elm Street").await.len(), hits);
    assert_eq!(inbox(h, &resident).await.len(), told.len());
    let request = ListRunsRequest { meeting_id: taken.meeting_id.clone(), ..Default::default() };
    let all = runs.list_runs(h.request(&ops, request)).await.unwrap().into_inner().runs;
    assert!(all.len() == 2 && all.iter().all(|r| r.state == "published"), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_document_to_a_hit_in_one_process() {
    from_document_to_hit(&Harness::start("together", Mode::Together).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_document_to_a_hit_with_each_role_on_its_own_port() {
    from_document_to_hit(&Harness::start("split", Mode::Split).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_meeting_ends_in_a_named_state_with_a_reason() {
    let h = Harness::start("states", Mode::Together).await;
    let ops = operator(tenant());
    let reader = anonymous(ops.tenant);
    let cases: [(&str, &[File], &str); 4] = [
        ("no-documents", &[], "failed"),
        ("rubbish", &[("minutes.pdf", "minutes", b"\x00\x01\x02 not a pdf")], "failed"),
        (
            "agenda-only",
            &[(
                "agenda.txt",
                "agenda",
                b"AGENDA\n\n1. CAL. NO. 34,100 - An Ordinance to fund parks with $10,000.\n",
            )],
            "limited_confidence",
        ),
        (
            "one-good-one-bad",
            &[("minutes.txt", "minutes", MINUTES.as_bytes()), ("packet.pdf", "packet", b"%PDF-1.4 broken")],
            "published",
        ),
    ];
    let mut ids = Vec::new();
    for (uid, files, _) in &cases {
        ids.push(h.ingest(&ops, "springfield", uid, files).await.meeting_id);
    }
    h.drain().await;
    for ((uid, _, state), id) in cases.iter().zip(&ids) {
        let meeting = meeting(&h, &reader, id).await;
        assert_eq!(&meeting.run_state, state, "{uid}: {}", meeting.run_reason);
        assert!(*state == "published" || !meeting.run_reason.is_empty(), "{uid} says why");
    }
    let request = mt::BatchListArtifactsRequest { meeting_ids: vec![ids[3].clone()] };
    let mut client = MeetingsClient::new(h.channel(Role::Meetings));
    let artifacts =
        client.batch_list_artifacts(h.request(&reader, request)).await.unwrap().into_inner().artifacts;
    let bad = artifacts.iter().find(|a| a.kind == "packet").unwrap();
    assert!(bad.status == "unreadable" && !bad.reason.is_empty(), "{bad:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_are_served_while_every_worker_is_down() {
    let h = Harness::start("no-workers", Mode::Split).await;
    let tenant = h.tenant().await;
    let (ops, reader) = (operator(tenant), anonymous(tenant));
    let files: &[File] = &[("minutes.txt", "minutes", MINUTES.as_bytes())];
    let read = h.ingest(&ops, "springfield", "2023-01-05", files).await;
    h.drain().await;
    let city = meeting(&h, &reader, &read.meeting_id).await.city_id;
    let resident = follower(&h, tenant, &city).await;

    // From here nothing steps a worker: no relay, no consumer, no job, no sender.
    let waiting = h.ingest(&ops, "springfield", "2023-01-12", files).await;
    assert_eq!(meeting(&h, &reader, &read.meeting_id).await.run_state, "published");
    assert!(!summary(&h, &reader, &read.meeting_id).await.unwrap().claims.is_empty());
    assert!(!search(&h, &reader, "Riverside").await.is_empty());
    assert!(inbox(&h, &resident).await.is_empty());
    assert_eq!(meeting(&h, &reader, &waiting.meeting_id).await.run_state, "ingested");
    assert!(summary(&h, &reader, &waiting.meeting_id).await.is_none());

    // What was asked for meanwhile is done when they are back.
    h.drain().await;
    assert_eq!(meeting(&h, &reader, &waiting.meeting_id).await.run_state, "published");
    assert_eq!(inbox(&h, &resident).await.len(), 1);
}
