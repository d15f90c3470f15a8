//! Words that every crate shares: ids, tenants, callers, the clock, traces, paging, documents.
//!
//! No I/O here, and no rule of any one service. Start with [`Caller`].

mod caller;
mod clock;
pub mod document;
mod id;
pub mod page;
mod trace;
mod visibility;

pub use caller::{Caller, Role, Subject, UnknownRole};
pub use clock::{Clock, ManualClock, SystemClock};
pub use id::{
    ArtifactId, BodyId, CityId, ClaimId, DeliveryId, EventId, FlagId, FollowId, IdentityId, Ids, InvalidId,
    JobId, MeetingId, MessageId, PushSubscriptionId, ReviewId, RunId, SavedSearchId, SourceId, SummaryId,
    TenantId, UserId, WebhookId,
};
pub use trace::Trace;
pub use visibility::{UnknownVisibility, Visibility};
