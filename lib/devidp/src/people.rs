//! Who can sign in.

/// A made-up person with a button on the page.
#[derive(Clone, Debug)]
pub struct Person {
    /// The button's value, and the `sub` claim.
    pub key: String,
    /// The `name` claim.
    pub name: String,
    /// The `email` claim.
    pub email: String,
    /// The `roles` claim.
    pub roles: Vec<String>,
    /// The `tenant` claim: a tenant's slug.
    pub tenant: String,
}

/// The four people whom the sign-in page offers, and `scripts/sign-in` takes by key. `resident-b` belongs to another tenant, so that isolation can be tried by hand.
pub fn people() -> Vec<Person> {
    let person = |key: &str, name: &str, roles: &[&str], tenant: &str| Person {
        key: key.to_owned(),
        name: name.to_owned(),
        email: format!("{key}@example.test"),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        tenant: tenant.to_owned(),
    };
    vec![
        person("resident", "Rosa Resident", &["resident"], "default"),
        person("reviewer", "Remy Reviewer", &["resident", "reviewer"], "default"),
        person("operator", "Olga Operator", &["resident", "operator"], "default"),
        person("resident-b", "Bela Resident", &["resident"], "tenant-b"),
    ]
}
