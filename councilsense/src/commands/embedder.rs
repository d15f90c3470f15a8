//! The configured embedder.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cs_core::TenantId;
use cs_text::embed::{Embedder, MiniLm};
use search::embedder::{Allowance, OpenAi, OpenAiOptions};

use crate::config::{EmbedderKind, EmbedderSettings};
use crate::wiring::system_clock;

/// The length of an embedder's vectors; where there is none, that of the built-in model, for when there will be one.
pub(crate) fn dimensions(embedder: Option<&dyn Embedder>) -> usize {
    embedder.map_or(cs_text::embed::DIMENSIONS, Embedder::dimensions)
}

/// Makes the embedder, or none where search is by words alone. Reading the built-in model takes a moment: call it where
/// blocking is allowed. `threads`: how many the built-in model may use for batches; `None` leaves one core to queries.
pub(crate) fn embedder(
    settings: &EmbedderSettings,
    threads: Option<usize>,
) -> anyhow::Result<Option<Arc<dyn Embedder>>> {
    match settings.embedder {
        EmbedderKind::None => Ok(None),
        EmbedderKind::Builtin => {
            let model = threads.map_or_else(MiniLm::load, MiniLm::load_with_bulk_threads)?;
            Ok(Some(Arc::new(model)))
        }
        EmbedderKind::Openai => {
            let tenants = &settings.embedder_tenants;
            let allowance = Allowance::new(
                system_clock(),
                (!tenants.is_empty()).then(|| tenants.iter().map(|slug| TenantId::of_slug(slug)).collect()),
                settings.embedder_tokens_a_day,
            );
            let options = OpenAiOptions {
                url: settings
                    .embedder_url
                    .as_ref()
                    .map(|url| url.expose().clone())
                    .context("--embedder openai needs --embedder-url")?,
                key: settings.embedder_key.as_ref().map(|key| key.expose().to_owned()),
                model: settings.embedder_model.clone().context("--embedder openai needs --embedder-model")?,
                dimensions: settings
                    .embedder_dimensions
                    .context("--embedder openai needs --embedder-dimensions")?,
                timeout: Duration::from_secs(settings.embedder_timeout.max(1)),
                private: settings.embedder_private,
                price: settings.embedder_price,
            };
            Ok(Some(Arc::new(OpenAi::new(options, allowance)?)))
        }
    }
}
