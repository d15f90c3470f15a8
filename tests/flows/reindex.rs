//! A new index is built from the services while the old one serves, and is not taken where it lacks something.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use councilsense::wiring::Role;
use cs_core::{Caller, MeetingId, Trace};
use cs_proto::ops::v1::WithdrawMeetingRequest;
use cs_proto::ops::v1::records_client::RecordsClient;
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::opensearch::{OpenSearchIndex, Options};
use search::index::{
    Applied, Counts, Held, IndexError, IndexStats, Part, PassageDoc, SearchIndex, SearchRequest,
    SearchResponse, Visibility, VisibleTags,
};
use search::rank::RankParams;
use search::reindex::{Progress, ReindexError, build, catch_up, confirm, verify};
use uuid::Uuid;

use crate::harness::{Harness, MINUTES, Mode, operator, tenant};

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
    assert_eq!(build(&next, &caller, since, &quiet).await.unwrap(), 3);
    assert_eq!(build(&next, &caller, since, &quiet).await.unwrap(), 0, "what is there is not built again");
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
    catch_up(&next, &caller, since, stack.ids.now(), &quiet).await.unwrap();
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
    engine.remove_everything().await.unwrap();
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

    build(&next, &caller, now(), &tell).await.unwrap();
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
        stray.push(PassageDoc { meeting_id: meeting, ..hit.passage });
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
