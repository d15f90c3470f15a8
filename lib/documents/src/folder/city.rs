//! `city.toml`: what a folder says about its city.

use serde::Deserialize;

use super::FolderError;
use super::walk::File;

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

pub(super) fn read(file: &File) -> Result<CityToml, FolderError> {
    let bytes = file.small().map_err(|source| FolderError::Io { path: file.path.clone(), source })?;
    toml::from_slice(&bytes).map_err(|e| FolderError::City {
        path: file.path.clone(),
        message: e.to_string().trim().replace('\n', " "),
    })
}
