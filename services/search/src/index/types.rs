//! What is indexed: passages, and the tags that say who may read them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use cs_core::Visibility;
use cs_core::document::ArtifactKind;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The tie-breaking form of a passage's id: the first eight bytes of its sha256.
pub(crate) fn id_hash(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// A tag as one bit of a set.
pub(crate) fn bit(tag: Visibility) -> u8 {
    match tag {
        Visibility::Public => 1,
        Visibility::Member => 2,
        Visibility::Reviewer => 4,
    }
}

/// The tags a reader may see. Empty means that nothing is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VisibleTags(u8);

impl VisibleTags {
    /// These tags and no others.
    pub fn of(tags: impl IntoIterator<Item = Visibility>) -> Self {
        Self(tags.into_iter().fold(0, |bits, tag| bits | bit(tag)))
    }

    /// Whether a row with this tag may be read.
    pub fn contains(self, tag: Visibility) -> bool {
        self.0 & bit(tag) != 0
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }
}

/// What a passage is: a span of a document, or a claim about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassageKind {
    /// A span of a section.
    Passage,
    /// A claim that something was decided.
    Decision,
    /// A claim that somebody is to do something.
    Action,
    /// A claim that something was discussed.
    Topic,
    /// Any other claim.
    Fact,
}

impl PassageKind {
    pub(crate) fn ordinal(self) -> u8 {
        match self {
            Self::Passage => 0,
            Self::Decision => 1,
            Self::Action => 2,
            Self::Topic => 3,
            Self::Fact => 4,
        }
    }
}

/// The tag that holds after later words on some of the documents: for a passage the most hidden of its documents, of
/// which those without a word have the tag that it was indexed with; for a claim never less than that.
pub(crate) fn effective(
    is_claim: bool,
    indexed: Visibility,
    artifacts: &[Uuid],
    word: impl Fn(&Uuid) -> Option<Visibility>,
) -> Visibility {
    let tags = artifacts.iter().map(|artifact| word(artifact).unwrap_or(indexed));
    tags.chain(is_claim.then_some(indexed)).max().unwrap_or(indexed)
}

/// The label that holds the name of the body that met.
pub const BODY_LABEL: &str = "body";

/// One thing that can be found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassageDoc {
    /// Stable across re-indexing: made of the text's sha256, chunker and span, or the claim's id.
    pub id: String,
    /// Whose it is.
    pub tenant_id: Uuid,
    /// The meeting it belongs to.
    pub meeting_id: Uuid,
    /// The meeting's city.
    pub city_id: Uuid,
    /// The body that met.
    pub body_id: Uuid,
    /// The document it stands in; for a claim, that of its first evidence.
    pub artifact_id: Uuid,
    /// Further documents it is drawn from. It is as hidden as the most hidden of all its documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<Uuid>,
    /// What the document is.
    pub artifact_kind: ArtifactKind,
    /// The text version that the offsets point into, in hexadecimal.
    pub text_sha256: String,
    /// Ordinal of the section.
    pub section: u32,
    /// First code point in the text version.
    pub start: u32,
    /// One past the last code point.
    pub end: u32,
    /// Page on which it begins, from 1.
    pub page: Option<u32>,
    /// Milliseconds from the start of the recording.
    pub time_ms: Option<u64>,
    /// The meeting's day.
    pub date: NaiveDate,
    /// Who may read it. A later word on a document of a passage stands in its place; a claim, which is as hidden as the
    /// most hidden of all that it is drawn from, can only become more hidden by one.
    pub visibility: Visibility,
    /// Passage or claim.
    pub kind: PassageKind,
    /// A claim's confidence, 0 to 1.
    pub confidence: Option<f32>,
    /// The meeting's title.
    pub title: String,
    /// The heading it stands under.
    pub heading: Option<String>,
    /// What is shown and searched.
    pub text: String,
    /// The embedding of title, heading and text; empty where there was no embedder.
    #[serde(skip)]
    pub vector: Vec<f32>,
    /// Name and version of the embedding model; empty without a vector.
    pub embedder: String,
    /// Name and version of the chunker.
    pub chunker: String,
    /// Further fields that a request may ask to be equal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl PassageDoc {
    /// What is embedded. With title and heading in front a passage is found better by meaning: by vectors alone, passages
    /// of about 100 words with their title gave nDCG@10 .6739 on scifact, whole texts .6466.
    pub fn embedded_text(&self) -> String {
        let title = self.title.trim();
        let heading = self.heading.as_deref().map_or("", str::trim);
        let heading = if heading == title { "" } else { heading };
        let parts: Vec<&str> =
            [title, heading, &self.text].into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n")
    }
}

/// A meeting of which something is in the index, and the city that it stands under there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// The city.
    pub city: Uuid,
    /// The meeting.
    pub meeting: Uuid,
}

/// How much there is of a meeting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passages of its documents.
    pub passages: u64,
    /// Claims of its summary.
    pub claims: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passages += other.passages;
        self.claims += other.claims;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passages and {} claims", self.passages, self.claims)
    }
}

/// The two halves of what is known of a meeting. Each is replaced as a whole, under a version of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Passages of its documents.
    Documents,
    /// Claims of its summary.
    Claims,
}

impl Part {
    /// Both halves.
    pub const ALL: [Self; 2] = [Self::Documents, Self::Claims];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_hidden_document_decides_and_a_claim_is_never_shown_wider_than_indexed() {
        use Visibility::{Member, Public, Reviewer};
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let tag = |is_claim, indexed, artifacts: &[Uuid], words: &[(Uuid, Visibility)]| {
            let word = |artifact: &Uuid| words.iter().find(|(a, _)| a == artifact).map(|(_, tag)| *tag);
            effective(is_claim, indexed, artifacts, word)
        };
        for is_claim in [false, true] {
            assert_eq!(tag(is_claim, Public, &[a, b], &[]), Public);
            assert_eq!(tag(is_claim, Public, &[a, b], &[(b, Reviewer)]), Reviewer);
            assert_eq!(tag(is_claim, Member, &[a, b], &[(a, Public)]), Member);
        }
        assert_eq!(tag(false, Reviewer, &[a], &[(a, Public)]), Public);
        assert_eq!(tag(true, Reviewer, &[a], &[(a, Public)]), Reviewer);
    }
}
