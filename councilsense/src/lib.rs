//! Wires every role: all of them in one process (`councilsense up`), or one a container.
//!
//! Start with [`wiring`], where every role stands on one screen; [`config`] is the only place that reads configuration.

pub mod commands;
pub mod config;
pub mod data_dir;
pub mod demo;
pub mod desk;
pub mod internal_key;
pub mod logging;
pub mod wiring;

use std::process::ExitCode;

/// Runs the command line. 0: done, 1: it failed, 2: bad usage.
pub fn main() -> ExitCode {
    let cli = match config::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures; clap's own exit code says so.
            let code = if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            let _ = error.print();
            return code;
        }
    };
    logging::init(&cli.settings, cli.command.serves());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("councilsense: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("councilsense: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The GraphQL schema, as `schema.graphql` has it.
pub fn schema_sdl() -> String {
    bff::schema_sdl()
}
