//! Documents lately seen: parsed, measured and found valid once instead of each time, and found again by their hash.
//!
//! Nothing here decides who may ask what: a document is only text. All of it is bounded.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use lru::LruCache;
use ring::digest::{Context, SHA256};

use super::shape::Plan;

/// Documents kept; a page has a few dozen.
const DOCUMENTS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
/// A longer one is executed, and not kept.
const LONGEST: usize = 16 * 1024;
/// Characters of all documents kept: what they are parsed into is some ten times as large.
const MOST_TEXT: usize = 1 << 20;
/// Requests found valid; variables count, since they are validated too.
const VALID: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// SHA-256.
pub(crate) type Hash = [u8; 32];

/// SHA-256 over parts, each told apart from the next.
pub(crate) fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            context.update(&[0]);
        }
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// A document within the limits.
pub(crate) struct Known {
    pub(crate) text: Arc<str>,
    pub(crate) document: ExecutableDocument,
    pub(crate) operations: Vec<Operation>,
}

/// One operation of a document.
pub(crate) struct Operation {
    pub(crate) name: Option<String>,
    pub(crate) kind: OperationType,
    pub(crate) plan: Arc<Plan>,
    /// Variables that a request has to give.
    pub(crate) required: Vec<String>,
}

impl Known {
    /// The operation that a request means; `None` where it names none of the document's, or has to name one.
    pub(crate) fn operation(&self, name: Option<&str>) -> Option<&Operation> {
        match (name, self.operations.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(_), _) => self.operations.iter().find(|operation| operation.name.as_deref() == name),
        }
    }
}

/// What is remembered of documents.
pub(crate) struct Documents {
    parsed: Mutex<Parsed>,
    valid: Mutex<LruCache<Hash, ()>>,
}

struct Parsed {
    documents: LruCache<Hash, Arc<Known>>,
    text: usize,
}

impl Default for Documents {
    fn default() -> Self {
        let parsed = Parsed { documents: LruCache::new(DOCUMENTS), text: 0 };
        Self { parsed: Mutex::new(parsed), valid: Mutex::new(LruCache::new(VALID)) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Documents {
    pub(crate) fn find(&self, hash: &Hash) -> Option<Arc<Known>> {
        lock(&self.parsed).documents.get(hash).cloned()
    }

    /// Keeps a document that was executed; those asked for longest ago make room.
    pub(crate) fn keep(&self, hash: Hash, known: Arc<Known>) {
        if known.text.len() > LONGEST {
            return;
        }
        let mut parsed = lock(&self.parsed);
        if parsed.documents.contains(&hash) {
            return;
        }
        parsed.text += known.text.len();
        if let Some((_, gone)) = parsed.documents.push(hash, known) {
            parsed.text -= gone.text.len();
        }
        while parsed.text > MOST_TEXT {
            let Some((_, gone)) = parsed.documents.pop_lru() else { break };
            parsed.text -= gone.text.len();
        }
    }

    /// Whether this very request, variables included, was found valid before.
    pub(crate) fn is_valid(&self, request: &Hash) -> bool {
        lock(&self.valid).get(request).is_some()
    }

    pub(crate) fn was_valid(&self, request: Hash) {
        lock(&self.valid).put(request, ());
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn what_is_kept_is_bounded_by_its_size() {
        let documents = Documents::default();
        let keep = |n: usize| {
            let text = format!("{{ a{n} }} #{}", "x".repeat(LONGEST - 20));
            let document = parse_query(&text).unwrap();
            let hash = hash(&[text.as_bytes()]);
            documents.keep(hash, Arc::new(Known { text: text.into(), document, operations: Vec::new() }));
            hash
        };
        let hashes: Vec<Hash> = (0..200).map(keep).collect();
        let kept = hashes.iter().filter(|hash| documents.find(hash).is_some()).count();
        assert!((60..=64).contains(&kept), "{kept}");
        assert!(documents.find(&hashes[199]).is_some());
        assert_eq!(keep(199), hashes[199], "kept once, counted once");
        assert!(lock(&documents.parsed).text <= MOST_TEXT);
    }
}
