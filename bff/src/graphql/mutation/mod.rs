//! What can be changed.

mod account;
mod addresses;
mod follows;
mod notifications;
mod operations;
mod profile;
mod review;
mod saved_searches;
mod sessions;

/// Everything that can be changed.
#[derive(async_graphql::MergedObject, Default)]
pub(crate) struct Mutation(
    account::AccountMutations,
    addresses::AddressMutations,
    follows::FollowMutations,
    notifications::NotificationMutations,
    operations::OperationMutations,
    profile::ProfileMutations,
    review::ReviewMutations,
    saved_searches::SavedSearchMutations,
    sessions::SessionMutations,
);
