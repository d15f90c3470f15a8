//! A document becomes more or less visible: its entry first, then everything drawn from it.

use cs_events::dies_at;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::client::Method;
use super::super::document::{RETAG, kind_word};
use super::{RETRIES, Writer, line, refused};
use crate::index::types::bit;
use crate::index::{Applied, IndexError, PassageKind, Visibility};

impl Writer {
    pub(super) async fn retag(
        &self,
        index: &str,
        artifact: Uuid,
        version: i64,
        visibility: Visibility,
    ) -> Result<Applied, IndexError> {
        let mut lines = Vec::new();
        artifact_lines(&mut lines, artifact, version, bit(visibility));
        let items = self.bulk(index, lines).await?;
        let item = items.first().ok_or_else(|| super::super::engine("an empty answer to one change"))?;
        match item.status {
            409 => {
                let entries = self.entries(index, &[format!("artifact:{artifact}")]).await?;
                let entry = entries.into_iter().next().flatten();
                return Ok(Applied::Stale { indexed: entry.map_or(i64::MAX, |entry| entry.version) });
            }
            200..=299 => {}
            _ => return Err(refused(&artifact.to_string(), item)),
        }
        dies_at!("opensearch.told");
        self.tag_passages(index, artifact, bit(visibility)).await?;
        Ok(Applied::Yes)
    }

    /// Gives everything drawn from an artifact its new tag.
    pub(super) async fn tag_passages(&self, index: &str, artifact: Uuid, tag: u8) -> Result<(), IndexError> {
        let passage = kind_word(PassageKind::Passage);
        let params = json!({ "artifact": artifact, "tag": tag, "passage": passage });
        let body = json!({
            "query": { "bool": { "filter": [
                { "term": { "artifacts": artifact } }, { "term": { "entry": "passage" } },
            ] } },
            "script": { "lang": "painless", "source": RETAG, "params": params },
        });
        let path = format!("/{index}/_update_by_query?conflicts=proceed&refresh=true");
        for _ in 0..RETRIES {
            let done: Value = self.call(Method::Post, &path, Some(&body)).await?;
            if done.get("version_conflicts").and_then(Value::as_u64) == Some(0) {
                return Ok(());
            }
        }
        Err(IndexError::Unavailable {
            engine: self.client.address.clone(),
            reason: format!("passages of artifact {artifact} keep changing"),
        })
    }
}

pub(super) fn artifact_lines(lines: &mut Vec<u8>, artifact: Uuid, version: i64, tag: u8) {
    line(
        lines,
        &json!({ "index": {
        "_id": format!("artifact:{artifact}"), "version": version, "version_type": "external_gte",
    } }),
    );
    // `artifacts` stays empty: a change of visibility must not find its own entry.
    line(lines, &json!({ "entry": "artifact", "version": version, "indexed_tag": tag }));
}
