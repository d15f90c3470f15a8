//! Who brings meetings, and asks for them later: over the wire, and not over a way that is made to fail.

use std::collections::BTreeSet;
use std::time::Duration;

use councilsense::wiring::{Role, Stack};
use cs_core::{Caller, Subject, TenantId, Trace};
use cs_proto::meetings::v1 as pb;
use cs_proto::meetings::v1::ingest_meeting_request::Part;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1::ReplayDeadLettersRequest;
use cs_proto::ops::v1::dead_letters_client::DeadLettersClient;
use cs_proto::search::v1::search_client::SearchClient;
use cs_proto::search::v1::{Passage, SearchMode, SearchRequest};
use cs_rpc::{Channel, Outbound};

use crate::world::Plan;

/// Of each meeting, and of no other.
const FIRST_NUMBER: i64 = 34_000;
/// Between two tries, and how many: what serves is killed, and comes back within seconds.
const WAIT: Duration = Duration::from_millis(200);
const TRIES: u32 = 300;
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct Door {
    channels: Vec<(Role, Channel)>,
    outbound: Outbound,
    tenant: TenantId,
}

impl Door {
    /// Through which `stack` sees the others.
    pub(crate) fn of(stack: &Stack, tenant: TenantId) -> Self {
        let channels = Role::ALL.map(|role| (role, stack.channel(role).unwrap())).into();
        Self { channels, outbound: stack.outbound("bff"), tenant }
    }

    pub(crate) fn channel(&self, role: Role) -> Channel {
        self.channels.iter().find(|(known, _)| *known == role).unwrap().1.clone()
    }

    /// Takes meetings in, and tries again where the monkey was in the way.
    pub(crate) async fn take_in(self, plan: Plan) {
        for number in 0..plan.meetings {
            patiently(|| self.ingest(number, number % plan.cities)).await;
        }
    }

    /// Every dead letter of every service and queue, as `councilsense dlq replay --all` does; gives how many.
    pub(crate) async fn replay_dead_letters(&self) -> usize {
        let mut ids = BTreeSet::new();
        for (_, channel) in &self.channels {
            let replayed = patiently(async || {
                let request = ReplayDeadLettersRequest { all: true, ..Default::default() };
                let call = self.outbound.request(&operator(self.tenant), request, Duration::from_secs(60))?;
                DeadLettersClient::new(channel.clone()).replay_dead_letters(call).await
            });
            ids.extend(replayed.await.into_inner().ids);
        }
        ids.len()
    }

    /// What search finds by the number that stands in a meeting's minutes alone.
    pub(crate) async fn found(&self, number: i64) -> Vec<Passage> {
        let answer = patiently(async || {
            let request = SearchRequest {
                query: (FIRST_NUMBER + number).to_string(),
                mode: SearchMode::Keyword.into(),
                first: 100,
                ..Default::default()
            };
            let call = self.outbound.request(&operator(self.tenant), request, DEADLINE)?;
            SearchClient::new(self.channel(Role::Search)).search(call).await
        });
        answer.await.into_inner().hits.into_iter().filter_map(|hit| hit.passage).collect()
    }

    async fn ingest(&self, number: i64, city: i64) -> Result<(), tonic::Status> {
        let header = pb::IngestHeader {
            city: format!("city-{city}"),
            time_zone: "UTC".to_owned(),
            meeting_uid: format!("m{number}"),
            title: "Regular Meeting".to_owned(),
            body: "City Council".to_owned(),
            date: "2023-01-05".to_owned(),
            file_count: 1,
            ..Default::default()
        };
        let text = minutes(number);
        let file = pb::IngestFile {
            file_name: "minutes.txt".to_owned(),
            kind: "minutes".to_owned(),
            size_bytes: text.len() as u64,
            ..Default::default()
        };
        let parts = [Part::Header(header), Part::File(file), Part::Chunk(text.into_bytes())];
        let messages = parts.map(|part| pb::IngestMeetingRequest { part: Some(part) });
        let request = self.outbound.stream(&operator(self.tenant), futures::stream::iter(messages));
        MeetingsClient::new(self.channel(Role::Meetings)).ingest_meeting(request?).await.map(|_| ())
    }
}

/// Tries until somebody answers.
pub(crate) async fn patiently<T, F>(call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, tonic::Status>>,
{
    let mut why = None;
    for _ in 0..TRIES {
        match call().await {
            Ok(answer) => return answer,
            Err(status) => why = Some(status),
        }
        tokio::time::sleep(WAIT).await;
    }
    panic!("nobody answers: {why:?}");
}

pub(crate) fn operator(tenant: TenantId) -> Caller {
    Caller {
        subject: Subject::Operator("chaos".to_owned()),
        roles: [cs_core::Role::Operator].into(),
        ..Caller::service("test", tenant, Trace::start())
    }
}

fn minutes(number: i64) -> String {
    format!(
        "MINUTES OF THE REGULAR MEETING OF THE CITY COUNCIL\n\nThursday, January 5, 2023\n\nROLL CALL\n\
         Present: Councilmembers Rivera, Banks, Osei, Lindqvist, Moreau.\n\n\
         1. CAL. NO. {}\nAn Ordinance to appropriate $250,{:03} for the repair of the streets of district {number}.\n\
         MOVED BY: Banks SECONDED BY: Osei\nYEAS: Rivera, Banks, Osei, Lindqvist, Moreau - 5\nNAYS: 0\nABSTAIN: 0\nABSENT: 0\n\
         AND THE ORDINANCE WAS PASSED.\n\nADJOURNMENT\nThe meeting was adjourned at 11:30 A.M.\n",
        FIRST_NUMBER + number,
        number % 1_000
    )
}
