//! What can be changed.

mod follows;
mod notifications;
mod operations;
mod profile;
mod sessions;

/// Everything that can be changed.
#[derive(async_graphql::MergedObject, Default)]
pub(crate) struct Mutation(
    follows::Follows,
    notifications::Notifications,
    operations::Operations,
    profile::Profile,
    sessions::Sessions,
);
