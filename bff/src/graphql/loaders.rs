//! One loader for each thing that lists refer to.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use cs_proto::common::v1::BatchGetRequest;
use cs_proto::meetings::v1::{
    Artifact, BatchGetSectionsRequest, BatchListArtifactsRequest, Body, City, Meeting, Section, SectionRef,
};
use cs_proto::ops::v1::Run;
use cs_proto::summaries::v1::{
    Agenda, BatchGetAgendaItemsRequest, BatchGetClaimsRequest, BatchGetCurrentSummariesRequest, Claim,
    ClaimKind, Summary, SummaryView,
};
use futures::future::try_join_all;

use super::batch::{Batcher, Loaded, Queue};
use super::error::Fault;
use super::scope::{Calls, read};

/// Most ids in one call (common.proto).
const MOST: usize = 100;

/// What of a summary is selected: nobody is sent claims or evidence that the client did not ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct View {
    /// A bit a claim kind; zero: no claims.
    kinds: u8,
    pub(crate) evidence: bool,
}

impl View {
    pub(crate) fn add(&mut self, kind: ClaimKind) {
        self.kinds |= 1 << (kind as u8);
    }

    pub(crate) fn add_all(&mut self) {
        for kind in [ClaimKind::Decision, ClaimKind::Action, ClaimKind::Topic, ClaimKind::Fact] {
            self.add(kind);
        }
    }

    /// What either needs.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { kinds: self.kinds | other.kinds, evidence: self.evidence || other.evidence }
    }

    pub(crate) fn message(self) -> SummaryView {
        let all = [ClaimKind::Decision, ClaimKind::Action, ClaimKind::Topic, ClaimKind::Fact];
        SummaryView {
            kinds: all
                .into_iter()
                .filter(|kind| self.kinds & (1 << (*kind as u8)) != 0)
                .map(i32::from)
                .collect(),
            without_claims: self.kinds == 0,
            without_evidence: !self.evidence,
        }
    }
}

/// A summary whose claims can be handed out one by one.
pub(crate) struct LoadedSummary {
    pub(crate) summary: Summary,
    pub(crate) claims: Vec<Arc<Claim>>,
}

impl LoadedSummary {
    pub(crate) fn new(mut summary: Summary) -> Arc<Self> {
        let claims = std::mem::take(&mut summary.claims);
        let meeting = summary.meeting_id.clone();
        let claims = claims
            .into_iter()
            .map(|mut claim| {
                // Evidence leads to its meeting, whichever way the claim was found.
                claim.meeting_id.clone_from(&meeting);
                Arc::new(claim)
            })
            .collect();
        Arc::new(Self { summary, claims })
    }
}

/// A section of a text version, as it was published with a meeting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SectionKey {
    pub(crate) meeting: String,
    pub(crate) text_sha256: String,
    pub(crate) ordinal: u32,
}

/// Of one request.
pub(crate) struct Loaders {
    pub(crate) cities: Batcher<String, Arc<City>>,
    pub(crate) bodies: Batcher<String, Arc<Body>>,
    pub(crate) meetings: Batcher<String, Arc<Meeting>>,
    pub(crate) artifacts: Batcher<String, Arc<Artifact>>,
    pub(crate) artifacts_of: Batcher<String, Arc<Vec<Arc<Artifact>>>>,
    pub(crate) summaries: Batcher<(String, View), Arc<LoadedSummary>>,
    /// By meeting; in the order of the record.
    pub(crate) agendas: Batcher<String, Arc<Agenda>>,
    pub(crate) claims: Batcher<String, Arc<Claim>>,
    pub(crate) sections: Batcher<SectionKey, Arc<Section>>,
    pub(crate) runs: Batcher<String, Arc<Run>>,
}

/// Splits keys into calls of at most [`MOST`], made side by side.
async fn in_calls<K: Clone, R, F, A>(keys: Vec<K>, call: F) -> Result<Vec<R>, Fault>
where
    F: Fn(Vec<K>) -> A,
    A: Future<Output = Result<Vec<R>, Fault>>,
{
    let answers = try_join_all(keys.chunks(MOST).map(|chunk| call(chunk.to_vec()))).await?;
    Ok(answers.into_iter().flatten().collect())
}

fn by<K: Eq + Hash, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> HashMap<K, Arc<T>> {
    rows.into_iter().map(|row| (key(&row), Arc::new(row))).collect()
}

/// A batch of things that are found by their own id.
macro_rules! by_id {
    ($calls:expr, $queue:expr, $service:ident . $method:ident, $request:ident { $ids:ident }, $rows:ident) => {{
        let calls = $calls.clone();
        Batcher::new($queue, move |keys: Vec<String>| {
            let calls = calls.clone();
            async move {
                let rows = in_calls(keys, |ids| async {
                    Ok(read!(calls, $service.$method, $request { $ids: ids })?.$rows)
                })
                .await?;
                Ok(by(rows, |row| row.id.clone()))
            }
        })
    }};
}

impl Loaders {
    pub(crate) fn new(calls: &Calls, queue: &Queue) -> Self {
        let owned = calls.clone();
        let artifacts_of = Batcher::new(queue, move |keys| artifacts_of(owned.clone(), keys));
        let owned = calls.clone();
        let summaries = Batcher::new(queue, move |keys| summaries(owned.clone(), keys));
        let owned = calls.clone();
        let sections = Batcher::new(queue, move |keys| sections(owned.clone(), keys));
        let owned = calls.clone();
        let agendas = Batcher::new(queue, move |keys| agendas(owned.clone(), keys));
        Self {
            cities: by_id!(calls, queue, meetings.batch_get_cities, BatchGetRequest { ids }, cities),
            bodies: by_id!(calls, queue, meetings.batch_get_bodies, BatchGetRequest { ids }, bodies),
            meetings: by_id!(calls, queue, meetings.batch_get_meetings, BatchGetRequest { ids }, meetings),
            artifacts: by_id!(calls, queue, meetings.batch_get_artifacts, BatchGetRequest { ids }, artifacts),
            artifacts_of,
            summaries,
            agendas,
            claims: by_id!(calls, queue, summaries.batch_get_claims, BatchGetClaimsRequest { ids }, claims),
            sections,
            runs: by_id!(calls, queue, runs.batch_get_runs, BatchGetRequest { ids }, runs),
        }
    }
}

async fn artifacts_of(calls: Calls, keys: Vec<String>) -> Loaded<String, Arc<Vec<Arc<Artifact>>>> {
    let rows = in_calls(keys, |meeting_ids| async {
        Ok(read!(calls, meetings.batch_list_artifacts, BatchListArtifactsRequest { meeting_ids })?.artifacts)
    })
    .await?;
    let mut lists: HashMap<String, Vec<Arc<Artifact>>> = HashMap::new();
    for artifact in rows {
        lists.entry(artifact.meeting_id.clone()).or_default().push(Arc::new(artifact));
    }
    Ok(lists.into_iter().map(|(meeting, list)| (meeting, Arc::new(list))).collect())
}

async fn agendas(calls: Calls, keys: Vec<String>) -> Loaded<String, Arc<Agenda>> {
    let rows = in_calls(keys, |meeting_ids| async {
        Ok(read!(calls, summaries.batch_get_agenda_items, BatchGetAgendaItemsRequest { meeting_ids })?
            .agendas)
    })
    .await?;
    Ok(by(rows, |agenda| agenda.meeting_id.clone()))
}

/// A call a view: fields of one selection share theirs, so a list makes one.
async fn summaries(calls: Calls, keys: Vec<(String, View)>) -> Loaded<(String, View), Arc<LoadedSummary>> {
    let mut views: HashMap<View, Vec<String>> = HashMap::new();
    for (meeting, view) in keys {
        views.entry(view).or_default().push(meeting);
    }
    let found = try_join_all(views.into_iter().map(|(view, meetings)| {
        let calls = &calls;
        async move {
            let rows = in_calls(meetings, |meeting_ids| async {
                let request = BatchGetCurrentSummariesRequest { meeting_ids, view: Some(view.message()) };
                Ok(read!(calls, summaries.batch_get_current_summaries, request)?.summaries)
            })
            .await?;
            Ok::<_, Fault>((view, rows))
        }
    }))
    .await?;
    Ok(found
        .into_iter()
        .flat_map(|(view, rows)| {
            rows.into_iter().map(move |row| ((row.meeting_id.clone(), view), LoadedSummary::new(row)))
        })
        .collect())
}

/// A call a meeting, since a meeting decides who may read what it cites.
async fn sections(calls: Calls, keys: Vec<SectionKey>) -> Loaded<SectionKey, Arc<Section>> {
    let mut meetings: HashMap<String, Vec<SectionRef>> = HashMap::new();
    for key in keys {
        let section = SectionRef { text_sha256: key.text_sha256, ordinal: key.ordinal };
        meetings.entry(key.meeting).or_default().push(section);
    }
    let found = try_join_all(meetings.into_iter().map(|(meeting, refs)| {
        let calls = &calls;
        async move {
            let request = BatchGetSectionsRequest { meeting_id: meeting.clone(), refs };
            Ok::<_, Fault>((meeting, read!(calls, meetings.batch_get_sections, request)?.sections))
        }
    }))
    .await?;
    Ok(found
        .into_iter()
        .flat_map(|(meeting, rows)| {
            rows.into_iter().filter_map(move |row| {
                let section = row.section?;
                let key = SectionKey {
                    meeting: meeting.clone(),
                    text_sha256: row.text_sha256,
                    ordinal: section.ordinal,
                };
                Some((key, Arc::new(section)))
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_asks_for_what_is_selected() {
        assert!(View::default().message().without_claims);
        let mut view = View::default();
        view.add(ClaimKind::Decision);
        let message = view.message();
        assert_eq!(message.kinds, [i32::from(ClaimKind::Decision)]);
        assert!(!message.without_claims && message.without_evidence);
        view.add_all();
        view.evidence = true;
        assert_eq!(view.message().kinds.len(), 4);
        assert!(!view.message().without_evidence);
    }
}
