use cs_core::{TenantId, Trace, UserId};

use super::*;

fn caller(subject: Subject, roles: &[Role]) -> Caller {
    let tenant: TenantId = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
    Caller { subject, roles: roles.iter().copied().collect(), ..Caller::service("", tenant, Trace::start()) }
}

fn callers() -> Vec<(&'static str, Caller)> {
    let user: UserId = "01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap();
    let person = |roles: &[Role]| caller(Subject::User(user), roles);
    vec![
        ("anonymous", caller(Subject::Anonymous, &[])),
        // What nobody makes: roles without a person. They count for nothing.
        ("forged", caller(Subject::Anonymous, &[Role::Owner])),
        ("signed in", person(&[])),
        ("resident", person(&[Role::Resident])),
        ("reviewer", person(&[Role::Reviewer])),
        ("operator", person(&[Role::Operator])),
        ("terminal", caller(Subject::Operator("ops".into()), &[Role::Operator])),
        ("owner", person(&[Role::Owner])),
        ("service", caller(Subject::Service("bff".into()), &[])),
    ]
}

const ACTIONS: [Action; 7] = [
    Action::Read,
    Action::ManageOwn,
    Action::Review,
    Action::Operate,
    Action::ManageSessions,
    Action::Administer,
    Action::Serve,
];

#[test]
fn the_whole_table() {
    let policies = Policies::built_in();
    let due = |name: &str| -> ([bool; 7], usize) {
        match name {
            "anonymous" | "forged" => ([true, false, false, false, false, false, false], 1),
            "signed in" | "resident" => ([true, true, false, false, false, false, false], 2),
            "reviewer" => ([true, true, true, false, false, false, false], 3),
            "operator" => ([true, true, true, true, true, false, false], 3),
            "terminal" => ([true, false, true, true, true, false, false], 3),
            "owner" => ([true, true, true, true, true, true, false], 3),
            _ => ([true, false, false, true, false, true, true], 3),
        }
    };
    for (name, caller) in callers() {
        let allowed = ACTIONS.map(|action| policies.allow(&caller, action).is_ok());
        assert_eq!((allowed, policies.visible(&caller).len()), due(name), "{name}");
    }
}

#[test]
fn who_may_not_is_told_what_it_takes() {
    let policies = Policies::built_in();
    let told = |name: &str, action| {
        let (_, caller) = callers().into_iter().find(|(known, _)| *known == name).unwrap();
        policies.allow(&caller, action).unwrap_err()
    };
    assert_eq!(told("anonymous", Action::Operate), Denied::SignInFirst);
    assert_eq!(told("anonymous", Action::ManageOwn), Denied::SignInFirst);
    assert_eq!(told("resident", Action::Operate), Denied::NeedsRole("operator"));
    assert_eq!(told("resident", Action::Review), Denied::NeedsRole("reviewer"));
    assert_eq!(told("service", Action::Review), Denied::NeedsRole("reviewer"));
    assert_eq!(told("reviewer", Action::ManageSessions), Denied::NeedsRole("operator"));
    assert_eq!(told("service", Action::ManageSessions), Denied::NeedsRole("operator"));
    assert_eq!(told("operator", Action::Administer), Denied::NeedsRole("owner"));
    assert_eq!(told("owner", Action::Serve), Denied::ServicesOnly);
}

#[test]
fn a_directory_replaces_what_is_compiled_in_but_never_mixes_tenants() {
    let dir = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(dir.path().join("own.cedar"), text).unwrap();
    assert!(matches!(Policies::of_directory(dir.path()), Err(LoadError::Empty(_))));
    write("permit (principal, action == Action::\"read\", resource == Tag::\"public\");");
    let policies = Policies::of_directory(dir.path()).unwrap();
    for (name, caller) in callers() {
        assert_eq!(policies.visible(&caller).len(), 1, "{name}");
        let refused = policies.allow(&caller, Action::Operate);
        assert!(refused.is_err(), "{name}");
    }
    write("permit (principal, action, resource);");
    let open = Policies::of_directory(dir.path()).unwrap();
    let (_, resident) = callers().remove(3);
    assert!(open.allow(&resident, Action::Administer).is_ok());
    let elsewhere = uid(&open.names.tenant, "01ARZ3NDEKTSV4RRFFQ69G5FAX");
    assert!(!open.permits(&resident, Action::Administer, elsewhere, None), "another tenant");

    write("permit (principal, action == Action::\"fly\", resource);");
    assert!(matches!(Policies::of_directory(dir.path()), Err(LoadError::Unknown(_))));
    write("permit everything");
    let error = Policies::of_directory(dir.path()).err().unwrap();
    assert!(error.to_string().starts_with("own.cedar: "), "{error}");
}
