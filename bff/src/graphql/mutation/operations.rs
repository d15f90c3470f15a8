//! What operators set going, and reviewers where it is a run. The services decide who is one, by the same policies as are
//! asked here first.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use cs_policy::Action;
use cs_proto::ops::v1 as pb;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::once;
use crate::graphql::scope::{Scope, read, write};
use crate::graphql::types::{DeadLetter, Run, Source, UserError};

#[derive(InputObject, Debug)]
struct RerunMeetingInput {
    meeting_id: ID,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct RerunMeetingPayload {
    run: Option<Run>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct ScanCityInput {
    city_id: ID,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct ScanCityPayload {
    /// That are being looked at.
    sources: Vec<Source>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct ReplayDeadLetterInput {
    id: ID,
    /// As `DeadLetter.service`.
    service: String,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct ReplayDeadLetterPayload {
    dead_letter: Option<DeadLetter>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub(super) struct OperationMutations;

#[Object]
impl OperationMutations {
    /// Takes a meeting through the pipeline again.
    async fn rerun_meeting(
        &self,
        context: &Context<'_>,
        input: RerunMeetingInput,
    ) -> Result<RerunMeetingPayload> {
        let scope = Scope::of(context);
        scope.may_run()?;
        let request = pb::RerunMeetingRequest {
            meeting_id: Kind::Meeting.own(&input.meeting_id, "input.meetingId")?,
            idempotency_key: input.idempotency_key.clone().unwrap_or_default(),
        };
        let change =
            async { write!(scope.calls, runs.rerun_meeting, request)?.run.ok_or_else(Fault::internal) };
        let outcome = once(scope, "rerunMeeting", input.idempotency_key.as_ref(), &input, change).await?;
        let (run, user_errors) = outcome.parts();
        Ok(RerunMeetingPayload { run: run.map(Arc::new).map(Run), user_errors })
    }

    /// Looks for new and changed meetings of a city now.
    async fn scan_city(&self, context: &Context<'_>, input: ScanCityInput) -> Result<ScanCityPayload> {
        let scope = Scope::of(context);
        scope.may(Action::Operate)?;
        let city = Kind::City.own(&input.city_id, "input.cityId")?;
        let request = pb::ScanCityRequest { city: city.clone() };
        let change = async { write!(scope.calls, sources.scan_city, request) };
        let outcome = once(scope, "scanCity", input.idempotency_key.as_ref(), &input, change).await?;
        let (done, user_errors) = outcome.parts();
        let sources = match done {
            None => Vec::new(),
            Some(done) => {
                let request = pb::ListSourcesRequest { city_id: city };
                let answer = read!(scope.calls, sources.list_sources, request)?;
                let asked = answer.sources.into_iter().filter(|source| done.source_ids.contains(&source.id));
                asked.map(Arc::new).map(Source).collect()
            }
        };
        Ok(ScanCityPayload { sources, user_errors })
    }

    /// Tries again what was given up on.
    async fn replay_dead_letter(
        &self,
        context: &Context<'_>,
        input: ReplayDeadLetterInput,
    ) -> Result<ReplayDeadLetterPayload> {
        let scope = Scope::of(context);
        scope.may(Action::Operate)?;
        let request = pb::ReplayDeadLetterRequest { id: Kind::DeadLetter.own(&input.id, "input.id")? };
        let (service, remote) = scope
            .calls
            .clients
            .dead_letters()
            .find(|(service, _)| *service == input.service)
            .ok_or_else(|| Fault::input("input.service", "names no service"))?;
        let calls = &scope.calls;
        let change = async {
            remote
                .write(&calls.caller, calls.until(), request, |mut client, request| async move {
                    client.replay_dead_letter(request).await
                })
                .await?
                .dead_letter
                .ok_or_else(Fault::internal)
        };
        let outcome = once(scope, "replayDeadLetter", input.idempotency_key.as_ref(), &input, change).await?;
        let (letter, user_errors) = outcome.parts();
        let dead_letter = letter.map(|letter| DeadLetter::new(service, letter));
        Ok(ReplayDeadLetterPayload { dead_letter, user_errors })
    }
}
