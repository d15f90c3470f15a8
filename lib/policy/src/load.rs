//! From files to policies that are known to make sense.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, Validator};

const SCHEMA: &str = include_str!("../policies/schema.cedarschema");
const BUILT_IN: [(&str, &str); 3] = [
    ("doing.cedar", include_str!("../policies/doing.cedar")),
    ("reading.cedar", include_str!("../policies/reading.cedar")),
    ("tenants.cedar", include_str!("../policies/tenants.cedar")),
];

/// Policies cannot be used. The process must not start with them.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory or a file in it cannot be read.
    #[error("the policies in {0} cannot be read: {1}")]
    Unreadable(String, std::io::Error),
    /// No file of policies.
    #[error("there is no *.cedar file in {0}: copy lib/policy/policies there, and change the copy")]
    Empty(String),
    /// A file is not Cedar.
    #[error("{0}: {1}")]
    Malformed(String, String),
    /// A policy uses words that the schema has not.
    #[error("the policies do not fit lib/policy/policies/schema.cedarschema: {0}")]
    Unknown(String),
    /// Something was asked before.
    #[error("policies were in use before they were installed: install them first")]
    TooLate,
}

/// The policies compiled in.
pub(crate) fn built_in() -> Result<PolicySet, LoadError> {
    checked(BUILT_IN.map(|(name, text)| (name.to_owned(), text.to_owned())))
}

/// Every `*.cedar` file of a directory. The rule that keeps tenants apart stands in any case.
pub(crate) fn of_directory(directory: &Path) -> Result<PolicySet, LoadError> {
    let shown = directory.display().to_string();
    let unreadable = |error| LoadError::Unreadable(shown.clone(), error);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            let text = fs::read_to_string(&path).map_err(unreadable)?;
            files.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text);
        }
    }
    if files.is_empty() {
        return Err(LoadError::Empty(shown));
    }
    for (name, text) in BUILT_IN.into_iter().filter(|(name, _)| *name == "tenants.cedar") {
        files.insert(name.to_owned(), text.to_owned());
    }
    checked(files)
}

fn checked(files: impl IntoIterator<Item = (String, String)>) -> Result<PolicySet, LoadError> {
    let mut all = PolicySet::new();
    for (name, text) in files {
        let malformed = |error: &dyn std::fmt::Display| LoadError::Malformed(name.clone(), error.to_string());
        let parsed = PolicySet::from_str(&text).map_err(|e| malformed(&e))?;
        for (n, policy) in parsed.policies().enumerate() {
            // Errors and logs name a policy by its file.
            let named = policy.new_id(PolicyId::new(format!("{name}#{n}")));
            all.add(named).map_err(|e| malformed(&e))?;
        }
    }
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA)
        .map_err(|e| LoadError::Malformed("the schema".into(), e.to_string()))?;
    let result = Validator::new(schema).validate(&all, ValidationMode::Strict);
    let errors: Vec<String> = result.validation_errors().map(ToString::to_string).collect();
    if errors.is_empty() { Ok(all) } else { Err(LoadError::Unknown(errors.join("; "))) }
}
