//! Identity providers: `[[oidc-provider]]` tables of the file, and the one of the command line.
//!
//! A secret may stand in the environment instead, as `COUNCILSENSE_OIDC_CLIENT_SECRET_<ID>`, the id in upper case with
//! every other character as `_`.

use std::collections::BTreeMap;

use cs_core::Role;
use serde::Deserialize;

use super::Redacted;

/// An identity provider as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ProviderTable {
    /// Its name in addresses: lower-case letters, digits and hyphens.
    pub id: String,
    /// Its name for people; the id where it is not given.
    pub name: Option<String>,
    /// The issuer identifier, exactly as the provider writes it.
    pub issuer: String,
    /// Ours at the provider.
    pub client_id: String,
    /// Ours at the provider.
    pub client_secret: Option<Secret>,
    /// Asked for beside `openid`; `profile` and `email` where it is not given.
    pub scopes: Option<Vec<String>>,
    /// The slug of the tenant of everyone who comes from here.
    pub tenant: Option<String>,
    /// The claim that names the tenant's slug.
    pub tenant_claim: Option<String>,
    /// The claim that lists groups.
    pub roles_claim: Option<String>,
    /// Which group gives which role; where it is not given, groups of a role's name do.
    pub roles: Option<BTreeMap<String, String>>,
    /// Whether the id token goes along at sign-out.
    #[serde(default)]
    pub id_token_hint: bool,
    /// What the provider calls the address to come back to after signing out.
    pub logout_redirect_parameter: Option<String>,
}

/// A text of the file that is never shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) struct Secret(Redacted);

impl TryFrom<toml::Value> for Secret {
    type Error = &'static str;

    /// By hand, because the library's error would show the value.
    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        value.as_str().map(|text| Self(text.into())).ok_or("client-secret must be a text")
    }
}

/// Every role under its own name.
pub(crate) fn own_names() -> BTreeMap<String, Role> {
    [Role::Resident, Role::Reviewer, Role::Operator, Role::Owner]
        .map(|role| (role.as_str().to_owned(), role))
        .into()
}

/// The providers of a file's `oidc-provider`, with their secrets. `secret` looks into the environment.
pub(super) fn read(
    tables: toml::Value,
    secret: impl Fn(&str) -> Option<String>,
) -> Result<Vec<bff::ProviderConfig>, String> {
    let tables: Vec<ProviderTable> = tables.try_into().map_err(|e| format!("oidc-provider: {e}"))?;
    tables.into_iter().map(|table| provider(table, &secret)).collect()
}

fn provider(
    table: ProviderTable,
    secret: impl Fn(&str) -> Option<String>,
) -> Result<bff::ProviderConfig, String> {
    let id = &table.id;
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(format!("oidc-provider {id:?}: an id is lower-case letters, digits and hyphens"));
    }
    let variable = format!(
        "COUNCILSENSE_OIDC_CLIENT_SECRET_{}",
        id.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_ascii_uppercase()
    );
    let secret = secret(&variable)
        .or_else(|| table.client_secret.as_ref().map(|secret| secret.0.expose().to_owned()))
        .ok_or_else(|| {
            format!("oidc-provider {id:?} has no client-secret: give it there, or as {variable}")
        })?;
    let mut provider = bff::ProviderConfig::new(id, &table.issuer, &table.client_id, &secret);
    provider.name = table.name.unwrap_or_else(|| table.id.clone());
    provider.scopes = table.scopes.unwrap_or(provider.scopes);
    provider.tenant = table.tenant;
    provider.tenant_claim = table.tenant_claim;
    provider.id_token_hint = table.id_token_hint;
    if let Some(parameter) = table.logout_redirect_parameter {
        provider.logout_redirect_parameter = parameter;
    }
    provider.roles = match (&table.roles_claim, table.roles) {
        (None, Some(_)) => return Err(format!("oidc-provider {id:?}: roles needs roles-claim")),
        (None, None) => BTreeMap::new(),
        (Some(_), None) => own_names(),
        (Some(_), Some(groups)) => groups
            .into_iter()
            .map(|(group, role)| match role.parse() {
                Ok(role) => Ok((group, role)),
                Err(error) => Err(format!("oidc-provider {id:?}, group {group:?}: {error}")),
            })
            .collect::<Result<_, _>>()?,
    };
    provider.roles_claim = table.roles_claim;
    Ok(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<bff::ProviderConfig>, String> {
        let mut table: toml::Table = text.parse().unwrap();
        let secret = |name: &str| {
            (name == "COUNCILSENSE_OIDC_CLIENT_SECRET_CITY_STAFF").then(|| "from outside".to_owned())
        };
        read(table.remove("oidc-provider").unwrap(), secret)
    }

    #[test]
    fn several_providers_with_groups_and_secrets() {
        let providers = read_text(
            "[[oidc-provider]]\nid = 'city-staff'\nname = 'City staff'\nissuer = 'https://a.example'\n\
             client-id = 'c'\nroles-claim = 'groups'\nroles = { editors = 'reviewer' }\ntenant = 'city'\n\
             [[oidc-provider]]\nid = 'google'\nissuer = 'https://b.example'\nclient-id = 'd'\nclient-secret = 's'\n",
        )
        .unwrap();
        assert_eq!(
            (providers[0].client_secret.as_str(), providers[0].name.as_str()),
            ("from outside", "City staff")
        );
        assert_eq!(providers[0].roles["editors"], Role::Reviewer);
        assert_eq!(providers[0].tenant.as_deref(), Some("city"));
        assert_eq!((providers[1].name.as_str(), providers[1].roles.len()), ("google", 0));
    }

    #[test]
    fn mistakes_are_named() {
        let base = "[[oidc-provider]]\nid = 'a'\nissuer = 'https://a.example'\nclient-id = 'c'\n";
        for (more, named) in [
            ("", "COUNCILSENSE_OIDC_CLIENT_SECRET_A"),
            ("client-secret = 's'\nroles = { x = 'owner' }\n", "roles-claim"),
            ("client-secret = 's'\nroles-claim = 'g'\nroles = { x = 'king' }\n", "king"),
            ("client-secret = 's'\nsecret = 'x'\n", "secret"),
        ] {
            let error = read_text(&format!("{base}{more}")).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        assert!(read_text(&base.replace("'a'", "'A b'")).is_err());
    }
}
