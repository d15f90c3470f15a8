//! Artifacts.

use std::sync::Arc;

use async_graphql::{ID, Object, Result};
use cs_proto::meetings::v1 as pb;

use super::words;
use crate::graphql::global_id::Kind;
use crate::graphql::scalars::text;

words! {
    /// What a document is to its meeting.
    ArtifactKind {
        Agenda = "agenda",
        Minutes = "minutes",
        Packet = "packet",
        Transcript = "transcript",
        Attachment = "attachment",
    }
}

words! {
    /// How far a document has been read.
    ArtifactStatus {
        Fetched = "fetched",
        Extracted = "extracted",
        NeedsOcr = "needs_ocr",
        Unreadable = "unreadable",
        Withdrawn = "withdrawn",
    }
}

/// One published document of a meeting.
pub(crate) struct Artifact(pub(crate) Arc<pb::Artifact>);

/// One published document of a meeting.
#[Object]
impl Artifact {
    pub(crate) async fn id(&self) -> ID {
        Kind::Artifact.id(&self.0.id)
    }

    async fn kind(&self) -> Result<ArtifactKind> {
        Ok(ArtifactKind::of(&self.0.kind)?)
    }

    async fn title(&self) -> &str {
        &self.0.title
    }

    async fn file_name(&self) -> &str {
        &self.0.file_name
    }

    async fn media_type(&self) -> Option<&str> {
        text(&self.0.media_type)
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "GraphQL has no 64-bit integer; a document is far below 2^53 bytes"
    )]
    async fn size_bytes(&self) -> f64 {
        self.0.size_bytes as f64
    }

    async fn sha256(&self) -> &str {
        &self.0.sha256
    }

    async fn status(&self) -> Result<ArtifactStatus> {
        Ok(ArtifactStatus::of(&self.0.status)?)
    }

    /// Why it could not be read.
    async fn reason(&self) -> Option<&str> {
        text(&self.0.reason)
    }

    async fn pages(&self) -> Option<u32> {
        (self.0.pages > 0).then_some(self.0.pages)
    }

    async fn characters(&self) -> Option<u32> {
        (self.0.characters > 0).then_some(self.0.characters)
    }

    /// Where the city publishes it.
    async fn source_url(&self) -> Option<&str> {
        text(&self.0.source_url)
    }

    /// Where the stored document is served.
    async fn url(&self) -> String {
        format!("/artifacts/{}", self.0.id)
    }
}
