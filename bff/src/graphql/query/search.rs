//! Search.

use async_graphql::{Context, Object, Result};

use crate::graphql::scope::Scope;
use crate::graphql::types::{SearchConnection, SearchInput, find, page};

#[derive(Default)]
pub(super) struct SearchQueries;

#[Object]
impl SearchQueries {
    /// Passages by words and by meaning, each with its place.
    #[graphql(complexity = "page::size(input.first, None) * child_complexity")]
    async fn search(&self, context: &Context<'_>, input: SearchInput) -> Result<SearchConnection> {
        Ok(find(Scope::of(context), input).await?)
    }
}
