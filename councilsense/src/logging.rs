//! Logs: for people on a terminal, one JSON object a line elsewhere.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogFormat, Settings};

/// Sets up logging for the process, to standard error. Who runs a command wants its answer; who runs a role, its log.
pub(crate) fn init(settings: &Settings, serves: bool) {
    let usual = if serves { "info" } else { "warn" };
    let wanted = settings.log.as_deref().unwrap_or(usual);
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new(usual));
    // What a library says of each statement or frame is for whoever asks for it by name.
    let filter = ["sqlx=warn", "h2=warn", "hyper=warn", "tantivy=warn", "tower=warn"]
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let human = match settings.log_format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    if human {
        registry.with(fmt::layer().compact().with_target(false).with_writer(std::io::stderr)).init();
    } else {
        let json = json_subscriber::layer()
            .with_writer(std::io::stderr)
            .flatten_event(true)
            .flatten_span_list_on_top_level(true);
        registry.with(json).init();
    }
}
