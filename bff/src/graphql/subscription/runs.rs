//! A run, as it goes.

use std::sync::Arc;

use async_graphql::{Context, ID, Result, Subscription};
use cs_proto::ops::v1::WatchRunRequest;
use futures::{Stream, StreamExt, stream};

use super::resuming::resuming;
use crate::graphql::global_id::Kind;
use crate::graphql::scope::Scope;
use crate::graphql::types::Run;

#[derive(Default)]
pub(super) struct RunSubscriptions;

#[Subscription]
impl RunSubscriptions {
    /// A run as it stands, then each state it comes to. Completes when the run has ended. For reviewers and operators.
    async fn run_progress(
        &self,
        context: &Context<'_>,
        run_id: ID,
    ) -> Result<impl Stream<Item = Result<Run>>> {
        let scope = Scope::of(context);
        scope.may_run()?;
        let calls = scope.calls.clone();
        let id = Kind::Run.own(&run_id, "runId")?;
        let open = move |after: String| {
            let (calls, request) = (calls.clone(), WatchRunRequest { id: id.clone(), after });
            async move {
                calls
                    .clients
                    .runs
                    .watch(&calls.caller, request, |mut client, request| async move {
                        client.watch_run(request).await
                    })
                    .await
            }
        };
        let states = resuming(open, |message| (message.run.map(|run| Run(Arc::new(run))), message.cursor));
        // Behind the end of a run nothing is asked for any more.
        Ok(stream::unfold(Some(Box::pin(states)), |states| async {
            let mut states = states?;
            let state = states.next().await?;
            let goes_on = state.as_ref().is_ok_and(|run| !run.has_ended());
            Some((state.map_err(Into::into), goes_on.then_some(states)))
        }))
    }
}
