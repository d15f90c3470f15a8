//! What of a verified id token is used.

use std::collections::BTreeSet;

use cs_core::Role;
use openidconnect::AdditionalClaims;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::ProviderConfig;

/// Claims beyond those of OpenID Connect Core.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Extra {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Extra {}

impl Extra {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whether a claim is there, whatever it says.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Roles that the provider's configuration derives from its groups. Nothing is mapped that is not configured.
    pub(crate) fn roles(&self, provider: &ProviderConfig) -> BTreeSet<Role> {
        let Some(claim) = provider.roles_claim.as_deref() else { return BTreeSet::new() };
        let groups = match self.all.get(claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(group)) => vec![group.as_str()],
            _ => Vec::new(),
        };
        groups.into_iter().filter_map(|group| provider.roles.get(group).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_groups_become_roles() {
        let extra: Extra = serde_json::from_value(serde_json::json!({
            "groups": ["editors", "owner", 7], "tenant": ""
        }))
        .unwrap();
        let mut provider = ProviderConfig::new("p", "https://id.example", "c", "s");
        assert!(extra.roles(&provider).is_empty(), "no claim is configured");
        provider.roles_claim = Some("groups".into());
        provider.roles = [("editors".to_owned(), Role::Reviewer)].into();
        assert_eq!(extra.roles(&provider), [Role::Reviewer].into());
        assert_eq!(extra.text("tenant"), None);
    }
}
