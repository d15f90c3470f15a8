//! Who may do what, and who may read what: one layer, asked in-process by every use case.
//!
//! The rules are Cedar policies in files that an operator can read (`policies/`). They are compiled in; a directory of the
//! same kind replaces them at start ([`install`]). They are checked against the schema then, so a mistake in one keeps the
//! process from starting, and cannot open anything later. What no policy permits is denied.
//!
//! Which rows a caller may see is enforced by the queries, with the tags of [`visible`] and the tenant of the caller.
//!
//! Start with [`allow`]; the rules themselves stand in `policies/doing.cedar` and `policies/reading.cedar`.

mod ask;
mod load;

use std::path::Path;
use std::sync::OnceLock;

use cs_core::{Caller, Role, Visibility};

pub use ask::Policies;
pub use load::LoadError;

/// Something a caller may want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read what its visibility tag allows. Anybody may ask; what is found depends on the tags.
    Read,
    /// Read and change what is one's own: profile, follows, notifications.
    ManageOwn,
    /// What the gate held back and what people flagged; watching a run.
    Review,
    /// Runs, sources, scans, dead letters, cities, ingest.
    Operate,
    /// Tenants and role grants.
    Administer,
    /// See and end the sessions of other people.
    ManageSessions,
    /// What only our own roles do for themselves: resolve identities, read whole texts for the pipeline.
    Serve,
}

/// The caller may see the thing, but not do this with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody has signed in.
    #[error("sign in first")]
    SignInFirst,
    /// Signed in, without the role it takes.
    #[error("this needs the role {0}")]
    NeedsRole(&'static str),
    /// Kept for the system's own services.
    #[error("this is kept for the system's own services")]
    ServicesOnly,
    /// The policies permit it to nobody like the caller.
    #[error("the policies of this installation do not permit this")]
    NotPermitted,
}

static INSTALLED: OnceLock<Policies> = OnceLock::new();

fn installed() -> &'static Policies {
    INSTALLED.get_or_init(Policies::built_in)
}

/// Uses the policies of a directory instead of those compiled in. Before anything is asked, once a process.
pub fn install(directory: &Path) -> Result<(), LoadError> {
    let policies = Policies::of_directory(directory)?;
    INSTALLED.set(policies).map_err(|_| LoadError::TooLate)
}

/// Whether `caller` may do `action`.
pub fn allow(caller: &Caller, action: Action) -> Result<(), Denied> {
    installed().allow(caller, action)
}

/// The tags that `caller` may read, from what everybody may see to what the fewest may.
pub fn visible(caller: &Caller) -> &'static [Visibility] {
    installed().visible(caller)
}

/// The word of a role, as it lives longer than a policy does.
fn role_word(word: &str) -> Option<&'static str> {
    word.parse::<Role>().ok().map(Role::as_str)
}
