//! Changes. Whoever has the turn takes what came in meanwhile along: one refresh makes all of it searchable.
//!
//! The entry of a part is written first, under its external version and with a stamp of this write; then the passages
//! with that stamp; then everything of the part with another stamp goes. Two writers of one part, in one process or
//! two, thus agree on whose passages stay: those that the entry names.

mod retag;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use cs_events::dies_at;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore, oneshot};
use uuid::Uuid;

use self::retag::artifact_lines;
use super::WRITE;
use super::client::{CallError, Client, Method};
use super::document::document;
use crate::index::types::bit;
use crate::index::{Applied, IndexError, PassageDoc, PassageKind, Visibility};

/// Changes that share a refresh, at most.
const BATCH: usize = 256;
/// Changes that wait, at most: who brings more waits before they are taken.
const WAITING: usize = 1_024;
/// One call carries so much, at most; the engine refuses calls past its own limit.
const CALL_BYTES: usize = 4 << 20;
/// Tries of a change of visibility that meets documents being replaced.
const RETRIES: usize = 5;

/// What changes.
pub(super) enum What {
    Replace { part: String, version: i64, docs: Vec<PassageDoc> },
    Visibility { artifact: Uuid, version: i64, visibility: Visibility },
}

struct Change {
    what: What,
    done: oneshot::Sender<Result<Applied, IndexError>>,
}

/// The writing side of a tenant's index.
pub(super) struct Writer {
    client: Arc<Client>,
    /// Asked of every write behind an alias: without the alias the engine would make an index of its own devising.
    options: &'static str,
    queue: StdMutex<VecDeque<Change>>,
    room: Semaphore,
    turn: Mutex<()>,
    /// The index is there and laid out as it should be.
    pub(super) known: Mutex<bool>,
}

/// A replacement under way.
struct Replacing {
    part: String,
    version: i64,
    stamp: String,
    docs: Vec<PassageDoc>,
    is_new: bool,
    outcome: Result<Applied, IndexError>,
    done: oneshot::Sender<Result<Applied, IndexError>>,
}

#[derive(Deserialize)]
struct Bulk {
    items: Vec<HashMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    result: String,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Entries {
    docs: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default, rename = "_source")]
    source: Option<EntrySource>,
}

#[derive(Clone, Deserialize)]
struct EntrySource {
    version: i64,
    #[serde(default)]
    stamp: String,
    // Named otherwise than a passage's tag: whatever has that can be found.
    #[serde(default, rename = "indexed_tag")]
    tag: u8,
}

impl Writer {
    pub(super) fn new(client: Arc<Client>, behind_alias: bool) -> Self {
        Self {
            client,
            options: if behind_alias { "?require_alias=true" } else { "" },
            queue: StdMutex::default(),
            room: Semaphore::new(WAITING),
            turn: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Makes a change, and waits until it is durable and searchable.
    pub(super) async fn change(&self, index: &str, what: What) -> Result<Applied, IndexError> {
        let _room = self.room.acquire().await.map_err(|_| IndexError::Closed)?;
        let (done, mut answer) = oneshot::channel();
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(Change { what, done });
        let _turn = self.turn.lock().await;
        loop {
            match answer.try_recv() {
                Ok(result) => return result,
                // Whoever had it in hand was called off half-way; the change can be made again.
                Err(oneshot::error::TryRecvError::Closed) => {
                    return Err(IndexError::Unavailable {
                        engine: self.client.address.clone(),
                        reason: "the write was interrupted".to_owned(),
                    });
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let batch = self.batch();
            self.apply(index, batch).await;
        }
    }

    /// Waits until nobody writes.
    pub(super) async fn idle(&self) {
        let _turn = self.turn.lock().await;
    }

    /// The next changes that can share a refresh: replacements of different parts, or one change of visibility.
    fn batch(&self) -> Vec<Change> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch: Vec<Change> = Vec::new();
        let mut parts = HashSet::new();
        while let Some(next) = queue.front() {
            let fits = match &next.what {
                What::Replace { part, .. } => batch.len() < BATCH && parts.insert(part.clone()),
                What::Visibility { .. } => batch.is_empty(),
            };
            let alone = matches!(next.what, What::Visibility { .. });
            if !fits {
                break;
            }
            batch.extend(queue.pop_front());
            if alone {
                break;
            }
        }
        batch
    }

    async fn apply(&self, index: &str, batch: Vec<Change>) {
        let mut replacing = Vec::new();
        for Change { what, done } in batch {
            match what {
                What::Replace { part, version, docs } => replacing.push(Replacing {
                    part,
                    version: version.max(0),
                    stamp: Uuid::new_v4().simple().to_string(),
                    docs,
                    is_new: false,
                    outcome: Ok(Applied::Yes),
                    done,
                }),
                What::Visibility { artifact, version, visibility } => {
                    let result = self.retag(index, artifact, version.max(0), visibility).await;
                    // Nobody waits any more when the caller's deadline has passed; the change is made all the same.
                    let _ = done.send(result);
                }
            }
        }
        if replacing.is_empty() {
            return;
        }
        let failed = self.replace(index, &mut replacing).await.err();
        for Replacing { outcome, done, .. } in replacing {
            let result = match (&failed, outcome) {
                (Some(error), Ok(Applied::Yes)) => Err(IndexError::Unavailable {
                    engine: self.client.address.clone(),
                    reason: error.to_string(),
                }),
                (_, outcome) => outcome,
            };
            let _ = done.send(result);
        }
    }

    async fn replace(&self, index: &str, batch: &mut [Replacing]) -> Result<(), IndexError> {
        self.enter(index, batch).await?;
        dies_at!("opensearch.entered");
        let before = self.overrides(index, batch).await?;
        self.put(index, batch, &before).await?;
        dies_at!("opensearch.put");
        self.sweep(index, batch).await?;
        dies_at!("opensearch.swept");
        self.refresh(index).await?;
        // A change of visibility in another process may have passed by in between; the stricter word holds.
        let after = self.overrides(index, batch).await?;
        for (artifact, entry) in &after {
            if before.get(artifact).map(|b| (b.version, b.tag)) != Some((entry.version, entry.tag)) {
                self.tag_passages(index, *artifact, entry.tag).await?;
            }
        }
        self.finished(index, batch).await
    }

    /// Says which parts are there whole, so that a write that was broken off is not taken for one.
    async fn finished(&self, index: &str, batch: &mut [Replacing]) -> Result<(), IndexError> {
        let mut lines = Vec::new();
        let mut places = Vec::new();
        for (place, change) in batch.iter().enumerate().filter(|(_, c)| matches!(c.outcome, Ok(Applied::Yes)))
        {
            line(
                &mut lines,
                &json!({ "index": {
                "_id": whole(&change.part), "version": change.version, "version_type": "external_gte",
            } }),
            );
            line(&mut lines, &json!({ "entry": "whole", "version": change.version }));
            places.push(place);
        }
        if lines.is_empty() {
            return Ok(());
        }
        for (place, item) in places.into_iter().zip(self.bulk(index, lines).await?) {
            // A newer one is there whole already: as good.
            if !matches!(item.status, 200..=299 | 409) {
                batch[place].outcome = Err(refused(&batch[place].part, &item));
            }
        }
        Ok(())
    }

    /// Writes the parts' entries; what is older than the one there drops out.
    async fn enter(&self, index: &str, batch: &mut [Replacing]) -> Result<(), IndexError> {
        let mut lines = Vec::new();
        for change in batch.iter() {
            line(
                &mut lines,
                &json!({ "index": {
                "_id": format!("part:{}", change.part), "version": change.version, "version_type": "external_gte",
            } }),
            );
            line(
                &mut lines,
                &json!({
                    "entry": "part", "part": change.part, "version": change.version, "stamp": change.stamp,
                }),
            );
        }
        let items = self.bulk(index, lines).await?;
        let mut stale = Vec::new();
        for (place, (change, item)) in batch.iter_mut().zip(items).enumerate() {
            match item.status {
                409 => stale.push(place),
                200..=299 => change.is_new = item.result == "created",
                _ => change.outcome = Err(refused(&change.part, &item)),
            }
        }
        if stale.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = stale.iter().map(|&place| format!("part:{}", batch[place].part)).collect();
        for (place, entry) in stale.into_iter().zip(self.entries(index, &ids).await?) {
            batch[place].outcome =
                Ok(Applied::Stale { indexed: entry.map_or(i64::MAX, |entry| entry.version) });
        }
        Ok(())
    }

    /// The later words on the artifacts of a batch. One that is laxer than the tag a fresh passage brings is out of
    /// date, whatever its version: events of the two come in any order.
    async fn overrides(
        &self,
        index: &str,
        batch: &[Replacing],
    ) -> Result<HashMap<Uuid, EntrySource>, IndexError> {
        let mut strictest: HashMap<Uuid, u8> = HashMap::new();
        for doc in batch.iter().filter(|c| matches!(c.outcome, Ok(Applied::Yes))).flat_map(|c| &c.docs) {
            let tag = strictest.entry(doc.artifact_id).or_default();
            // A claim's tag says nothing of its document: another one may be the hidden one.
            if doc.kind == PassageKind::Passage {
                *tag = (*tag).max(bit(doc.visibility));
            }
            for artifact in &doc.derived_from {
                strictest.entry(*artifact).or_default();
            }
        }
        if strictest.is_empty() {
            return Ok(HashMap::new());
        }
        let artifacts: Vec<Uuid> = strictest.keys().copied().collect();
        let ids: Vec<String> = artifacts.iter().map(|a| format!("artifact:{a}")).collect();
        let mut found = HashMap::new();
        let mut lines = Vec::new();
        for (artifact, entry) in artifacts.into_iter().zip(self.entries(index, &ids).await?) {
            let Some(mut entry) = entry else { continue };
            if entry.tag < strictest[&artifact] {
                entry.tag = strictest[&artifact];
                artifact_lines(&mut lines, artifact, entry.version, entry.tag);
            }
            found.insert(artifact, entry);
        }
        if !lines.is_empty() {
            self.bulk(index, lines).await?;
        }
        Ok(found)
    }

    /// Writes the passages, in calls of bearable size. A passage refused fails its part, and no other.
    async fn put(
        &self,
        index: &str,
        batch: &mut [Replacing],
        overrides: &HashMap<Uuid, EntrySource>,
    ) -> Result<(), IndexError> {
        let mut lines = Vec::new();
        let mut owners = Vec::new();
        let mut refusals: Vec<(usize, IndexError)> = Vec::new();
        for (place, change) in batch.iter().enumerate() {
            if !matches!(change.outcome, Ok(Applied::Yes)) {
                continue;
            }
            for doc in &change.docs {
                let words: Vec<(Uuid, Visibility)> = [doc.artifact_id]
                    .iter()
                    .chain(&doc.derived_from)
                    .filter_map(|a| Some((*a, tag_of(overrides.get(a)?.tag))))
                    .collect();
                let id = format!("{}:{}:{}", change.part, change.stamp, doc.id);
                line(&mut lines, &json!({ "index": { "_id": id } }));
                line(&mut lines, &document(doc, &change.part, &change.stamp, &words)?);
                owners.push(place);
                if lines.len() >= CALL_BYTES {
                    let items = self.bulk(index, std::mem::take(&mut lines)).await?;
                    note(batch, std::mem::take(&mut owners), &items, &mut refusals);
                }
            }
        }
        if !lines.is_empty() {
            let items = self.bulk(index, lines).await?;
            note(batch, owners, &items, &mut refusals);
        }
        for (place, error) in refusals {
            batch[place].outcome = Err(error);
        }
        Ok(())
    }

    /// Removes what another write of the same part brought.
    async fn sweep(&self, index: &str, batch: &mut [Replacing]) -> Result<(), IndexError> {
        let ours: Vec<usize> =
            (0..batch.len()).filter(|&i| matches!(batch[i].outcome, Ok(Applied::Yes))).collect();
        let ids: Vec<String> = ours.iter().map(|&i| format!("part:{}", batch[i].part)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut others = Vec::new();
        for (place, entry) in ours.into_iter().zip(self.entries(index, &ids).await?) {
            let change = &mut batch[place];
            let Some(entry) = entry else { continue };
            if entry.stamp != change.stamp {
                if entry.version > change.version {
                    change.outcome = Ok(Applied::Stale { indexed: entry.version });
                }
            } else if change.is_new {
                continue;
            }
            others.push(json!({ "bool": {
                "filter": [{ "term": { "part": change.part } }, { "term": { "entry": "passage" } }],
                "must_not": [{ "term": { "stamp": entry.stamp } }],
            } }));
        }
        if others.is_empty() {
            return Ok(());
        }
        // Only what is refreshed is found: passages of a write that was broken off may not be, nor what was just written
        // by one that was overtaken.
        self.refresh(index).await?;
        let body = json!({ "query": { "bool": { "should": others, "minimum_should_match": 1 } } });
        let path = format!("/{index}/_delete_by_query?conflicts=proceed");
        self.call::<Value>(Method::Post, &path, Some(&body)).await?;
        Ok(())
    }

    async fn refresh(&self, index: &str) -> Result<(), IndexError> {
        self.call::<Value>(Method::Post, &format!("/{index}/_refresh"), None).await.map(|_| ())
    }

    /// Entries by id, in order, as they are now.
    async fn entries(&self, index: &str, ids: &[String]) -> Result<Vec<Option<EntrySource>>, IndexError> {
        let path = format!("/{index}/_mget?_source_includes=version,stamp,indexed_tag");
        let found: Entries = self.call(Method::Post, &path, Some(&json!({ "ids": ids }))).await?;
        Ok(found.docs.into_iter().map(|doc| doc.source).collect())
    }

    async fn bulk(&self, index: &str, lines: Vec<u8>) -> Result<Vec<Item>, IndexError> {
        let mut pending = lines;
        let mut wait = std::time::Duration::from_millis(100);
        // Items that the engine puts off are given to it again, all other answers stand.
        let mut answers: Vec<Option<Item>> = Vec::new();
        let mut places: Vec<usize> = Vec::new();
        for round in 0.. {
            let path = format!("/{index}/_bulk{}", self.options);
            let given: Vec<&[u8]> = split(&pending);
            let sent: Bulk = self
                .client
                .lines(&path, pending.clone(), WRITE)
                .await
                .map_err(|error| self.client.told(error))?;
            let items: Vec<Item> =
                sent.items.into_iter().filter_map(|item| item.into_values().next()).collect();
            if round == 0 {
                answers.resize_with(items.len(), || None);
                places = (0..items.len()).collect();
            }
            let (mut again, mut again_places) = (Vec::new(), Vec::new());
            for ((item, place), action) in items.into_iter().zip(places).zip(given) {
                if item.status == 429 && round < RETRIES {
                    again.extend_from_slice(action);
                    again_places.push(place);
                } else {
                    answers[place] = Some(item);
                }
            }
            if again_places.is_empty() {
                break;
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
            (pending, places) = (again, again_places);
        }
        Ok(answers.into_iter().flatten().collect())
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, IndexError> {
        self.client.json(method, path, body, WRITE).await.map_err(|error: CallError| self.client.told(error))
    }
}

/// The entry that says up to which version a part is there whole.
pub(super) fn whole(part: &str) -> String {
    format!("whole:{part}")
}

/// The two lines of each action.
fn split(lines: &[u8]) -> Vec<&[u8]> {
    let mut actions = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let ends: Vec<usize> =
            rest.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).take(2).collect();
        let end = ends.get(1).copied().unwrap_or(rest.len());
        actions.push(&rest[..end]);
        rest = &rest[end..];
    }
    actions
}

fn note(batch: &[Replacing], owners: Vec<usize>, items: &[Item], refusals: &mut Vec<(usize, IndexError)>) {
    for (place, item) in owners.into_iter().zip(items) {
        if !(200..=299).contains(&item.status) {
            refusals.push((place, refused(&batch[place].part, item)));
        }
    }
}

fn refused(what: &str, item: &Item) -> IndexError {
    let reason =
        item.error.as_ref().and_then(|e| e.get("reason")).and_then(Value::as_str).unwrap_or("unknown");
    IndexError::Engine(format!("{what} was refused with {}: {reason}", item.status))
}

fn line(lines: &mut Vec<u8>, value: &Value) {
    lines.extend_from_slice(value.to_string().as_bytes());
    lines.push(b'\n');
}

fn tag_of(bits: u8) -> Visibility {
    Visibility::ALL.into_iter().find(|tag| bit(*tag) == bits).unwrap_or(Visibility::Reviewer)
}
