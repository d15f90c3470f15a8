//! The configured embedder.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cs_core::TenantId;
use cs_text::embed::{Embedder, MiniLm};
use search::embedder::{Allowance, OpenAi, OpenAiOptions};

use crate::config::{EmbedderKind, EmbedderSettings};
use crate::wiring::system_clock;

/// Makes the embedder, or none where search is by words alone. Reading the built-in model takes a moment: call it where
/// blocking is allowed.
pub(crate) fn embedder(settings: &EmbedderSettings) -> anyhow::Result<Option<Arc<dyn Embedder>>> {
    match settings.embedder {
        EmbedderKind::None => Ok(None),
        EmbedderKind::Builtin => Ok(Some(Arc::new(MiniLm::load()?))),
        EmbedderKind::Openai => {
            let tenants = &settings.embedder_tenants;
            let allowance = Allowance::new(
                system_clock(),
                (!tenants.is_empty()).then(|| tenants.iter().map(|slug| TenantId::of_slug(slug)).collect()),
                settings.embedder_tokens_a_day,
            );
            let options = OpenAiOptions {
                url: settings.embedder_url.clone().context("--embedder openai needs --embedder-url")?,
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
