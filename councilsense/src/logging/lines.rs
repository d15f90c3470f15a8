//! One JSON object a line. A name stands in it once: what an event says of itself counts, else what the innermost span says.
//!
//! The layers there are write a name of both twice, and milliseconds as text: who reads such lines strictly reads neither.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Writes what is logged as lines of JSON.
#[derive(Debug)]
pub struct JsonLines<W>(W);

impl<W> JsonLines<W> {
    /// To `writer`, a line in one call.
    pub fn new(writer: W) -> Self {
        Self(writer)
    }
}

/// What a span or an event says: numbers as numbers, yes and no as such, all else as text.
#[derive(Clone, Debug, Default)]
struct Said(BTreeMap<&'static str, Value>);

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), value.into());
    }

    /// Milliseconds of a [`std::time::Duration`], for one: what does not fit would be read wrongly by most who read JSON.
    fn record_u128(&mut self, field: &Field, value: u128) {
        self.record_u64(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").into());
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut said = Said::default();
        attributes.record(&mut said);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(said);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(said) = span.extensions_mut().get_mut::<Said>()
        {
            values.record(said);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Said::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            line.0.insert("span", span.name().into());
            if let Some(said) = span.extensions().get::<Said>() {
                line.0.extend(said.0.clone());
            }
        }
        event.record(&mut line);
        let mut time = String::new();
        if SystemTime.format_time(&mut Writer::new(&mut time)).is_ok() {
            line.0.insert("timestamp", time.into());
        }
        line.0.insert("level", event.metadata().level().as_str().into());
        line.0.insert("target", event.metadata().target().into());
        if let Ok(mut bytes) = serde_json::to_vec(&line.0) {
            bytes.push(b'\n');
            // A log that nobody takes is no reason to stop.
            let _ = self.0.make_writer_for(event.metadata()).write_all(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_name_stands_once_and_numbers_are_numbers() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let outer = tracing::info_span!("http", request_id = "r", meeting_id = tracing::field::Empty);
            let _in = outer.enter();
            let inner = tracing::info_span!("work", request_id = "s", queue = None::<&str>);
            let _in_too = inner.enter();
            outer.record("meeting_id", "m");
            let time = std::time::Duration::from_millis(1_500);
            tracing::info!(duration_ms = time.as_millis(), ecr = 0.5, changed = true, said = %"a \"word\"", "done");
            tracing::warn!(meeting_id = "another", "once more");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (first, second) = (&read[0], &read[1]);
        assert_eq!(first["duration_ms"], 1_500);
        assert_eq!((&first["ecr"], &first["changed"]), (&0.5.into(), &true.into()));
        assert_eq!(first["said"], "a \"word\"");
        assert_eq!((first["request_id"].as_str(), first["span"].as_str()), (Some("s"), Some("work")));
        assert_eq!((first["meeting_id"].as_str(), first["message"].as_str()), (Some("m"), Some("done")));
        assert!(first["timestamp"].as_str().unwrap().starts_with("20") && first.get("queue").is_none());
        assert_eq!(
            (second["meeting_id"].as_str(), second["level"].as_str()),
            (Some("another"), Some("WARN"))
        );
        assert_eq!(text.matches("\"meeting_id\"").count(), 2, "{text}");
    }
}
