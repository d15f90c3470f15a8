//! What can be watched.

mod meetings;
mod notifications;
mod resuming;
mod runs;

/// Everything that can be watched.
#[derive(async_graphql::MergedSubscription, Default)]
pub(crate) struct Subscription(
    meetings::MeetingSubscriptions,
    notifications::NotificationSubscriptions,
    runs::RunSubscriptions,
);
