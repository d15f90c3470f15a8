//! Who may do what. One table, asked in-process by every use case.
//!
//! What a caller may not *see* is no matter of this table: visibility tags and the tenant are enforced by the
//! queries themselves. It decides what a caller may *do*.

use cs_core::{Caller, Role};

/// Something a caller may want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read what its visibility tag allows.
    Read,
    /// Read and change what is one's own: profile, follows, notifications.
    ManageOwn,
    /// Runs, sources, scans, dead letters, cities, ingest.
    Operate,
    /// Tenants and role grants.
    Administer,
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
}

/// Whether `caller` may do `action`.
pub fn allow(caller: &Caller, action: Action) -> Result<(), Denied> {
    let role = |role: Role| {
        if caller.has(role) || caller.is_service() {
            Ok(())
        } else if caller.user().is_none() {
            Err(Denied::SignInFirst)
        } else {
            Err(Denied::NeedsRole(role.as_str()))
        }
    };
    match action {
        Action::Read => Ok(()),
        Action::ManageOwn => caller.user().map(|_| ()).ok_or(Denied::SignInFirst),
        Action::Operate => role(Role::Operator),
        Action::Administer => role(Role::Owner),
        Action::Serve if caller.is_service() => Ok(()),
        Action::Serve => Err(Denied::ServicesOnly),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cs_core::{Subject, TenantId, Trace, UserId};

    fn caller(subject: Subject, roles: &[Role]) -> Caller {
        Caller {
            subject,
            roles: roles.iter().copied().collect(),
            ..Caller::service("", tenant(), Trace::start())
        }
    }

    fn tenant() -> TenantId {
        "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()
    }

    #[test]
    fn the_whole_table() {
        let user: UserId = "01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap();
        let callers = [
            ("anonymous", caller(Subject::Anonymous, &[])),
            ("resident", caller(Subject::User(user), &[Role::Resident])),
            ("reviewer", caller(Subject::User(user), &[Role::Reviewer])),
            ("operator", caller(Subject::User(user), &[Role::Operator])),
            ("terminal", caller(Subject::Operator("ops".into()), &[Role::Operator])),
            ("owner", caller(Subject::User(user), &[Role::Owner])),
            ("service", caller(Subject::Service("bff".into()), &[])),
        ];
        let actions = [Action::Read, Action::ManageOwn, Action::Operate, Action::Administer, Action::Serve];
        let allowed = |name: &str| -> [bool; 5] {
            match name {
                "anonymous" => [true, false, false, false, false],
                "resident" | "reviewer" => [true, true, false, false, false],
                "operator" => [true, true, true, false, false],
                "terminal" => [true, false, true, false, false],
                "owner" => [true, true, true, true, false],
                _ => [true, false, true, true, true],
            }
        };
        for (name, caller) in callers {
            assert_eq!(actions.map(|action| allow(&caller, action).is_ok()), allowed(name), "{name}");
        }
    }
}
