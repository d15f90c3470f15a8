//! `councilsense bus`: topic, queues, filters and redrive.

use anyhow::Context;
use cs_db::{Db, DbOptions};
use cs_events::bus::Names;
use cs_events::{Bus, BusError, PostgresBus, SnsBus};
use serde_json::json;

use super::operate::print;
use crate::config::{BusVerb, Settings};
use crate::data_dir::DataDir;
use crate::wiring::{QUEUES, system_clock};

pub(crate) async fn bus(settings: &Settings, verb: BusVerb) -> anyhow::Result<()> {
    let BusVerb::Ensure { print: only_print, prune } = verb;
    if only_print {
        print!("{}", Names::new(&settings.bus_prefix).terraform(&QUEUES));
        return Ok(());
    }
    let Some(options) = settings.sns() else { return embedded(settings, prune).await };
    let dir = DataDir::open(&settings.data_dir)?;
    // Queues need no database: pools connect when they are first used.
    let url = match &settings.database_url {
        Some(url) => url.expose().clone(),
        None => "postgres://127.0.0.1/none".parse()?,
    };
    let bus = SnsBus::connect(options, db(&dir, url)?, system_clock()).await;
    let mut rows = Vec::new();
    for (queue, types) in QUEUES {
        let ensured =
            if prune { bus.ensure(queue, types).await } else { bus.ensure_also(queue, types).await };
        let ensured = match ensured {
            // What somebody else made may be right.
            Err(denied @ BusError::Denied { .. }) => {
                let verified = bus.verify(queue, types).await;
                verified.map_err(|wrong| anyhow::Error::from(denied).context(wrong))
            }
            ensured => ensured.map_err(Into::into),
        };
        let report = match ensured {
            Ok(report) => report,
            Err(error) => {
                print!("{}", bus.names().terraform(&QUEUES));
                let name = bus.names().queue(queue);
                return Err(error.context(format!(
                    "the queue {name} cannot be made, and is not as it has to be; what somebody else has to make was printed"
                )));
            }
        };
        let line = format!("{:<32} {:<16} {}", report.name, report.outcome, types.join(", "));
        rows.push((line, json!({ "queue": report.name, "dead_letters": report.dead_letters, "outcome": report.outcome, "types": types })));
    }
    print(settings, rows)
}

/// The embedded bus makes its queues when their consumers start; here it is done before.
async fn embedded(settings: &Settings, prune: bool) -> anyhow::Result<()> {
    let url = settings.database_url.as_ref().context(
        "the embedded bus of `councilsense up` needs nothing; of another database say which with --database-url",
    )?;
    let dir = DataDir::open(&settings.data_dir)?;
    let bus = PostgresBus::new(db(&dir, url.expose().clone())?, system_clock());
    let mut rows = Vec::new();
    for (queue, types) in QUEUES {
        if prune {
            bus.subscribe(queue, types).await?;
        } else {
            bus.want(queue, types).await?;
        }
        rows.push((format!("{queue:<16} {}", types.join(", ")), json!({ "queue": queue, "types": types })));
    }
    print(settings, rows)
}

fn db(dir: &DataDir, url: url::Url) -> anyhow::Result<Db> {
    let role_secret = dir.secrets()?.role_secret()?;
    Ok(Db::new(&DbOptions { url, schema: "bus".to_owned(), role_secret, max_connections: 2 })?)
}
