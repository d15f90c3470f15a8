//! What can be asked.

mod addresses;
mod cities;
mod follows;
mod meetings;
mod node;
mod notifications;
mod operations;
mod review;
mod search;
mod viewer;

/// Everything that can be asked.
#[derive(async_graphql::MergedObject, Default)]
pub(crate) struct Query(
    addresses::AddressQueries,
    cities::CityQueries,
    follows::FollowQueries,
    meetings::MeetingQueries,
    node::NodeQueries,
    notifications::NotificationQueries,
    operations::OperationQueries,
    review::ReviewQueries,
    search::SearchQueries,
    viewer::ViewerQueries,
);
