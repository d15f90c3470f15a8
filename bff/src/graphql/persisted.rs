//! Documents named by their SHA-256, by the protocol of automatic persisted queries: `extensions.persistedQuery` with
//! `version` 1 and `sha256Hash`. A hash that is not kept is answered with [`NOT_KEPT`], and the client sends the text along.
//!
//! The documents of our own pages are known from the start, and can be made the only ones.

use std::collections::HashMap;

use super::execute::GraphqlRequest;
use super::known::{Hash, hash};
use crate::edge::Edge;

/// What clients of the protocol look for.
pub(super) const NOT_KEPT: &str = "PersistedQueryNotFound";

/// A request names its document wrongly.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("query is missing, and extensions.persistedQuery names none.")]
    Nothing,
    #[error("extensions.persistedQuery has to hold version 1 and sha256Hash, 64 hexadecimal digits.")]
    Malformed,
    #[error("sha256Hash is not that of query.")]
    OtherHash,
}

/// How a request names its document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'r> {
    Text(&'r str),
    Hash(Hash),
    Both(&'r str, Hash),
}

pub(super) fn asked(request: &GraphqlRequest) -> Result<Asked<'_>, Wrong> {
    let named = request.extensions.as_ref().and_then(|extensions| extensions.get("persistedQuery"));
    let named = named.filter(|named| !named.is_null());
    match (request.query.as_deref().filter(|text| !text.is_empty()), named) {
        (None, None) => Err(Wrong::Nothing),
        (Some(text), None) => Ok(Asked::Text(text)),
        (text, Some(named)) => {
            let claimed = sha256(named).ok_or(Wrong::Malformed)?;
            match text {
                None => Ok(Asked::Hash(claimed)),
                Some(text) if hash(&[text.as_bytes()]) == claimed => Ok(Asked::Both(text, claimed)),
                Some(_) => Err(Wrong::OtherHash),
            }
        }
    }
}

fn sha256(named: &serde_json::Value) -> Option<Hash> {
    if named.get("version")?.as_u64()? != 1 {
        return None;
    }
    let text = named.get("sha256Hash")?.as_str()?;
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// The documents of our own pages.
pub(crate) struct Trusted {
    documents: HashMap<Hash, String>,
    only: bool,
}

impl Trusted {
    /// Those of the page that this binary carries, and those that it was told of.
    pub(crate) fn new(edge: &Edge, page: Vec<String>) -> Self {
        let texts = page.into_iter().chain(edge.trusted_documents.iter().cloned());
        let documents = texts.map(|text| (hash(&[text.as_bytes()]), text)).collect();
        Self { documents, only: edge.trusted_documents_only }
    }

    pub(crate) fn is_exclusive(&self) -> bool {
        self.only
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    pub(super) fn contains(&self, hash: &Hash) -> bool {
        self.documents.contains_key(hash)
    }

    pub(super) fn text(&self, hash: &Hash) -> Option<&str> {
        self.documents.get(hash).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(value: serde_json::Value) -> GraphqlRequest {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_document_is_named_by_its_text_its_hash_or_both() {
        let text = "{ __typename }";
        let own = hash(&[text.as_bytes()]);
        let hex: String = own.iter().map(|byte| format!("{byte:02x}")).collect();
        let named = |hash: &str| json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
        for (value, due) in [
            (json!({"query": text}), Ok(Asked::Text(text))),
            (json!({"query": text, "extensions": {}}), Ok(Asked::Text(text))),
            (json!({"query": text, "extensions": {"persistedQuery": null}}), Ok(Asked::Text(text))),
            (json!({"query": text, "extensions": named(&hex)}), Ok(Asked::Both(text, own))),
            (json!({"extensions": named(&hex.to_uppercase())}), Ok(Asked::Hash(own))),
            (json!({"query": "", "extensions": named(&hex)}), Ok(Asked::Hash(own))),
            (json!({"query": "{ a }", "extensions": named(&hex)}), Err(Wrong::OtherHash)),
            (json!({"extensions": named(&hex[1..])}), Err(Wrong::Malformed)),
            (json!({"extensions": named(&format!("é{}", &hex[2..]))}), Err(Wrong::Malformed)),
            (json!({"extensions": {"persistedQuery": {"sha256Hash": hex}}}), Err(Wrong::Malformed)),
            (json!({"extensions": {"persistedQuery": []}}), Err(Wrong::Malformed)),
            (json!({}), Err(Wrong::Nothing)),
            (json!({"query": null}), Err(Wrong::Nothing)),
        ] {
            assert_eq!(asked(&request(value.clone())), due, "{value}");
        }
    }
}
