//! The commands.

mod bus;
mod dead_letters;
mod doctor;
mod embedder;
mod engine;
mod eval;
mod ingest;
mod local;
mod operate;
mod reindex;
mod restore;
mod role;
mod sessions;
mod token;
mod up;

use std::process::ExitCode;

pub use local::Local;
pub(crate) use operate::each_page;

use crate::config::{Cli, Command};
use crate::data_dir::DataDir;
use crate::wiring;

/// Runs a command.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let settings = cli.settings;
    settings.edge.install_policies()?;
    match cli.command {
        Command::Up { demo } => up::up(settings, demo).await?,
        Command::Bff => role::bff(settings).await?,
        Command::Accounts => role::service(settings, wiring::Role::Accounts).await?,
        Command::Meetings => role::service(settings, wiring::Role::Meetings).await?,
        Command::Summaries => role::service(settings, wiring::Role::Summaries).await?,
        Command::Notifications => role::service(settings, wiring::Role::Notifications).await?,
        Command::Search => role::service(settings, wiring::Role::Search).await?,
        Command::Indexer => role::service(settings, wiring::Role::Indexer).await?,
        Command::Migrate { print_sql } => {
            let dir = DataDir::open(&settings.data_dir)?;
            if print_sql {
                print!("{}", wiring::migration_sql(&dir.secrets()?.role_secret()?));
                return Ok(ExitCode::SUCCESS);
            }
            let database = settings.database_url.ok_or_else(|| {
                anyhow::anyhow!("say which database with --database-url (or DATABASE_URL); `councilsense up` migrates its own")
            })?;
            wiring::migrate(database.expose(), &dir.secrets()?.role_secret()?).await?;
            println!("the database is up to date");
        }
        Command::Token { role } => token::token(&settings, role)?,
        Command::Ingest { city, paths } => return ingest::ingest(settings, &city, &paths).await,
        Command::City { verb } => operate::city(settings, verb).await?,
        Command::Source { verb } => operate::source(settings, verb).await?,
        Command::Scan { city } => operate::scan(settings, city).await?,
        Command::Rerun { meeting } => operate::rerun(settings, meeting).await?,
        Command::Runs { meeting, state } => operate::runs(settings, meeting, state).await?,
        Command::Tenant { verb } => operate::tenant(settings, verb).await?,
        Command::Role { verb } => operate::role(settings, verb).await?,
        Command::Sessions { verb } => sessions::sessions(settings, verb).await?,
        Command::Bus { verb } => bus::bus(&settings, verb).await?,
        Command::Dlq { verb } => dead_letters::dead_letters(settings, verb).await?,
        Command::Reindex { to, rollback } => reindex::reindex(settings, to, rollback).await?,
        Command::Withdraw { meeting, reason } => operate::withdraw(settings, meeting, reason).await?,
        Command::Visibility { artifact, visibility } => {
            operate::visibility(settings, artifact, visibility).await?;
        }
        Command::Eval { what } => return eval::eval(&settings, what).await,
        Command::ExportSchema => print!("{}", bff::schema_sdl()),
        Command::Doctor => return doctor::doctor(&settings).await,
    }
    Ok(ExitCode::SUCCESS)
}
