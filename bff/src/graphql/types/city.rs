//! Cities and their bodies.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result};
use cs_proto::meetings::v1 as pb;

use super::meeting::{Meeting, MeetingFilter, MeetingOrder, list};
use super::page;
use crate::graphql::global_id::Kind;

/// A place whose council is followed.
pub(crate) struct City(pub(crate) Arc<pb::City>);

/// A place whose council is followed.
#[Object]
impl City {
    pub(crate) async fn id(&self) -> ID {
        Kind::City.id(&self.0.id)
    }

    /// Short, for addresses.
    async fn slug(&self) -> &str {
        &self.0.slug
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    /// IANA time zone.
    async fn time_zone(&self) -> &str {
        &self.0.time_zone
    }

    /// BCP 47.
    async fn language(&self) -> &str {
        &self.0.language
    }

    /// Its meetings; `filter.cityId` is not needed.
    #[allow(clippy::too_many_arguments, reason = "Relay's four and two of ours")]
    #[graphql(complexity = "page::size(first, last) * child_complexity")]
    async fn meetings(
        &self,
        context: &Context<'_>,
        filter: Option<MeetingFilter>,
        order: Option<MeetingOrder>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, Meeting>> {
        let filter = MeetingFilter { city_id: Some(Kind::City.id(&self.0.id)), ..filter.unwrap_or_default() };
        Ok(list(context, Some(filter), order, page::request(first, after, last, before)?).await?)
    }
}

/// A council, committee or board of a city.
pub(crate) struct Body {
    pub(crate) id: String,
    pub(crate) name: String,
}

impl From<&pb::Body> for Body {
    fn from(body: &pb::Body) -> Self {
        Self { id: body.id.clone(), name: body.name.clone() }
    }
}

/// A council, committee or board of a city.
#[Object]
impl Body {
    pub(crate) async fn id(&self) -> ID {
        Kind::Body.id(&self.id)
    }

    async fn name(&self) -> &str {
        &self.name
    }
}
