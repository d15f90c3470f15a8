//! Who may see a row.

use serde::{Deserialize, Serialize};

/// The tag that travels artifact → section → claim → passage → vector, and is enforced when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Anybody.
    #[default]
    Public,
    /// Who has signed in.
    Member,
    /// Reviewers, operators and owners.
    Reviewer,
}

/// A tag that is none of the three.
#[derive(Debug, thiserror::Error)]
#[error("unknown visibility {0:?}: use public, member or reviewer")]
pub struct UnknownVisibility(pub String);

impl Visibility {
    /// Every tag, from what everybody may see to what the fewest may.
    pub const ALL: [Self; 3] = [Self::Public, Self::Member, Self::Reviewer];

    /// The word used in SQL and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Member => "member",
            Self::Reviewer => "reviewer",
        }
    }
}

impl std::str::FromStr for Visibility {
    type Err = UnknownVisibility;

    fn from_str(s: &str) -> Result<Self, UnknownVisibility> {
        match s {
            "public" => Ok(Self::Public),
            "member" => Ok(Self::Member),
            "reviewer" => Ok(Self::Reviewer),
            other => Err(UnknownVisibility(other.to_owned())),
        }
    }
}
