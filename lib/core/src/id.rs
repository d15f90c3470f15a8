//! Ids: ULIDs, shown as 26 characters, stored as `uuid`, made by the application.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use ulid::Ulid;
use uuid::Uuid;

use crate::Clock;

/// A text that is no id.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an id: 26 characters of Crockford's base 32 are expected")]
pub struct InvalidId(pub String);

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// As it is stored.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(Ulid(self.0.as_u128()).array_to_str(&mut [0; ulid::ULID_LEN]))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Ulid::from_string(text).map(|u| Self(Uuid::from_u128(u.0))).map_err(|_| InvalidId(text.to_owned()))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

id! {
    /// An organisation that runs a space of its own.
    TenantId,
    /// A person.
    UserId,
    /// An account at a provider, linked to a person.
    IdentityId,
    /// A place whose council is followed.
    CityId,
    /// A council, committee or board of a city.
    BodyId,
    /// Where a city publishes.
    SourceId,
    /// One sitting of a body.
    MeetingId,
    /// One published document of a meeting.
    ArtifactId,
    /// One attempt to take a meeting through the pipeline.
    RunId,
    /// One version of a meeting's summary.
    SummaryId,
    /// One statement in a summary.
    ClaimId,
    /// Somebody's word that a claim is wrong.
    FlagId,
    /// A reviewer's decision.
    ReviewId,
    /// A resident's interest.
    FollowId,
    /// One notification to one person.
    DeliveryId,
    /// A search that a resident kept.
    SavedSearchId,
    /// A browser that takes pushes.
    PushSubscriptionId,
    /// An address that is told by web.
    WebhookId,
    /// What is handed to a channel outside.
    MessageId,
    /// An event or a job.
    EventId,
    /// A row of a service's `jobs`.
    JobId,
}

impl TenantId {
    /// The tenant of a slug, everywhere the same: the first 128 bits of SHA-256 of `councilsense tenant <slug>`. So a
    /// role can name the tenant that it serves before it has asked accounts.
    pub fn of_slug(slug: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(format!("councilsense tenant {slug}")).into();
        Self(Uuid::from_slice(&digest[..16]).unwrap_or_else(|_| unreachable!("sixteen bytes are a uuid")))
    }
}

/// Makes ids. Passed in, so that a test's clock decides their order.
#[derive(Clone)]
pub struct Ids {
    clock: Arc<dyn Clock>,
}

impl Ids {
    /// Ids whose time part is the clock's.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// The clock's time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A new id: 48 bits of the clock's milliseconds, 80 random bits.
    pub fn next<T: From<Uuid>>(&self) -> T {
        Self::at(self.clock.now())
    }

    /// A new id made at `time`.
    pub fn at<T: From<Uuid>>(time: DateTime<Utc>) -> T {
        let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
        T::from(Uuid::from_u128(Ulid::from_parts(millis, rand::random()).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;

    #[test]
    fn text_round_trips_and_orders_by_time() {
        let clock = Arc::new(ManualClock::default());
        let ids = Ids::new(clock.clone());
        let first: MeetingId = ids.next();
        clock.advance(chrono::TimeDelta::milliseconds(5));
        let second: MeetingId = ids.next();
        assert_eq!(first.to_string().len(), 26);
        assert_eq!(first.to_string().parse::<MeetingId>().unwrap(), first);
        assert!(first < second && first.to_string() < second.to_string());
        assert!("not an id".parse::<MeetingId>().is_err());
    }

    #[test]
    fn a_slug_names_its_tenant() {
        let tenant = TenantId::of_slug("default");
        assert_eq!(tenant, TenantId::of_slug("default"));
        assert_ne!(tenant, TenantId::of_slug("defaults"));
        // Of a hash every bit may be set, the first ones too; a text of 26 characters has room for 130.
        for slug in (0..64).map(|n| format!("tenant-{n}")) {
            let tenant = TenantId::of_slug(&slug);
            assert_eq!(tenant.to_string().len(), 26);
            assert_eq!(tenant.to_string().parse::<TenantId>().unwrap(), tenant);
        }
    }
}
