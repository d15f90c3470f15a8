//! What is shown, a file a noun.

mod address;
mod agenda;
mod artifact;
mod city;
mod claim;
mod follow;
mod meeting;
mod notification;
mod operations;
pub(crate) mod page;
mod preferences;
mod review;
mod saved_search;
mod search;
mod session;
mod summary;
mod user_error;
mod viewer;

use async_graphql::{ID, Interface, SchemaBuilder};

pub(crate) use address::{PushSubscription, Webhook};
pub(crate) use artifact::Artifact;
pub(crate) use city::{Body, City};
pub(crate) use claim::Claim;
pub(crate) use follow::Follow;
pub(crate) use meeting::{
    Meeting, MeetingFilter, MeetingOrder, MeetingPublished, list as list_meetings, selected,
};
pub(crate) use notification::{Notification, Totals};
pub(crate) use operations::{DeadLetter, Run, Source};
pub(crate) use preferences::{DigestFrequency, NotificationChannel, QuietHoursInput};
pub(crate) use review::{ClaimFlag, FlagReason, ReviewItem};
pub(crate) use saved_search::SavedSearch;
pub(crate) use search::{SearchConnection, SearchInput, find};
pub(crate) use session::{Identity, Session};
pub(crate) use summary::Summary;
pub(crate) use user_error::{UserError, domain};
pub(crate) use viewer::Viewer;

use super::{mutation::Mutation, query::Query, subscription::Subscription};

/// What has an id of its own.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Opaque, and good for ever."))]
pub(crate) enum Node {
    Artifact(Artifact),
    Body(Body),
    City(City),
    Claim(Claim),
    Follow(Follow),
    Meeting(Meeting),
    Notification(Notification),
    Run(Run),
    Source(Source),
    Summary(Summary),
    Viewer(Viewer),
}

/// Types that only the interface leads to.
pub(crate) fn register(
    builder: SchemaBuilder<Query, Mutation, Subscription>,
) -> SchemaBuilder<Query, Mutation, Subscription> {
    builder.register_output_type::<Node>()
}

/// A closed set of words that messages write in lower case. A word that is not known yet fails the field, not the page.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(async_graphql::Enum, Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        pub(crate) enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            #[allow(dead_code, reason = "some words are only read")]
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            pub(crate) fn of(word: &str) -> Result<Self, $crate::graphql::error::Fault> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    other => {
                        tracing::error!(word = other, kind = stringify!($name), "a service used an unknown word");
                        Err($crate::graphql::error::Fault::internal())
                    }
                }
            }
        }
    };
}
pub(crate) use words;
