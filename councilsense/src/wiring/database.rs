//! The schemas, roles and queues that every instance has in its database.

use anyhow::Context;
use cs_db::{Db, DbOptions, SchemaSpec};
use cs_events::{Bus, PostgresBus};

use super::system_clock;

/// Every schema and what is in it.
static SCHEMAS: [SchemaSpec<'static>; 6] = [
    SchemaSpec { name: "bus", migrators: &[&cs_events::BUS_MIGRATOR] },
    SchemaSpec { name: "sessions", migrators: &[&bff::MIGRATOR] },
    SchemaSpec { name: accounts::SCHEMA, migrators: &[&cs_events::SERVICE_MIGRATOR, &accounts::MIGRATOR] },
    SchemaSpec { name: meetings::SCHEMA, migrators: &[&cs_events::SERVICE_MIGRATOR, &meetings::MIGRATOR] },
    SchemaSpec { name: summaries::SCHEMA, migrators: &[&cs_events::SERVICE_MIGRATOR, &summaries::MIGRATOR] },
    SchemaSpec {
        name: notifications::SCHEMA,
        migrators: &[&cs_events::SERVICE_MIGRATOR, &notifications::MIGRATOR],
    },
];

/// Every queue and what it gets.
pub const QUEUES: [(&str, &[&str]); 4] = [
    (meetings::QUEUE, meetings::EVENTS),
    (summaries::QUEUE, summaries::EVENTS),
    (notifications::QUEUE, notifications::EVENTS),
    (search::QUEUE, search::EVENTS),
];

/// Brings the database up to date. Every queue of the embedded bus is there before any role publishes: what is told while
/// a role has never run waits for it. What a newer version asked for stays: during an upgrade the older one's `migrate` may
/// run again.
pub async fn migrate(database: &url::Url, role_secret: &[u8]) -> anyhow::Result<()> {
    cs_db::migrate(database, role_secret, &SCHEMAS).await?;
    let db = Db::new(&DbOptions {
        url: database.clone(),
        schema: "bus".to_owned(),
        role_secret: role_secret.to_vec(),
        max_connections: 1,
    })?;
    let bus = PostgresBus::new(db, system_clock());
    for (queue, types) in QUEUES {
        bus.want(queue, types).await?;
    }
    Ok(())
}

/// Whether roles of an instance are connected to a database.
pub async fn in_use(database: &url::Url) -> anyhow::Result<bool> {
    cs_db::roles_connected(database, &SCHEMAS.each_ref().map(|schema| schema.name))
        .await
        .context("the database cannot be asked")
}

/// The same as SQL, for a DBA.
pub fn migration_sql(role_secret: &[u8]) -> String {
    let mut sql = cs_db::print_sql(role_secret, &SCHEMAS);
    sql += "\n-- What each queue of the embedded bus gets, at least.\n";
    for (queue, types) in QUEUES {
        let types: Vec<String> = types.iter().map(|kind| format!("'{kind}'")).collect();
        sql += &format!("SELECT bus.bus_want('{queue}', ARRAY[{}]);\n", types.join(", "));
    }
    sql
}
