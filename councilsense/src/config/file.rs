//! Every option as a variable and as a key of the file of `--config`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{bad, environment, providers};

/// Changes every option of a command and of what is below it.
pub(super) fn each_option(
    command: clap::Command,
    change: &mut dyn FnMut(clap::Arg) -> clap::Arg,
) -> clap::Command {
    let command = command.mut_args(|arg| if arg.get_long().is_some() { change(arg) } else { arg });
    let below: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    below
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |sub| each_option(sub, change)))
}

/// Every option is also an environment variable. Those that everybody knows by another name, such as `DATABASE_URL`, keep
/// that one, unless their own is set.
pub(super) fn with_variable(arg: clap::Arg) -> clap::Arg {
    let name = format!("COUNCILSENSE_{}", arg.get_id().as_str().to_uppercase());
    let known = arg.get_env().is_some() && environment(&name).is_none();
    if known || ["help", "version", "config"].contains(&arg.get_id().as_str()) {
        return arg;
    }
    arg.env(name)
}

/// The file of `--config`, before everything else is parsed.
pub(super) fn config_file(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = arg.to_str().and_then(|a| a.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    environment("COUNCILSENSE_CONFIG").map(PathBuf::from)
}

/// The file's values become the defaults, so that the command line and the environment win.
pub(super) fn with_file(
    command: clap::Command,
    path: &std::path::Path,
) -> Result<(clap::Command, Vec<bff::ProviderConfig>), clap::Error> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| bad(format!("--config {shown}: {e}")))?;
    let mut table: toml::Table = text.parse().map_err(|e| bad(format!("--config {shown}: {e}")))?;
    let providers = table.remove("oidc-provider").map_or(Ok(Vec::new()), |tables| {
        providers::read(tables, environment).map_err(|e| bad(format!("--config {shown}: {e}")))
    })?;
    let mut values = std::collections::BTreeMap::new();
    for (key, value) in table {
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => value.to_string(),
            _ => {
                return Err(bad(format!(
                    "--config {shown}: {key} must be a text, a number or true or false"
                )));
            }
        };
        values.insert(key.replace('-', "_"), text);
    }
    let mut unknown: Vec<String> = values.keys().cloned().collect();
    let command = each_option(command, &mut |arg| {
        let id = arg.get_id().to_string();
        unknown.retain(|key| *key != id);
        match values.get(&id) {
            Some(value) if !matches!(arg.get_action(), clap::ArgAction::SetTrue) => {
                // Not in --help: some of them are secrets.
                arg.required(false).default_value(value.clone()).hide_default_value(true)
            }
            Some(value) => arg.default_value(if value == "true" { "true" } else { "false" }),
            None => arg,
        }
    });
    match unknown.first() {
        Some(key) => {
            Err(bad(format!("--config {shown}: there is no option {key}; `councilsense --help` lists them")))
        }
        None => Ok((command, providers)),
    }
}
