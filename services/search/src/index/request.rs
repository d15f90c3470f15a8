//! What is asked.

use chrono::NaiveDate;
use cs_core::document::ArtifactKind;
use uuid::Uuid;

use super::types::{PassageKind, VisibleTags};
use crate::query::ParsedQuery;

/// Which legs answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Words and meaning, fused.
    #[default]
    Hybrid,
    /// Words alone.
    Keyword,
    /// Meaning alone.
    Vector,
}

impl Mode {
    /// The word used on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Keyword => "keyword",
            Self::Vector => "vector",
        }
    }
}

/// What a passage must be to be found. An empty list asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// One of these cities.
    pub cities: Vec<Uuid>,
    /// One of these bodies.
    pub bodies: Vec<Uuid>,
    /// One of these meetings.
    pub meetings: Vec<Uuid>,
    /// On this day or later.
    pub from: Option<NaiveDate>,
    /// On this day or earlier.
    pub to: Option<NaiveDate>,
    /// In a document of one of these kinds.
    pub artifact_kinds: Vec<ArtifactKind>,
    /// Of one of these kinds.
    pub kinds: Vec<PassageKind>,
    /// A claim must be at least this sure, 0 to 1. Passages have no confidence and are kept.
    pub min_confidence: Option<f32>,
    /// Each of these labels has this value.
    pub labels: Vec<(String, String)>,
}

/// One search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// Whose passages. Nothing of another tenant is read, counted or weighed.
    pub tenant: Uuid,
    /// What the reader may see. Nothing else is read, counted or weighed.
    pub visible: VisibleTags,
    /// What was typed, parsed by [`crate::query::parse`]. Names in it are resolved to `filters` by the caller.
    pub query: ParsedQuery,
    /// The embedding of [`ParsedQuery::meaning`]; `None` where there is no embedder.
    pub vector: Option<Vec<f32>>,
    /// Which legs answer.
    pub mode: Mode,
    /// What a passage must be, applied before ranking.
    pub filters: Filters,
    /// How many hits at most; at most [`MAX_FIRST`] are given.
    pub first: usize,
    /// Continue after the hit with this cursor.
    pub after: Option<String>,
    /// Give the best passage of each meeting only.
    pub group_by_meeting: bool,
}

/// The most hits that one request gets.
pub const MAX_FIRST: usize = 1_000;
