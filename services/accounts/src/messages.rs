//! Rows as messages.

use chrono::{DateTime, SecondsFormat, Utc};
use cs_core::{IdentityId, TenantId};
use cs_proto::accounts::v1 as proto;

use crate::users::Seen;
use crate::{Identity, Tenant, User};

impl From<User> for proto::User {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            display_name: user.display_name,
            email: user.email.unwrap_or_default(),
            home_city_id: user.home_city.map(|c| c.to_string()).unwrap_or_default(),
            locale: user.locale.unwrap_or_default(),
            time_zone: user.time_zone.unwrap_or_default(),
            roles: user.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            created_at: rfc3339(user.created_at),
        }
    }
}

impl From<Seen> for proto::User {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Whole(user) => user.into(),
            Seen::Name(id, display_name) => Self { id: id.to_string(), display_name, ..Self::default() },
        }
    }
}

impl From<Identity> for proto::Identity {
    fn from(identity: Identity) -> Self {
        Self {
            id: IdentityId::from(identity.id).to_string(),
            issuer: identity.issuer,
            subject: identity.subject,
            created_at: rfc3339(identity.created_at),
        }
    }
}

impl From<Tenant> for proto::Tenant {
    fn from(tenant: Tenant) -> Self {
        Self { id: TenantId::from(tenant.id).to_string(), slug: tenant.slug, name: tenant.name }
    }
}

pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
