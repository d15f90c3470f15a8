//! Who asks.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{TenantId, Trace, UserId};

/// What a person may be. Grants are kept by accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Signed in.
    Resident,
    /// Sees what the gate held back.
    Reviewer,
    /// Runs the system for a tenant.
    Operator,
    /// Answers for the tenant.
    Owner,
}

/// A role that is none of the four.
#[derive(Debug, thiserror::Error)]
#[error("unknown role {0:?}: use resident, reviewer, operator or owner")]
pub struct UnknownRole(pub String);

impl Role {
    /// The word used in grants and tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Reviewer => "reviewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(s: &str) -> Result<Self, UnknownRole> {
        match s {
            "resident" => Ok(Self::Resident),
            "reviewer" => Ok(Self::Reviewer),
            "operator" => Ok(Self::Operator),
            "owner" => Ok(Self::Owner),
            other => Err(UnknownRole(other.to_owned())),
        }
    }
}

/// On whose behalf a call is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Nobody has signed in.
    Anonymous,
    /// A person.
    User(UserId),
    /// One of our own roles, for itself: `service:<role>`.
    Service(String),
    /// An operator at a terminal, by `councilsense token`.
    Operator(String),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Service(role) => write!(f, "service:{role}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
        }
    }
}

impl std::str::FromStr for Subject {
    type Err = crate::InvalidId;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.split_once(':') {
            Some(("user", id)) => id.parse().map(Self::User),
            Some(("service", role)) => Ok(Self::Service(role.to_owned())),
            Some(("operator", name)) => Ok(Self::Operator(name.to_owned())),
            _ if s == "anonymous" => Ok(Self::Anonymous),
            _ => Err(crate::InvalidId(s.to_owned())),
        }
    }
}

/// Who asks, in which tenant, as what. Made once at the edge and passed explicitly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The only tenant this call can reach.
    pub tenant: TenantId,
    /// On whose behalf.
    pub subject: Subject,
    /// Roles granted in `tenant`.
    pub roles: BTreeSet<Role>,
    /// Names this request in logs and errors.
    pub request_id: String,
    /// The trace this call belongs to.
    pub trace: Trace,
}

impl Caller {
    /// One of our own roles acting for itself in a tenant.
    pub fn service(role: &str, tenant: TenantId, trace: Trace) -> Self {
        Self {
            tenant,
            subject: Subject::Service(role.to_owned()),
            roles: BTreeSet::new(),
            request_id: trace.trace_id(),
            trace,
        }
    }

    /// The person, where there is one.
    pub fn user(&self) -> Option<UserId> {
        match self.subject {
            Subject::User(id) => Some(id),
            Subject::Anonymous | Subject::Service(_) | Subject::Operator(_) => None,
        }
    }

    /// Whether a role was granted; an owner has the operator's rights, and an operator those of a reviewer.
    pub fn has(&self, role: Role) -> bool {
        self.roles.iter().any(|granted| *granted >= role)
    }

    /// Whether this is one of our own roles.
    pub fn is_service(&self) -> bool {
        matches!(self.subject, Subject::Service(_))
    }
}
