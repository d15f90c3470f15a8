//! Runs, sources and dead letters: for operators. The services decide who is one, by the same policies as are asked here first.

use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result};
use cs_policy::Action;
use cs_proto::ops::v1::{ListDeadLettersRequest, ListRunsRequest, ListSourcesRequest};
use futures::future::join_all;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::scope::{Scope, read};
use crate::graphql::types::{DeadLetter, Run, Source, page};

#[derive(Default)]
pub(super) struct OperationQueries;

fn own(kind: Kind, id: Option<ID>, field: &str) -> Result<String, Fault> {
    id.map_or(Ok(String::new()), |id| kind.own(&id, field))
}

#[Object]
impl OperationQueries {
    /// Runs of the pipeline, the newest first.
    #[graphql(complexity = "page::size(first, None) * child_complexity")]
    async fn runs(
        &self,
        context: &Context<'_>,
        meeting_id: Option<ID>,
        city_id: Option<ID>,
        state: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, Run>> {
        let scope = Scope::of(context);
        scope.may(Action::Operate)?;
        let request = ListRunsRequest {
            meeting_id: own(Kind::Meeting, meeting_id, "meetingId")?,
            city_id: own(Kind::City, city_id, "cityId")?,
            state: state.unwrap_or_default().to_lowercase(),
            page: Some(page::request(first, after, None, None)?),
        };
        let answer = read!(scope.calls, runs.list_runs, request)?;
        Ok(page::connection(answer.runs, answer.cursors, answer.page_info, |run| Run(Arc::new(run))))
    }

    /// Where cities publish, and how the last scans went.
    #[graphql(complexity = "10 * child_complexity")]
    async fn sources(&self, context: &Context<'_>, city_id: Option<ID>) -> Result<Vec<Source>> {
        let scope = Scope::of(context);
        scope.may(Action::Operate)?;
        let request = ListSourcesRequest { city_id: own(Kind::City, city_id, "cityId")? };
        let answer = read!(scope.calls, sources.list_sources, request)?;
        Ok(answer.sources.into_iter().map(Arc::new).map(Source).collect())
    }

    /// What was given up on, in every service; the newest first.
    #[graphql(complexity = "page::size(first, None) * child_complexity")]
    async fn dead_letters(&self, context: &Context<'_>, first: Option<i32>) -> Result<Vec<DeadLetter>> {
        let scope = Scope::of(context);
        scope.may(Action::Operate)?;
        let first = page::request(first, None, None, None)?.first;
        let calls = &scope.calls;
        let answers = join_all(calls.clients.dead_letters().map(|(service, remote)| async move {
            let request = ListDeadLettersRequest { first, ..Default::default() };
            let answer = remote
                .read(&calls.caller, calls.until(), request, |mut client, request| async move {
                    client.list_dead_letters(request).await
                })
                .await;
            match answer {
                Ok(answer) => Ok(answer
                    .dead_letters
                    .into_iter()
                    .map(|letter| {
                        (letter.failed_at.clone(), letter.id.clone(), DeadLetter::new(service, letter))
                    })
                    .collect()),
                // A service without workers has none.
                Err(status) if status.code() == tonic::Code::Unimplemented => Ok(Vec::new()),
                Err(status) => Err(Fault::from(status)),
            }
        }))
        .await;
        let mut letters: Vec<(String, String, DeadLetter)> = Vec::new();
        for answer in answers {
            letters.extend(answer?);
        }
        // Roles of one process answer for each other.
        let mut seen = HashSet::new();
        letters.retain(|(_, id, _)| seen.insert(id.clone()));
        letters.sort_by(|(one, ..), (other, ..)| other.cmp(one));
        let most = if first == 0 { 20 } else { first as usize };
        Ok(letters.into_iter().take(most).map(|(.., letter)| letter).collect())
    }
}
