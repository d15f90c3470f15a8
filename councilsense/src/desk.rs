//! Dead letters of a whole instance: every process of it is asked, and what several of them answer for is counted once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::iter::repeat;
use std::time::Duration;

use cs_core::Caller;
use cs_core::page::decode_cursor;
use cs_events::bus::DeadPlace;
use cs_proto::ops::v1 as ops;
use cs_proto::ops::v1::dead_letters_client::DeadLettersClient;
use cs_rpc::{Channel, Outbound};
use tonic::{Code, Request, Response, Status};

/// Longest list.
const MOST: u32 = 500;
/// How long a look may take; and how long something that is done with all letters of a place.
const LOOK: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(590);

/// Where an operator deals with dead letters.
pub struct Desk {
    outbound: Outbound,
    caller: Caller,
    places: Vec<(&'static str, Channel)>,
}

/// What the processes said, and those that did not answer, with why.
#[derive(Debug, Default)]
pub struct Answer<T> {
    /// What those said that answered.
    pub found: T,
    /// The others.
    pub silent: BTreeMap<&'static str, Status>,
}

/// The newest letters.
#[derive(Debug, Default)]
pub struct Listed {
    /// Newest first.
    pub letters: Vec<ops::DeadLetter>,
    /// From where on there are more.
    pub more: Option<String>,
}

impl Desk {
    /// A desk of `caller` over one channel to each process, by the name of a role in it.
    pub fn new(outbound: Outbound, caller: Caller, places: Vec<(&'static str, Channel)>) -> Self {
        Self { outbound, caller, places }
    }

    async fn ask<Q: Clone, A>(
        &self,
        message: Q,
        within: Duration,
        call: impl AsyncFn(DeadLettersClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Answer<Vec<A>> {
        let mut answer = Answer { found: Vec::new(), silent: BTreeMap::new() };
        for (name, channel) in &self.places {
            let client = DeadLettersClient::new(channel.clone());
            let said = match self.outbound.request(&self.caller, message.clone(), within) {
                Ok(request) => call(client, request).await,
                Err(status) => Err(status),
            };
            match said {
                Ok(said) => answer.found.push(said.into_inner()),
                // A process without workers has none.
                Err(status) if status.code() == Code::Unimplemented => {}
                Err(status) => {
                    answer.silent.insert(*name, status);
                }
            }
        }
        answer
    }

    /// The newest letters, of a type where one is given, behind a cursor where one is given.
    pub async fn list(&self, kind: &str, after: &str) -> Answer<Listed> {
        let request =
            ops::ListDeadLettersRequest { r#type: kind.to_owned(), first: MOST, after: after.to_owned() };
        let Answer { found, silent } =
            self.ask(request, LOOK, async |mut desk, request| desk.list_dead_letters(request).await).await;
        let mut more = found.iter().any(|page| page.more);
        let mut seen = HashSet::new();
        let mut letters: Vec<(Option<DeadPlace>, String, ops::DeadLetter)> = found
            .into_iter()
            // A process of the version before gives no cursors.
            .flat_map(|page| {
                page.dead_letters.into_iter().zip(page.cursors.into_iter().chain(repeat(String::new())))
            })
            .filter(|(l, _)| seen.insert((l.origin.clone(), l.place.clone(), l.id.clone())))
            .map(|(letter, cursor)| (decode_cursor(&cursor).ok(), cursor, letter))
            .collect();
        letters.sort_by(|(one, ..), (other, ..)| other.cmp(one));
        let mut most = MOST as usize;
        // Letters of one place are not parted: the cursor names them all.
        while most < letters.len() && letters[most].0 == letters[most - 1].0 {
            most += 1;
        }
        more |= letters.len() > most;
        letters.truncate(most);
        let last = letters.last().map(|(_, cursor, _)| cursor.clone());
        let listed = Listed {
            more: last.filter(|cursor| more && !cursor.is_empty()),
            letters: letters.into_iter().map(|(.., letter)| letter).collect(),
        };
        Answer { found: listed, silent }
    }

    /// The ids of all letters of a type.
    pub async fn ids(&self, kind: &str) -> Answer<BTreeSet<String>> {
        let (mut all, mut after) = (Answer::<BTreeSet<String>>::default(), String::new());
        loop {
            let page = self.list(kind, &after).await;
            all.found.extend(page.found.letters.into_iter().map(|letter| letter.id));
            all.silent.extend(page.silent);
            match page.found.more {
                Some(cursor) => after = cursor,
                None => return all,
            }
        }
    }

    /// One letter whole.
    pub async fn show(&self, id: &str) -> Answer<Option<ops::DeadLetter>> {
        let request = ops::GetDeadLetterRequest { id: id.to_owned() };
        let answer =
            self.ask(request, LOOK, async |mut desk, request| desk.get_dead_letter(request).await).await;
        answer.of_one().map(|found| found.into_iter().find_map(|answer| answer.dead_letter))
    }

    /// Has some, all of a type, or all tried again; gives their ids.
    pub async fn replay(&self, ids: Vec<String>, kind: &str, all: bool) -> Answer<Vec<String>> {
        let request = ops::ReplayDeadLettersRequest { ids, r#type: kind.to_owned(), all };
        let answer =
            self.ask(request, LONG, async |mut desk, request| desk.replay_dead_letters(request).await).await;
        answer.map(|found| {
            let mut seen = HashSet::new();
            found.into_iter().flat_map(|answer| answer.ids).filter(|id| seen.insert(id.clone())).collect()
        })
    }

    /// Forgets one wherever it lies; gives whether it lay anywhere.
    pub async fn discard(&self, id: &str, reason: &str) -> Answer<bool> {
        let request = ops::DiscardDeadLetterRequest { id: id.to_owned(), reason: reason.to_owned() };
        let answer =
            self.ask(request, LOOK, async |mut desk, request| desk.discard_dead_letter(request).await).await;
        answer.of_one().map(|found| !found.is_empty())
    }

    /// Sends what every service published since a time to a queue again; gives how many facts that are.
    pub async fn replay_outbox(&self, since: &str, kind: &str, queue: &str) -> Answer<u64> {
        let request = ops::ReplayOutboxRequest {
            since: since.to_owned(),
            r#type: kind.to_owned(),
            queue: queue.to_owned(),
        };
        let answer =
            self.ask(request, LONG, async |mut desk, request| desk.replay_outbox(request).await).await;
        answer.map(|found| found.into_iter().map(|answer| answer.facts).sum())
    }

    /// Who replayed or discarded what: one list, which every process has.
    pub async fn history(&self) -> Answer<Vec<ops::Intervention>> {
        let request = ops::ListInterventionsRequest { first: MOST };
        let answer =
            self.ask(request, LOOK, async |mut desk, request| desk.list_interventions(request).await).await;
        let silent = if answer.found.is_empty() { answer.silent } else { BTreeMap::new() };
        let found = answer.found.into_iter().next().map(|answer| answer.interventions).unwrap_or_default();
        Answer { found, silent }
    }
}

impl<T> Answer<Vec<T>> {
    /// Of a letter that lies in one place, the others rightly know nothing.
    fn of_one(mut self) -> Self {
        if !self.found.is_empty() || self.silent.values().any(|status| status.code() != Code::NotFound) {
            self.silent.retain(|_, status| status.code() != Code::NotFound);
        }
        self
    }

    fn map<U>(self, of: impl FnOnce(Vec<T>) -> U) -> Answer<U> {
        Answer { found: of(self.found), silent: self.silent }
    }
}
