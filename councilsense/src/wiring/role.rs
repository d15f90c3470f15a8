//! The services by name.

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// People, tenants, roles.
    Accounts,
    /// Cities, meetings, documents.
    Meetings,
    /// Summaries, claims, evidence.
    Summaries,
    /// Follows and what residents are told.
    Notifications,
    /// The index.
    Search,
    /// Fills the index, where search only serves it. Nobody calls it, so it is none of [`Role::ALL`].
    Indexer,
}

impl Role {
    /// All that are called.
    pub const ALL: [Self; 5] =
        [Self::Accounts, Self::Meetings, Self::Summaries, Self::Notifications, Self::Search];

    /// Its name: in addresses, tokens and schemas.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Meetings => "meetings",
            Self::Summaries => "summaries",
            Self::Notifications => "notifications",
            Self::Search => "search",
            Self::Indexer => "indexer",
        }
    }
}
