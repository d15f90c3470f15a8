//! What can be changed.

mod follows;
mod notifications;
mod operations;
mod profile;
mod sessions;

/// Everything that can be changed.
#[derive(async_graphql::MergedObject, Default)]
pub(crate) struct Mutation(
    follows::FollowMutations,
    notifications::NotificationMutations,
    operations::OperationMutations,
    profile::ProfileMutations,
    sessions::SessionMutations,
);
