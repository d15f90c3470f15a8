//! Logs: for people on a terminal, one JSON object a line elsewhere.

mod lines;

use std::io::IsTerminal;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogFormat, Settings};

pub use lines::JsonLines;

/// What a library says of each statement or frame is for whoever asks for it by name.
const QUIET: &str = "sqlx=warn,h2=warn,hyper=warn,tantivy=warn,tower=warn";

/// The filter of `wanted`. What it says of a library counts, since the last word does.
pub(crate) fn filter(wanted: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{QUIET},{wanted}"))
}

/// Sets up logging for the process, to standard error. Who runs a command wants its answer; who runs a role, its log.
pub(crate) fn init(settings: &Settings, serves: bool) {
    let usual = if serves { "info" } else { "warn" };
    // It was looked at with the other options.
    let filter = filter(settings.log.as_deref().unwrap_or(usual)).unwrap_or_else(|_| EnvFilter::new(usual));
    let human = match settings.log_format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    if human {
        registry.with(fmt::layer().compact().with_target(false).with_writer(std::io::stderr)).init();
    } else {
        registry.with(JsonLines::new(std::io::stderr)).init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_by_name_is_heard() {
        let shown = filter("info,sqlx=debug").unwrap().to_string();
        assert!(shown.contains("sqlx=debug") && !shown.contains("sqlx=warn"), "{shown}");
        assert!(shown.contains("h2=warn") && shown.contains("info"), "{shown}");
        assert!(filter("councilsense=loud").is_err());
    }
}
