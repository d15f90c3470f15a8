//! How passages are laid out in tantivy.
//!
//! A passage's vector and everything that is shown stand in the document store beside its postings, so that one commit
//! makes all of it durable, or none. Versions and visibility overrides are documents too ("ledger entries"), which have
//! no words and are found by nobody.

use serde::{Deserialize, Serialize};
use tantivy::schema::{Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{PreTokenizedString, Token as TantivyToken};
use tantivy::{TantivyDocument, Term};
use uuid::Uuid;

use super::vectors;
use crate::index::{Part, PassageDoc, Visibility};
use crate::query::analysis::{Token, scored, tokens};
use crate::query::terms::pair;

/// Distance between the last word of the title and the first of what follows: no phrase crosses it.
const GAP: usize = 16;

/// The fields of the index.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) schema: Schema,
    /// Names the owner of a document, for deletion.
    pub(super) key: Field,
    /// Terms with positions.
    pub(super) text: Field,
    /// Pairs of neighbouring scored terms.
    pub(super) pairs: Field,
    /// `name=value`, for equality.
    pub(super) label: Field,
    /// JSON of [`Stored`].
    pub(super) source: Field,
    /// [`vectors::encode`].
    pub(super) vector: Field,
    /// JSON of [`LedgerEntry`].
    pub(super) ledger: Field,
}

/// What is kept of a passage.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Scored terms.
    pub(super) length: u32,
    pub(super) passage: PassageDoc,
}

/// What is known of a meeting's part or an artifact beside its passages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum LedgerEntry {
    Part { meeting: Uuid, part: Part, version: i64 },
    Artifact { artifact: Uuid, version: i64, visibility: Visibility },
}

impl LedgerEntry {
    fn key(&self) -> String {
        match self {
            Self::Part { meeting, part, .. } => format!("v{}", part_key(*meeting, *part)),
            Self::Artifact { artifact, .. } => format!("a{artifact}"),
        }
    }
}

fn part_key(meeting: Uuid, part: Part) -> String {
    match part {
        Part::Documents => format!("d{meeting}"),
        Part::Claims => format!("c{meeting}"),
    }
}

impl Layout {
    pub(super) fn new() -> Self {
        let indexed = |tokenizer: &str, option| {
            TextOptions::default().set_indexing_options(
                TextFieldIndexing::default()
                    .set_tokenizer(tokenizer)
                    .set_fieldnorms(false)
                    .set_index_option(option),
            )
        };
        let mut builder = Schema::builder();
        let key = builder.add_text_field("key", indexed("raw", IndexRecordOption::Basic));
        let text = builder.add_text_field("text", indexed("raw", IndexRecordOption::WithFreqsAndPositions));
        let pairs = builder.add_text_field("pairs", indexed("raw", IndexRecordOption::WithFreqs));
        let label = builder.add_text_field("label", indexed("raw", IndexRecordOption::Basic));
        let source = builder.add_bytes_field("source", STORED);
        let vector = builder.add_bytes_field("vector", STORED);
        let ledger = builder.add_bytes_field("ledger", STORED);
        Self { schema: builder.build(), key, text, pairs, label, source, vector, ledger }
    }

    /// All passages of a meeting's part.
    pub(super) fn part_term(&self, meeting: Uuid, part: Part) -> Term {
        Term::from_field_text(self.key, &part_key(meeting, part))
    }

    /// The entry that this one replaces.
    pub(super) fn ledger_term(&self, entry: &LedgerEntry) -> Term {
        Term::from_field_text(self.key, &entry.key())
    }

    /// The term that a label is found by.
    pub(super) fn label_term(&self, name: &str, value: &str) -> Term {
        Term::from_field_text(self.label, &format!("{name}={value}"))
    }

    pub(super) fn ledger_document(&self, entry: &LedgerEntry) -> Result<TantivyDocument, serde_json::Error> {
        let mut document = TantivyDocument::new();
        document.add_text(self.key, entry.key());
        document.add_bytes(self.ledger, &serde_json::to_vec(entry)?);
        Ok(document)
    }

    pub(super) fn passage_document(
        &self,
        part: Part,
        passage: PassageDoc,
    ) -> Result<TantivyDocument, serde_json::Error> {
        let mut document = TantivyDocument::new();
        document.add_text(self.key, part_key(passage.meeting_id, part));
        let words = Words::of(&passage);
        document.add_pre_tokenized_text(self.text, words.positions());
        document.add_pre_tokenized_text(self.pairs, words.pairs());
        for (name, value) in &passage.labels {
            document.add_text(self.label, format!("{name}={value}"));
        }
        let vector = vectors::encode(&passage.vector);
        if !vector.is_empty() {
            document.add_bytes(self.vector, &vector);
        }
        let stored = Stored { length: words.length(), passage };
        document.add_bytes(self.source, &serde_json::to_vec(&stored)?);
        Ok(document)
    }
}

/// The words of a passage: its title, its heading, its text.
struct Words(Vec<Vec<Token>>);

impl Words {
    fn of(passage: &PassageDoc) -> Self {
        let parts = [passage.title.as_str(), passage.heading.as_deref().unwrap_or_default(), &passage.text];
        Self(parts.into_iter().map(tokens).collect())
    }

    fn length(&self) -> u32 {
        self.0.iter().map(|part| scored(part).count() as u32).sum()
    }

    fn positions(&self) -> PreTokenizedString {
        let mut position = 0;
        let mut out = Vec::new();
        for part in &self.0 {
            for token in part {
                out.push(indexed(token.term.clone(), position));
                position += 1;
            }
            position += GAP;
        }
        PreTokenizedString { text: String::new(), tokens: out }
    }

    fn pairs(&self) -> PreTokenizedString {
        let mut out = Vec::new();
        for part in &self.0 {
            let mut before: Option<&Token> = None;
            for token in scored(part) {
                if let Some(before) = before {
                    out.push(indexed(pair(&before.term, &token.term), out.len()));
                }
                before = Some(token);
            }
        }
        PreTokenizedString { text: String::new(), tokens: out }
    }
}

fn indexed(text: String, position: usize) -> TantivyToken {
    TantivyToken { offset_from: 0, offset_to: 0, position, text, position_length: 1 }
}
