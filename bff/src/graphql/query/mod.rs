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
    cities::Cities,
    follows::Follows,
    meetings::Meetings,
    node::Nodes,
    notifications::Notifications,
    operations::Operations,
    search::Search,
    viewer::Viewers,
);
