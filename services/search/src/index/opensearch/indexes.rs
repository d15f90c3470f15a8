//! The indexes of the tenants: their names, their versions, the alias in front.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{CallError, Method};
use super::layout::{LAYOUT, difference, layout};
use super::{OpenSearchIndex, Options, Target, WRITE, stats};
use crate::index::IndexError;

/// A tenant's versions in the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// The one that is searched.
    pub current: Option<u32>,
    /// All that are there, ascending.
    pub versions: Vec<u32>,
}

#[derive(Deserialize)]
struct Templates {
    #[serde(default)]
    index_templates: Vec<Template>,
}

#[derive(Deserialize)]
struct Template {
    index_template: Inner,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    version: u64,
}

#[derive(Deserialize)]
struct Aliases {
    #[serde(default)]
    aliases: BTreeMap<String, Value>,
}

impl OpenSearchIndex {
    /// What is searched and written for a tenant.
    pub(super) fn name_of(&self, tenant: Uuid) -> String {
        match self.target {
            Target::Alias => self.alias(tenant),
            Target::Version(version) => self.versioned(tenant, version),
        }
    }

    fn alias(&self, tenant: Uuid) -> String {
        format!("{}-{}", self.options.prefix, tenant.simple())
    }

    fn versioned(&self, tenant: Uuid, version: u32) -> String {
        format!("{}-v{version}", self.alias(tenant))
    }

    async fn get(&self, path: &str) -> Result<Option<Value>, IndexError> {
        match self.client.json(Method::Get, path, None, WRITE).await {
            Ok(found) => Ok(Some(found)),
            Err(CallError::NotFound(_)) => Ok(None),
            Err(error) => Err(self.call_failed(error)),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, IndexError> {
        self.client.json(method, path, body, WRITE).await.map_err(|e| self.call_failed(e))
    }

    /// Puts the template there and checks every index that is searched.
    pub(super) async fn prepare(&self) -> Result<(), IndexError> {
        let name = format!("/_index_template/{}", self.options.prefix);
        if let Some(found) = self.get(&name).await? {
            let found: Templates = serde_json::from_value(found).map_err(super::engine)?;
            let newest = found.index_templates.iter().map(|t| t.index_template.version).max().unwrap_or(0);
            if newest > LAYOUT {
                return Err(IndexError::Layout {
                    index: format!("template {}", self.options.prefix),
                    difference: format!(
                        "its version is {newest}, this program's {LAYOUT}: update the program"
                    ),
                });
            }
        }
        let template = json!({
            "index_patterns": [format!("{}-*-v*", self.options.prefix)],
            "priority": 200,
            "version": LAYOUT,
            "template": layout(self.options.dimensions, &self.options.params),
        });
        self.send(Method::Put, &name, Some(&template)).await?;
        for (tenant, generation) in self.generations().await? {
            if let Some(current) = generation.current {
                self.check(&self.versioned(tenant, current)).await?;
            }
        }
        Ok(())
    }

    /// Refuses an index that is laid out otherwise.
    async fn check(&self, index: &str) -> Result<(), IndexError> {
        let Some(found) = self.get(&format!("/{index}")).await? else { return Ok(()) };
        let found =
            found.as_object().and_then(|indexes| indexes.values().next()).cloned().unwrap_or_default();
        match difference(&layout(self.options.dimensions, &self.options.params), &found) {
            None => Ok(()),
            Some(difference) => Err(IndexError::Layout { index: index.to_owned(), difference }),
        }
    }

    /// The index that a tenant's changes go to; made and checked the first time.
    pub(super) async fn writable(&self, tenant: Uuid) -> Result<String, IndexError> {
        let name = self.name_of(tenant);
        let writer = self.writer(tenant);
        let mut known = writer.known.lock().await;
        if *known {
            return Ok(name);
        }
        if let Target::Version(version) = self.target {
            self.create(tenant, version, false).await?;
        } else if self.get(&format!("/{name}/_settings")).await?.is_some() {
            self.check(&name).await?;
        } else {
            // Past every version that is there already: one left behind by a build is not searched unnoticed.
            let next = self.generation(tenant).await?.versions.last().map_or(1, |last| last + 1);
            self.create(tenant, next, true).await?;
        }
        *known = true;
        Ok(name)
    }

    async fn create(&self, tenant: Uuid, version: u32, searched: bool) -> Result<(), IndexError> {
        let name = self.versioned(tenant, version);
        let mut body = layout(self.options.dimensions, &self.options.params);
        if searched {
            body["aliases"] = json!({ (self.alias(tenant)): { "is_write_index": true } });
        }
        match self.client.json::<Value>(Method::Put, &format!("/{name}"), Some(&body), WRITE).await {
            Ok(_) => Ok(()),
            Err(CallError::Refused { reason, .. }) if reason.contains("already_exists") => {
                self.check(&name).await
            }
            Err(error) => Err(self.call_failed(error)),
        }
    }

    /// Every tenant's versions.
    pub async fn generations(&self) -> Result<BTreeMap<Uuid, Generation>, IndexError> {
        let Some(found) = self.get(&format!("/{}-*/_alias", self.options.prefix)).await? else {
            return Ok(BTreeMap::new());
        };
        let found: BTreeMap<String, Aliases> = serde_json::from_value(found).map_err(super::engine)?;
        let mut all: BTreeMap<Uuid, Generation> = BTreeMap::new();
        for (name, Aliases { aliases }) in found {
            let rest = name.strip_prefix(&self.options.prefix).and_then(|n| n.strip_prefix('-'));
            let Some((tenant, version)) = rest.and_then(|n| n.split_once("-v")) else { continue };
            let (Ok(tenant), Ok(version)) = (tenant.parse::<Uuid>(), version.parse::<u32>()) else {
                continue;
            };
            let generation = all.entry(tenant).or_default();
            generation.versions.push(version);
            if aliases.contains_key(&self.alias(tenant)) {
                generation.current = Some(version);
            }
        }
        all.values_mut().for_each(|generation| generation.versions.sort_unstable());
        Ok(all)
    }

    /// One tenant's versions.
    pub async fn generation(&self, tenant: Uuid) -> Result<Generation, IndexError> {
        Ok(self.generations().await?.remove(&tenant).unwrap_or_default())
    }

    /// The same engine, reading and writing one version beside the one that is searched.
    pub fn at_version(&self, version: u32) -> Self {
        Self::over(Arc::clone(&self.client), self.options.clone(), Target::Version(version))
    }

    /// The same for a version that is there, whatever the length of its vectors.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn at_version_there(&self, tenant: Uuid, version: u32) -> Result<Self, IndexError> {
        let dimensions = stats::dimensions(&self.client, &self.versioned(tenant, version)).await?;
        let options = Options { dimensions, ..self.options.clone() };
        Ok(Self::over(Arc::clone(&self.client), options, Target::Version(version)))
    }

    /// The length of the vectors of this engine's versions.
    pub fn dimensions(&self) -> usize {
        self.options.dimensions
    }

    /// When a version was made: what was told to it and to no other came later. `None` where the engine does not say.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn made_at(&self, tenant: Uuid, version: u32) -> Result<Option<DateTime<Utc>>, IndexError> {
        let found = self.get(&format!("/{}/_settings", self.versioned(tenant, version))).await?;
        let found = found.as_ref().and_then(|indexes| indexes.as_object()?.values().next());
        let millis =
            found.and_then(|index| index.pointer("/settings/index/creation_date")?.as_str()?.parse().ok());
        Ok(millis.and_then(DateTime::from_timestamp_millis))
    }

    /// Lets every tenant named be searched in the version beside it from now on, all in one step; none of them is seen
    /// without an index in between. A tenant without that version gets an empty one first.
    pub async fn switch(&self, to: &[(Uuid, u32)]) -> Result<(), IndexError> {
        let generations = self.generations().await?;
        let mut actions = Vec::new();
        for &(tenant, version) in to {
            let generation = generations.get(&tenant).cloned().unwrap_or_default();
            if !generation.versions.contains(&version) {
                self.create(tenant, version, false).await?;
            }
            let alias = self.alias(tenant);
            if let Some(current) = generation.current.filter(|c| *c != version) {
                let index = self.versioned(tenant, current);
                actions.push(json!({ "remove": { "index": index, "alias": alias, "must_exist": true } }));
            }
            let index = self.versioned(tenant, version);
            actions.push(json!({ "add": { "index": index, "alias": alias, "is_write_index": true } }));
        }
        if !actions.is_empty() {
            self.send(Method::Post, "/_aliases", Some(&json!({ "actions": actions }))).await?;
        }
        Ok(())
    }

    /// Deletes one version of a tenant.
    pub async fn drop_version(&self, tenant: Uuid, version: u32) -> Result<(), IndexError> {
        match self.send(Method::Delete, &format!("/{}", self.versioned(tenant, version)), None).await {
            Err(IndexError::Engine(reason)) if reason.starts_with("not found") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    pub(super) async fn delete_all_of(&self, tenant: Uuid) -> Result<(), IndexError> {
        // By name, one after another: engines may refuse patterns where something is destroyed.
        for version in self.generation(tenant).await?.versions {
            self.drop_version(tenant, version).await?;
        }
        Ok(())
    }

    /// Deletes every index of this prefix and the template: what a measurement leaves behind.
    pub async fn remove_everything(&self) -> Result<(), IndexError> {
        for tenant in self.generations().await?.into_keys() {
            self.delete_all_of(tenant).await?;
        }
        match self.send(Method::Delete, &format!("/_index_template/{}", self.options.prefix), None).await {
            Err(IndexError::Engine(reason)) if reason.starts_with("not found") => Ok(()),
            other => other.map(|_| ()),
        }
    }
}
