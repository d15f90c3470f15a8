//! A new index is built from the services while the old one serves, and is not taken where it lacks something.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use councilsense::wiring::Role;
use cs_core::{Caller, MeetingId, Trace};
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::common::v1 as common;
use cs_proto::meetings::v1::BatchListArtifactsRequest;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1::indexes_client::IndexesClient;
use cs_proto::ops::v1::records_client::RecordsClient;
use cs_proto::ops::v1::{
    ReindexProgress, ReindexRequest, RollBackIndexRequest, SetArtifactVisibilityRequest,
    WithdrawMeetingRequest,
};
use cs_proto::search::v1 as sh;
use cs_proto::search::v1::search_client::SearchClient;
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::opensearch::{OpenSearchIndex, Options};
use search::index::versions::VersionedIndex;
use search::index::{
    Applied, Counts, Held, IndexError, IndexStats, Part, PassageDoc, PassageKind, SearchIndex, SearchRequest,
    SearchResponse, Visibility, VisibleTags,
};
use search::rank::RankParams;
use search::reindex::{
    Progress, ReindexError, Restored, Seen, build, catch_up, confirm, go_back_in_opensearch, outdated,
    restore, verify,
};
use uuid::Uuid;

use crate::harness::{Harness, MINUTES, Mode, anonymous, operator, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_built_anew_in_opensearch_from_what_the_services_keep() {
    let Some(url) = cs_testkit::opensearch::node() else { return };
    let h = Harness::start("reindex", Mode::Together).await;
    let tenant = tenant();
    let clerk = operator(tenant);
    for uid in ["m1", "m2", "m3"] {
        let text = format!("{MINUTES}\nOf {uid}.\n");
        h.ingest(&clerk, "springfield", uid, &[("minutes.txt", "minutes", text.as_bytes())]).await;
    }
    h.drain().await;
    let stack = &h.stacks[0];
    let used = stack.search().unwrap().clone();
    let mut options = Options::new(url, 384);
    options.prefix = format!("flow_{}", tenant.uuid().simple());
    options.deadline = std::time::Duration::from_secs(30);
    let engine = OpenSearchIndex::connect(options).await.unwrap();
    let next = search::Deps { index: Arc::new(engine.at_version(1)), ..used.clone() };
    let caller = cs_core::Caller::service(search::NAME, tenant, cs_core::Trace::start());
    let quiet = |_: Progress| {};
    let since = stack.ids.now();
    let mut seen = Seen::default();
    assert_eq!(build(&next, &caller, since, &mut seen, &quiet).await.unwrap(), 3);
    let again = build(&next, &caller, since, &mut seen, &quiet).await.unwrap();
    assert_eq!(again, 0, "what is there is not built again");
    let verified = verify(&next, &caller).await.unwrap();
    let uuid = tenant.uuid();
    let (old, new) = (used.index.stats(uuid).await.unwrap(), next.index.stats(uuid).await.unwrap());
    assert_eq!((old.passages, old.meetings, old.with_vector), (new.passages, new.meetings, new.with_vector));
    assert_eq!(verified.passages + verified.claims, new.passages);
    assert_eq!(used.index.meetings(uuid).await.unwrap(), next.index.meetings(uuid).await.unwrap());

    // Meanwhile a meeting goes and another comes.
    let gone = used.index.meetings(uuid).await.unwrap().into_keys().next().unwrap().meeting;
    let mut records = RecordsClient::new(h.channel(Role::Meetings));
    let request = WithdrawMeetingRequest {
        meeting_id: cs_core::MeetingId::from(gone).to_string(),
        reason: "by mistake".to_owned(),
    };
    records.withdraw_meeting(h.request(&clerk, request)).await.unwrap();
    h.ingest(&clerk, "springfield", "m4", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    h.drain().await;
    let told = verify(&next, &caller).await.unwrap_err().to_string();
    let gone = cs_core::MeetingId::from(gone).to_string();
    assert!(told.contains(&gone) && told.contains("0 passages and 0 claims in the services"), "{told}");
    let changed = catch_up(&next, &caller, since, stack.ids.now(), &mut seen, &quiet).await.unwrap();
    assert_eq!(changed, 2, "one came and one went; what did not change is not indexed again");
    verify(&next, &caller).await.unwrap();
    engine.switch(&[(uuid, 1)]).await.unwrap();

    let asked = search::index::SearchRequest {
        tenant: uuid,
        visible: VisibleTags::of([search::index::Visibility::Public]),
        query: search::query::parse("Riverside"),
        vector: None,
        mode: search::index::Mode::Keyword,
        filters: Default::default(),
        first: 100,
        after: None,
        group_by_meeting: false,
    };
    let (a, b) = (used.index.search(asked.clone()).await.unwrap(), engine.search(asked).await.unwrap());
    assert_eq!((a.total, a.facets), (b.total, b.facets));

    // A next version; what is hidden and withdrawn from then on is told to it alone, and not shown after going back.
    let after = search::Deps { index: Arc::new(engine.at_version(2)), ..used.clone() };
    build(&after, &caller, stack.ids.now(), &mut Seen::default(), &quiet).await.unwrap();
    engine.switch(&[(uuid, 2)]).await.unwrap();
    let left: Vec<Uuid> =
        used.index.meetings(uuid).await.unwrap().into_keys().map(|held| held.meeting).collect();
    hide(&h, &clerk, left[0], common::Visibility::Reviewer).await;
    withdraw(&h, &clerk, left[1]).await;
    h.drain().await;
    let back =
        go_back_in_opensearch(&used, &engine, std::slice::from_ref(&caller), &cs_core::SystemClock, &quiet)
            .await;
    assert_eq!(back.unwrap(), 1);
    let generation = engine.generation(uuid).await.unwrap();
    assert_eq!((generation.current, generation.versions), (Some(1), vec![1, 2]));
    let asked = public(uuid, "Riverside");
    let (a, b) = (used.index.search(asked.clone()).await.unwrap(), engine.search(asked).await.unwrap());
    assert!(a.total > 0 && left.len() == 3, "one of three is shown");
    assert_eq!((a.total, a.facets), (b.total, b.facets));
    verify(&search::Deps { index: Arc::new(engine.at_version(1)), ..used }, &caller).await.unwrap();
    engine.remove_everything().await.unwrap();
}

/// What anybody may find by these words.
fn public(tenant: Uuid, words: &str) -> SearchRequest {
    SearchRequest {
        tenant,
        visible: VisibleTags::of([Visibility::Public]),
        query: search::query::parse(words),
        vector: None,
        mode: search::index::Mode::Keyword,
        filters: Default::default(),
        first: 100,
        after: None,
        group_by_meeting: false,
    }
}

/// Gives every document of a meeting a tag.
async fn hide(h: &Harness, clerk: &Caller, meeting: Uuid, visibility: common::Visibility) {
    let request = BatchListArtifactsRequest { meeting_ids: vec![MeetingId::from(meeting).to_string()] };
    let mut meetings = MeetingsClient::new(h.channel(Role::Meetings));
    let listed = meetings.batch_list_artifacts(h.request(clerk, request)).await.unwrap().into_inner();
    let mut records = RecordsClient::new(h.channel(Role::Meetings));
    for artifact in listed.artifacts {
        let request =
            SetArtifactVisibilityRequest { artifact_id: artifact.id, visibility: visibility.into() };
        records.set_artifact_visibility(h.request(clerk, request)).await.unwrap();
    }
}

async fn withdraw(h: &Harness, clerk: &Caller, meeting: Uuid) {
    let meeting_id = MeetingId::from(meeting).to_string();
    let request = WithdrawMeetingRequest { meeting_id, reason: "by mistake".to_owned() };
    let mut records = RecordsClient::new(h.channel(Role::Meetings));
    records.withdraw_meeting(h.request(clerk, request)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_lost_or_made_by_another_program_is_built_anew() {
    let h = Harness::start("restore", Mode::Together).await;
    let tenant = h.tenant().await;
    let used = h.stacks[0].search().unwrap().clone();
    let dir = tempfile::tempdir().unwrap();
    let (live, _) = VersionedIndex::open(dir.path(), RankParams::default(), OnDamage::Refuse).unwrap();
    let deps = search::Deps { index: Arc::new(live.clone()), ..used.clone() };
    let accounts = AccountsClient::new(h.channel(Role::Accounts));
    let again = async || restore(&deps, &live, &accounts, &cs_core::SystemClock, &|_| {}).await.unwrap();

    live.set_lacking(true);
    assert_eq!(again().await, Restored::Whole, "where there is nothing, nothing is lacking");
    assert!(!live.is_lacking() && live.name() == "index");

    for uid in ["m1", "m2"] {
        let text = format!("{MINUTES}\nOf {uid}.\n");
        let clerk = operator(tenant);
        h.ingest(&clerk, "springfield", uid, &[("minutes.txt", "minutes", text.as_bytes())]).await;
    }
    h.drain().await;
    live.set_lacking(true);
    assert!(matches!(again().await, Restored::Built { indexed: 2, .. }));
    assert!(!live.is_lacking());
    let uuid = tenant.uuid();
    let held = used.index.meetings(uuid).await.unwrap();
    assert_eq!((held.len(), live.meetings(uuid).await.unwrap()), (2, held));
    assert_eq!(again().await, Restored::Whole);

    // One passage of another model, and one of another chunker.
    let hit = used.index.search(public(uuid, "Riverside")).await.unwrap().hits.swap_remove(0);
    let caller = Caller::service(search::NAME, tenant, Trace::start());
    for (embedder, chunker, told) in
        [("old/1", hit.passage.chunker.as_str(), "made by old/1"), ("", "words/0", "cut by words/0")]
    {
        let vector = if embedder.is_empty() { Vec::new() } else { vec![1.0; 384] };
        let doc = PassageDoc {
            embedder: embedder.to_owned(),
            chunker: chunker.to_owned(),
            vector,
            meeting_id: Uuid::from_u128(7),
            ..hit.passage.clone()
        };
        live.replace_meeting(uuid, Uuid::from_u128(7), Part::Documents, 1, vec![doc]).await.unwrap();
        let why = outdated(&deps, std::slice::from_ref(&caller)).await.unwrap().unwrap();
        assert!(why.contains(told), "{why}");
        assert!(matches!(again().await, Restored::Built { .. }));
        assert_eq!(outdated(&deps, std::slice::from_ref(&caller)).await.unwrap(), None);
    }
    assert_eq!(live.name(), "index-4");
}

/// What an engine does to the passages that it is handed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    LosesOne,
    GarblesText,
}

/// An engine that loses or garbles passages without a word.
struct Faulty {
    inner: EmbeddedIndex,
    fault: Mutex<Fault>,
}

#[async_trait]
impl SearchIndex for Faulty {
    async fn replace_meeting(
        &self,
        tenant: Uuid,
        meeting: Uuid,
        part: Part,
        version: i64,
        mut docs: Vec<PassageDoc>,
    ) -> Result<Applied, IndexError> {
        match *self.fault.lock().unwrap() {
            Fault::None => {}
            Fault::LosesOne => drop(docs.pop()),
            Fault::GarblesText => docs.iter_mut().for_each(|doc| doc.text.push_str(" or so")),
        }
        self.inner.replace_meeting(tenant, meeting, part, version, docs).await
    }

    async fn set_visibility(
        &self,
        tenant: Uuid,
        artifact: Uuid,
        version: i64,
        visibility: Visibility,
    ) -> Result<Applied, IndexError> {
        self.inner.set_visibility(tenant, artifact, version, visibility).await
    }

    async fn erase_tenant(&self, tenant: Uuid) -> Result<(), IndexError> {
        self.inner.erase_tenant(tenant).await
    }

    async fn search(&self, request: SearchRequest) -> Result<SearchResponse, IndexError> {
        self.inner.search(request).await
    }

    async fn version(&self, tenant: Uuid, meeting: Uuid, part: Part) -> Result<Option<i64>, IndexError> {
        self.inner.version(tenant, meeting, part).await
    }

    async fn bodies(&self, tenant: Uuid, visible: VisibleTags) -> Result<Vec<(Uuid, String)>, IndexError> {
        self.inner.bodies(tenant, visible).await
    }

    async fn meetings(&self, tenant: Uuid) -> Result<BTreeMap<Held, Counts>, IndexError> {
        self.inner.meetings(tenant).await
    }

    async fn stats(&self, tenant: Uuid) -> Result<IndexStats, IndexError> {
        self.inner.stats(tenant).await
    }

    async fn flush(&self) -> Result<(), IndexError> {
        self.inner.flush().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_lacks_or_garbles_something_is_not_taken() {
    let h = Harness::start("verify", Mode::Together).await;
    let tenant = tenant();
    let clerk = operator(tenant);
    for uid in ["m1", "m2"] {
        let text = format!("{MINUTES}\nOf {uid}.\n");
        h.ingest(&clerk, "springfield", uid, &[("minutes.txt", "minutes", text.as_bytes())]).await;
    }
    h.drain().await;
    let stack = &h.stacks[0];
    let used = stack.search().unwrap().clone();
    let held = used.index.meetings(tenant.uuid()).await.unwrap();
    let (first, counts) = held.iter().next().map(|(held, counts)| (*held, *counts)).unwrap();
    assert!(held.len() == 2 && counts.passages > 0 && counts.claims > 0, "{held:?}");

    let dir = tempfile::tempdir().unwrap();
    let (inner, _) = EmbeddedIndex::open(dir.path(), RankParams::default(), OnDamage::Refuse).unwrap();
    let faulty = Arc::new(Faulty { inner, fault: Mutex::new(Fault::LosesOne) });
    // Without vectors: what is counted and compared are words.
    let next = search::Deps { index: faulty.clone(), embedder: None, ..used };
    let caller = Caller::service(search::NAME, tenant, Trace::start());
    let told = Mutex::new(Vec::new());
    let tell = |progress: Progress| told.lock().unwrap().push(progress);
    let now = || stack.ids.now();

    build(&next, &caller, now(), &mut Seen::default(), &tell).await.unwrap();
    let error = confirm(&next, &caller, now(), &tell).await.unwrap_err();
    assert!(matches!(error, ReindexError::Differs(_)), "{error}");
    let fewer = Counts { passages: counts.passages - 1, claims: counts.claims - 1 };
    for part in [
        "not taken into use".to_owned(),
        format!("meeting {}: {fewer} in it, {counts} in the services", MeetingId::from(first.meeting)),
        "of city ".to_owned(),
    ] {
        assert!(error.to_string().contains(&part), "{part}: {error}");
    }
    assert!(told.lock().unwrap().contains(&Progress::Mended(2)), "what differs is indexed once more first");

    // The counts are right now, the words are not.
    *faulty.fault.lock().unwrap() = Fault::GarblesText;
    let error = confirm(&next, &caller, now(), &tell).await.unwrap_err().to_string();
    assert!(error.contains("has another text in it than in the services"), "{error}");

    // What was lost once only is mended and said, and then the index is as the services are.
    *faulty.fault.lock().unwrap() = Fault::None;
    confirm(&next, &caller, now(), &tell).await.unwrap();
    let verified = verify(&next, &caller).await.unwrap();
    let all = held.values().fold(Counts::default(), |mut sum, counts| {
        sum += *counts;
        sum
    });
    assert_eq!((verified.passages, verified.claims, verified.samples), (all.passages, all.claims, 4));
    assert_eq!(told.lock().unwrap().last(), Some(&Progress::Verified(verified)));
    assert_eq!(next.index.meetings(tenant.uuid()).await.unwrap(), held);

    // Of a city that is not its own, and of a meeting that nobody has.
    let mut stray = vec![];
    let asked = SearchRequest {
        tenant: tenant.uuid(),
        visible: VisibleTags::of(Visibility::ALL),
        query: search::query::parse("Riverside"),
        vector: None,
        mode: search::index::Mode::Keyword,
        filters: Default::default(),
        first: 1,
        after: None,
        group_by_meeting: false,
    };
    for hit in faulty.inner.search(asked).await.unwrap().hits {
        let meeting = Uuid::from_u128(7);
        stray.push(PassageDoc { meeting_id: meeting, kind: PassageKind::Passage, ..hit.passage });
    }
    let meeting = stray[0].meeting_id;
    faulty.inner.replace_meeting(tenant.uuid(), meeting, Part::Documents, 1, stray).await.unwrap();
    let error = verify(&next, &caller).await.unwrap_err().to_string();
    assert!(
        error.contains("1 passages and 0 claims in it, 0 passages and 0 claims in the services"),
        "{error}"
    );
    confirm(&next, &caller, now(), &tell).await.unwrap();
    assert_eq!(next.index.meetings(tenant.uuid()).await.unwrap(), held);
}

/// One who may change what concerns every tenant.
fn owner(tenant: cs_core::TenantId) -> Caller {
    Caller { roles: [cs_core::Role::Owner].into(), ..operator(tenant) }
}

/// Every step of a build that the search service was asked for.
async fn rebuilt(h: &Harness, caller: &Caller) -> Vec<ReindexProgress> {
    let mut client = IndexesClient::new(h.channel(Role::Search));
    let request = h.outbound().stream(caller, ReindexRequest {}).unwrap();
    let mut steps = client.reindex(request).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(step) = steps.message().await.unwrap() {
        all.push(step);
    }
    all
}

async fn total(h: &Harness, caller: &Caller) -> u64 {
    let request = sh::SearchRequest { query: "Riverside".to_owned(), ..Default::default() };
    let mut client = SearchClient::new(h.channel(Role::Search));
    client.search(h.request(caller, request)).await.unwrap().into_inner().total
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_index_is_built_anew_while_it_serves_and_gone_back_from() {
    let h = Harness::start("online", Mode::Together).await;
    let tenant = h.tenant().await;
    let (clerk, reader, owner) = (operator(tenant), anonymous(tenant), owner(tenant));
    let minutes = |uid: &str| format!("{MINUTES}\nOf {uid}.\n");
    let mut meetings = Vec::new();
    for uid in ["m1", "m2", "m3"] {
        let taken = h
            .ingest(&clerk, "springfield", uid, &[("minutes.txt", "minutes", minutes(uid).as_bytes())])
            .await;
        meetings.push(taken.meeting_id);
    }
    h.drain().await;
    let three = total(&h, &reader).await;
    assert!(three > 0 && three.is_multiple_of(3), "{three}");
    let request = BatchListArtifactsRequest { meeting_ids: vec![meetings[0].clone()] };
    let listed =
        MeetingsClient::new(h.channel(Role::Meetings)).batch_list_artifacts(h.request(&clerk, request)).await;
    let artifact = listed.unwrap().into_inner().artifacts.pop().unwrap().id;

    // It concerns every tenant, so it is not each operator's.
    let mut indexes = IndexesClient::new(h.channel(Role::Search));
    for (caller, code) in [(&reader, tonic::Code::Unauthenticated), (&clerk, tonic::Code::PermissionDenied)] {
        let refused = indexes.reindex(h.request(caller, ReindexRequest {})).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        let refused = indexes.roll_back_index(h.request(caller, RollBackIndexRequest {})).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    let refused = indexes.roll_back_index(h.request(&owner, RollBackIndexRequest {})).await.unwrap_err();
    assert!(refused.message().contains("no version of the search index before index"), "{refused}");

    // While it is built twice over, one meeting comes, another's minutes are hidden, and somebody searches.
    let done = AtomicBool::new(false);
    let searching = async {
        let mut searches = 0;
        while !done.load(Ordering::SeqCst) {
            let found = total(&h, &reader).await;
            assert!((2 * three / 3..=4 * three / 3).contains(&found), "{found} of {three}");
            searches += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        searches
    };
    let changing = async {
        h.ingest(&clerk, "springfield", "m4", &[("minutes.txt", "minutes", minutes("m4").as_bytes())]).await;
        let hide = SetArtifactVisibilityRequest {
            artifact_id: artifact.clone(),
            visibility: common::Visibility::Reviewer.into(),
        };
        let mut records = RecordsClient::new(h.channel(Role::Meetings));
        assert!(records.set_artifact_visibility(h.request(&clerk, hide)).await.unwrap().into_inner().changed);
        h.drain().await;
    };
    let building = async {
        let (one, other, ()) = tokio::join!(rebuilt(&h, &owner), rebuilt(&h, &owner), changing);
        let again = rebuilt(&h, &owner).await;
        done.store(true, Ordering::SeqCst);
        (one, other, again)
    };
    let (searches, (one, other, again)) = tokio::join!(searching, building);
    assert!(searches > 3, "{searches}");
    let last = one.last().unwrap();
    assert_eq!((last.step.as_str(), last.version.as_str()), ("used", "index-2"));
    assert!(last.indexed >= 3, "{last:?}");
    assert_eq!(other.last(), Some(last), "who asks meanwhile watches the same build");
    assert!(
        one.iter().any(|step| step.step == "verified" && step.passages > 0 && step.claims > 0),
        "{one:?}"
    );
    assert_eq!(again.last().unwrap().version, "index-3");
    h.drain().await;
    assert_eq!(total(&h, &reader).await, three, "m4 came and m1 is hidden");

    // What runs now, and what the services have, agree; also after going back and a restart.
    let agrees = async |h: &Harness| {
        let used = h.stacks[0].search().unwrap().clone();
        let caller = Caller::service(search::NAME, tenant, Trace::start());
        verify(&used, &caller).await.unwrap()
    };
    let verified = agrees(&h).await;
    assert!(verified.samples >= 4, "{verified:?}");

    // What the version before is not told: one meeting's minutes are hidden, another's shown again, a third one goes.
    let of = |at: usize| meetings[at].parse::<MeetingId>().unwrap().uuid();
    hide(&h, &clerk, of(1), common::Visibility::Reviewer).await;
    hide(&h, &clerk, of(0), common::Visibility::Public).await;
    withdraw(&h, &clerk, of(2)).await;
    h.drain().await;
    let two = total(&h, &reader).await;
    assert_eq!(two, 2 * three / 3, "m1 and m4");
    let back =
        indexes.roll_back_index(h.request(&owner, RollBackIndexRequest {})).await.unwrap().into_inner();
    assert_eq!(back.version, "index-2");
    assert_eq!(total(&h, &reader).await, two);
    let of_three = agrees(&h).await;
    assert!(of_three.passages < verified.passages && of_three.samples >= 3, "{of_three:?}");
    drop(indexes);
    let h = h.restart().await;
    assert_eq!(h.stacks[0].search().unwrap().index.versioned().unwrap().name(), "index-2");
    assert_eq!(total(&h, &reader).await, two);
}
