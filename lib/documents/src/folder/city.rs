//! `city.toml`: what a folder says about its city.

use std::path::Path;

use serde::Deserialize;

use super::FolderError;

/// Every key is optional, unknown keys are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CityToml {
    /// Name of the city.
    pub name: Option<String>,
    /// IANA time zone, such as `America/Chicago`.
    pub time_zone: Option<String>,
    /// BCP 47 tag of the documents' language.
    pub language: Option<String>,
    /// The body meant where a name gives none.
    #[serde(alias = "body")]
    pub default_body: Option<String>,
}

pub(super) fn read(path: &Path) -> Result<CityToml, FolderError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| FolderError::Io { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|e| FolderError::City {
        path: path.to_owned(),
        message: e.to_string().trim().replace('\n', " "),
    })
}
