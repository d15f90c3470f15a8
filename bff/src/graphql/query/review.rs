//! What waits for a reviewer. Summaries decides who is one, by the same policies as are asked here first.

use async_graphql::connection::Connection;
use async_graphql::{Context, Object, Result};
use cs_policy::Action;
use cs_proto::summaries::v1::ListReviewQueueRequest;

use crate::graphql::scope::{Scope, read};
use crate::graphql::types::{ReviewItem, page, selected};

#[derive(Default)]
pub(super) struct ReviewQueries;

#[Object]
impl ReviewQueries {
    /// What the gate held back and what people flagged, the longest waiting first. For reviewers.
    #[graphql(complexity = "page::size(first, last) * child_complexity")]
    async fn review_queue(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ReviewItem>> {
        let scope = Scope::of(context);
        scope.may(Action::Review)?;
        let below = context.look_ahead();
        let nodes = selected(below.field("nodes").field("summary"));
        let view = nodes.and(selected(below.field("edges").field("node").field("summary")));
        let page = page::request(first, after, last, before)?;
        let request = ListReviewQueueRequest { page: Some(page), view: Some(view.message()) };
        let answer = read!(scope.calls, summaries.list_review_queue, request)?;
        Ok(page::connection(answer.items, answer.cursors, answer.page_info, ReviewItem::new))
    }
}
