//! What a resident follows.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use cs_proto::notifications::v1 as pb;

use super::city::{Body, City};
use super::words;
use crate::graphql::global_id::Kind;
use crate::graphql::scalars::DateTime;
use crate::graphql::scope::Scope;

words! {
    /// What can be followed.
    FollowKind { City = "city", Body = "body", Topic = "topic", SavedSearch = "saved_search" }
}

/// A search of the person's own that is followed.
#[derive(SimpleObject)]
struct FollowedSearch {
    id: ID,
    name: String,
}

/// A resident's interest.
pub(crate) struct Follow(pub(crate) Arc<pb::FollowedInterest>);

/// A resident's interest.
#[Object]
impl Follow {
    pub(crate) async fn id(&self) -> ID {
        Kind::Follow.id(&self.0.id)
    }

    async fn kind(&self) -> Result<FollowKind> {
        Ok(FollowKind::of(&self.0.kind)?)
    }

    async fn city(&self, context: &Context<'_>) -> Result<Option<City>> {
        if self.0.kind != FollowKind::City.word() {
            return Ok(None);
        }
        Ok(Scope::of(context).loaders.cities.load(self.0.target_id.clone()).await?.map(City))
    }

    async fn body(&self, context: &Context<'_>) -> Result<Option<Body>> {
        if self.0.kind != FollowKind::Body.word() {
            return Ok(None);
        }
        let found = Scope::of(context).loaders.bodies.load(self.0.target_id.clone()).await?;
        Ok(found.map(|body| Body::from(&*body)))
    }

    /// The slug of a topic.
    async fn topic(&self) -> Option<&str> {
        (self.0.kind == FollowKind::Topic.word()).then_some(self.0.target_id.as_str())
    }

    async fn saved_search(&self) -> Option<FollowedSearch> {
        let is = self.0.kind == FollowKind::SavedSearch.word();
        is.then(|| FollowedSearch { id: Kind::SavedSearch.id(&self.0.target_id), name: self.0.name.clone() })
    }

    /// home_city, or resident
    async fn origin(&self) -> &str {
        &self.0.origin
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at.clone())
    }
}
