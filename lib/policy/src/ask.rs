//! A caller and an action as Cedar sees them.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicySet,
    Request, RestrictedExpression,
};
use cs_core::{Caller, Role, Subject, Visibility};

use crate::load::{self, LoadError};
use crate::{Action, Denied, role_word};

/// Policies, ready to be asked.
pub struct Policies {
    policies: PolicySet,
    authorizer: Authorizer,
    names: Names,
    /// Roles, and which has the rights of which.
    roles: Vec<Entity>,
    /// What a person is told to need, by action.
    needs: HashMap<&'static str, &'static str>,
}

/// Names of types, parsed once.
struct Names {
    anonymous: EntityTypeName,
    person: EntityTypeName,
    terminal: EntityTypeName,
    service: EntityTypeName,
    role: EntityTypeName,
    tenant: EntityTypeName,
    tag: EntityTypeName,
    action: EntityTypeName,
}

const ROLES: [Role; 4] = [Role::Resident, Role::Reviewer, Role::Operator, Role::Owner];
static VISIBLE: [Visibility; 3] = Visibility::ALL;

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ManageOwn => "manageOwn",
            Self::Review => "review",
            Self::Operate => "operate",
            Self::Administer => "administer",
            Self::ManageSessions => "manageSessions",
            Self::Serve => "serve",
        }
    }
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

impl Names {
    fn new() -> Result<Self, LoadError> {
        let name = |word: &str| {
            word.parse::<EntityTypeName>()
                .map_err(|e| LoadError::Malformed(format!("the name {word}"), e.to_string()))
        };
        Ok(Self {
            anonymous: name("Anonymous")?,
            person: name("Person")?,
            terminal: name("Terminal")?,
            service: name("Service")?,
            role: name("Role")?,
            tenant: name("Tenant")?,
            tag: name("Tag")?,
            action: name("Action")?,
        })
    }
}

/// The role that a policy's annotation tells to need, with the action it is about.
fn need(policy: &Policy) -> Option<(&'static str, &'static str)> {
    let role = role_word(policy.annotation("needs")?)?;
    let text = policy.to_string();
    let actions = [
        Action::ManageOwn,
        Action::Review,
        Action::Operate,
        Action::Administer,
        Action::ManageSessions,
        Action::Serve,
    ];
    let about =
        actions.into_iter().find(|action| text.contains(&format!("Action::\"{}\"", action.word())))?;
    Some((about.word(), role))
}

impl Policies {
    /// Those compiled in.
    ///
    /// # Panics
    ///
    /// Where the files compiled in are not policies; a test keeps that from being shipped.
    #[allow(clippy::expect_used, reason = "without policies nothing may be done at all")]
    pub fn built_in() -> Self {
        load::built_in().and_then(Self::new).expect("the policies compiled in are checked by a test")
    }

    /// Those of a directory of `*.cedar` files.
    pub fn of_directory(directory: &Path) -> Result<Self, LoadError> {
        Self::new(load::of_directory(directory)?)
    }

    fn new(policies: PolicySet) -> Result<Self, LoadError> {
        let names = Names::new()?;
        // An owner has the operator's rights, an operator those of a reviewer, a reviewer those of a resident.
        let roles = ROLES
            .iter()
            .enumerate()
            .map(|(n, role)| {
                let below = n.checked_sub(1).map(|n| uid(&names.role, ROLES[n].as_str()));
                Entity::new_no_attrs(uid(&names.role, role.as_str()), below.into_iter().collect())
            })
            .collect();
        let needs = policies.policies().filter_map(need).collect();
        Ok(Self { policies, authorizer: Authorizer::new(), names, roles, needs })
    }

    /// Whether `caller` may do `action` in its tenant.
    pub fn allow(&self, caller: &Caller, action: Action) -> Result<(), Denied> {
        if action == Action::Read {
            return if self.visible(caller).is_empty() { Err(Denied::NotPermitted) } else { Ok(()) };
        }
        let tenant = uid(&self.names.tenant, &caller.tenant.to_string());
        if self.permits(caller, action, tenant, None) {
            return Ok(());
        }
        Err(match (action, &caller.subject) {
            (Action::Serve, _) => Denied::ServicesOnly,
            (Action::ManageOwn, Subject::Anonymous | Subject::Operator(_) | Subject::Service(_))
            | (_, Subject::Anonymous) => Denied::SignInFirst,
            (_, Subject::User(_) | Subject::Operator(_) | Subject::Service(_)) => {
                self.needs.get(action.word()).map_or(Denied::NotPermitted, |role| Denied::NeedsRole(role))
            }
        })
    }

    /// The tags that `caller` may read.
    pub fn visible(&self, caller: &Caller) -> &'static [Visibility] {
        // Each tag includes those before it: a policy that permits a later one without an earlier one permits none of it.
        let seen = VISIBLE.iter().take_while(|tag| {
            let (uid, tenant) =
                (uid(&self.names.tag, tag.as_str()), uid(&self.names.tenant, &caller.tenant.to_string()));
            let attributes =
                HashMap::from([("tenant".to_owned(), RestrictedExpression::new_entity_uid(tenant))]);
            match Entity::new(uid.clone(), attributes, HashSet::new()) {
                Ok(entity) => self.permits(caller, Action::Read, uid, Some(entity)),
                Err(_) => false,
            }
        });
        &VISIBLE[..seen.count()]
    }

    /// What goes wrong on the way is a denial.
    fn permits(&self, caller: &Caller, action: Action, resource: EntityUid, also: Option<Entity>) -> bool {
        let names = &self.names;
        let (of, id) = match &caller.subject {
            Subject::Anonymous => (&names.anonymous, "anonymous".to_owned()),
            Subject::User(id) => (&names.person, id.to_string()),
            Subject::Operator(name) => (&names.terminal, name.clone()),
            Subject::Service(role) => (&names.service, role.clone()),
        };
        let principal = uid(of, &id);
        let tenant = RestrictedExpression::new_entity_uid(uid(&names.tenant, &caller.tenant.to_string()));
        let attributes = HashMap::from([("tenant".to_owned(), tenant)]);
        let granted = match caller.subject {
            Subject::User(_) | Subject::Operator(_) => {
                caller.roles.iter().map(|role| uid(&names.role, role.as_str())).collect()
            }
            Subject::Anonymous | Subject::Service(_) => HashSet::new(),
        };
        let Ok(who) = Entity::new(principal.clone(), attributes, granted) else { return false };
        let all = self.roles.iter().cloned().chain([who]).chain(also);
        let (Ok(entities), Ok(request)) = (
            Entities::from_entities(all, None),
            Request::new(principal, uid(&names.action, action.word()), resource, Context::empty(), None),
        ) else {
            return false;
        };
        let response = self.authorizer.is_authorized(&request, &self.policies, &entities);
        for error in response.diagnostics().errors() {
            tracing::error!(%error, "a policy could not be evaluated");
        }
        response.decision() == Decision::Allow
    }
}

#[cfg(test)]
mod tests;
