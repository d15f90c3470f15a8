//! What can be asked.

mod cities;
mod follows;
mod meetings;
mod node;
mod notifications;
mod operations;
mod search;
mod viewer;

/// Everything that can be asked.
#[derive(async_graphql::MergedObject, Default)]
pub(crate) struct Query(
    cities::CityQueries,
    follows::FollowQueries,
    meetings::MeetingQueries,
    node::NodeQueries,
    notifications::NotificationQueries,
    operations::OperationQueries,
    search::SearchQueries,
    viewer::ViewerQueries,
);
