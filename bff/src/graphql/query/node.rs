//! Anything by its id.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use cs_proto::notifications::v1::ListFollowsRequest;
use cs_proto::ops::v1::ListSourcesRequest;
use cs_proto::summaries::v1::GetSummaryRequest;
use futures::future::try_join_all;

use crate::graphql::error::{Code, Fault};
use crate::graphql::global_id::{Kind, parse};
use crate::graphql::loaders::LoadedSummary;
use crate::graphql::scope::{Scope, read};
use crate::graphql::types::{
    Artifact, Body, City, Claim, Follow, Meeting, Node, Run, Source, Summary, Viewer,
};

/// Most ids at once.
const MOST: usize = 100;

#[derive(Default)]
pub(super) struct NodeQueries;

#[Object]
impl NodeQueries {
    /// null: there is none of this id, or none that you may see.
    async fn node(&self, context: &Context<'_>, id: ID) -> Result<Option<Node>> {
        Ok(find(Scope::of(context), &id).await?)
    }

    /// In the order of the ids, with null where there is none.
    #[graphql(complexity = "ids.len().clamp(1, 100) * child_complexity")]
    async fn nodes(&self, context: &Context<'_>, ids: Vec<ID>) -> Result<Vec<Option<Node>>> {
        if ids.len() > MOST {
            return Err(Fault::input("ids", format!("at most {MOST} at once")).into());
        }
        let scope = Scope::of(context);
        Ok(try_join_all(ids.iter().map(|id| find(scope, id))).await?)
    }
}

/// What cannot be seen is not there: the same answer as for an id that names nothing.
async fn find(scope: &Scope, id: &ID) -> Result<Option<Node>, Fault> {
    match look_up(scope, id).await {
        Err(fault) if matches!(fault.code, Code::NotFound | Code::Forbidden | Code::Unauthenticated) => {
            Ok(None)
        }
        found => found,
    }
}

async fn look_up(scope: &Scope, id: &ID) -> Result<Option<Node>, Fault> {
    let Some((kind, own)) = parse(id) else { return Ok(None) };
    let loaders = &scope.loaders;
    Ok(match kind {
        Kind::Artifact => loaders.artifacts.load(own).await?.map(|found| Node::Artifact(Artifact(found))),
        Kind::Body => loaders.bodies.load(own).await?.map(|found| Node::Body(Body::from(&*found))),
        Kind::City => loaders.cities.load(own).await?.map(|found| Node::City(City(found))),
        Kind::Claim => loaders.claims.load(own).await?.map(|found| Node::Claim(Claim(found))),
        Kind::Meeting => loaders.meetings.load(own).await?.map(|found| Node::Meeting(Meeting(found))),
        Kind::Run => loaders.runs.load(own).await?.map(|found| Node::Run(Run(found))),
        Kind::Summary => summary(scope, &own).await?,
        Kind::User => Viewer::load(scope).await?.filter(|viewer| viewer.0.id == own).map(Node::Viewer),
        Kind::Follow => {
            scope.alone()?;
            let answer = read!(scope.calls, notifications.list_follows, ListFollowsRequest {})?;
            let found = answer.follows.into_iter().find(|follow| follow.id == own);
            found.map(|follow| Node::Follow(Follow(Arc::new(follow))))
        }
        Kind::Source => {
            scope.alone()?;
            let answer =
                read!(scope.calls, sources.list_sources, ListSourcesRequest { city_id: String::new() })?;
            let found = answer.sources.into_iter().find(|source| source.id == own);
            found.map(|source| Node::Source(Source(Arc::new(source))))
        }
        // Shown in lists of one's own only.
        Kind::ClaimFlag
        | Kind::DeadLetter
        | Kind::Identity
        | Kind::Notification
        | Kind::PushSubscription
        | Kind::SavedSearch
        | Kind::Session
        | Kind::Webhook => None,
    })
}

async fn summary(scope: &Scope, own: &str) -> Result<Option<Node>, Fault> {
    let Some((meeting, version)) = own.split_once('.') else { return Ok(None) };
    let Ok(version) = version.parse() else { return Ok(None) };
    scope.alone()?;
    let request = GetSummaryRequest { meeting_id: meeting.to_owned(), version };
    let answer = read!(scope.calls, summaries.get_summary, request)?;
    Ok(answer.summary.map(|summary| Node::Summary(Summary(LoadedSummary::new(summary)))))
}
