//! Cities.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result};
use cs_proto::common::v1::PageRequest;
use cs_proto::meetings::v1::ListCitiesRequest;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::scope::{Scope, read};
use crate::graphql::types::{City, page};

#[derive(Default)]
pub(super) struct CityQueries;

#[Object]
impl CityQueries {
    /// The cities that are followed here, by name.
    #[graphql(complexity = "page::size(first, last) * child_complexity")]
    async fn cities(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, City>> {
        let request = ListCitiesRequest { page: Some(page::request(first, after, last, before)?) };
        let answer = read!(Scope::of(context).calls, meetings.list_cities, request)?;
        Ok(page::connection(answer.cities, answer.cursors, answer.page_info, |city| City(Arc::new(city))))
    }

    /// One city, by its id or by its slug.
    async fn city(
        &self,
        context: &Context<'_>,
        id: Option<ID>,
        slug: Option<String>,
    ) -> Result<Option<City>> {
        let scope = Scope::of(context);
        match (id, slug) {
            (Some(id), None) => {
                let own = Kind::City.own(&id, "id")?;
                Ok(scope.loaders.cities.load(own).await?.map(City))
            }
            (None, Some(slug)) => Ok(by_slug(scope, &slug).await?),
            _ => Err(Fault::input("id", "give an id or a slug, one of the two").into()),
        }
    }
}

/// Cities are few, and the services know them by id: a slug is looked for among them.
async fn by_slug(scope: &Scope, slug: &str) -> Result<Option<City>, Fault> {
    let mut after = String::new();
    loop {
        let page = PageRequest { first: 100, after, ..PageRequest::default() };
        let answer = read!(scope.calls, meetings.list_cities, ListCitiesRequest { page: Some(page) })?;
        if let Some(city) = answer.cities.into_iter().find(|city| city.slug == slug) {
            return Ok(Some(City(Arc::new(city))));
        }
        match answer.page_info {
            Some(info) if info.has_next_page && !info.end_cursor.is_empty() => after = info.end_cursor,
            _ => return Ok(None),
        }
    }
}
