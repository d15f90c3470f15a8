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
    let Some(option) = arg.get_long() else { return arg };
    let name = format!("COUNCILSENSE_{}", option.replace('-', "_").to_uppercase());
    let known = arg.get_env().is_some() && environment(&name).is_none();
    if known || ["help", "version", "config"].contains(&option) {
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
    let mut table: toml::Table =
        text.parse().map_err(|e| bad(format!("--config {shown}, {}", toml_error(&text, &e))))?;
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
        values.insert(key.replace('_', "-"), text);
    }
    let mut unknown: Vec<String> = values.keys().cloned().collect();
    let mut neither = None;
    let command = each_option(command, &mut |arg| {
        let option = arg.get_long().unwrap_or_default().to_owned();
        unknown.retain(|key| *key != option);
        match values.get(&option) {
            Some(value) if !matches!(arg.get_action(), clap::ArgAction::SetTrue) => {
                // Not in --help: some of them are secrets.
                arg.required(false).default_value(value.clone()).hide_default_value(true)
            }
            Some(value) => {
                if !["true", "false"].contains(&value.as_str()) {
                    neither = Some(option);
                }
                arg.default_value(value.clone())
            }
            None => arg,
        }
    });
    if let Some(option) = neither {
        return Err(bad(format!("--config {shown}: {option} must be true or false")));
    }
    match unknown.first() {
        Some(key) => {
            Err(bad(format!("--config {shown}: there is no option {key}; `councilsense --help` lists them")))
        }
        None => Ok((command, providers)),
    }
}

/// What is wrong with a TOML text, and where. The library's own words show the line too, and with it what is secret there.
pub(crate) fn toml_error(text: &str, error: &toml::de::Error) -> String {
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return error.message().to_owned();
    };
    let (lines, last) = (before.matches('\n').count(), before.rsplit('\n').next().unwrap_or_default());
    format!("line {}, column {}: {}", lines + 1, last.chars().count() + 1, error.message())
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse_with;

    #[test]
    fn a_switch_is_true_or_false() {
        let only = |text: &str| {
            let cli = parse_with(&format!("trusted-documents-only = {text}"), "bff");
            cli.map(|cli| cli.settings.edge.trusted_documents_only).map_err(|e| e.to_string())
        };
        assert_eq!((only("true"), only("\"true\""), only("false")), (Ok(true), Ok(true), Ok(false)));
        for neither in ["\"yes\"", "1", "\"\"", "\"True\""] {
            let told = only(neither).unwrap_err();
            assert!(told.contains("trusted-documents-only must be true or false"), "{told}");
        }
    }

    #[test]
    fn a_mistake_is_named_and_what_is_secret_around_it_is_not() {
        for text in [
            "tenant = \"a\"\nembedder-key = \"canary",
            "tenant = \"a\"\nembedder-key = canary",
            "tenant = \"a\"\nembedder-key \"canary\"",
            "tenant = \"a\"\nembedder-key = \"a\" canary",
        ] {
            let told = parse_with(text, "up").unwrap_err().to_string();
            assert!(told.contains("line 2, column ") && !told.contains("canary"), "{told}");
        }
        let provider = "[[oidc-provider]]\nid = 'a'\nissuer = 'https://a.example'\nclient-id = 'c'\nclient-secret = 4711";
        let told = parse_with(provider, "up").unwrap_err().to_string();
        assert!(told.contains("client-secret") && !told.contains("4711"), "{told}");
        assert!(parse_with("htttp = \"x\"", "up").unwrap_err().to_string().contains("htttp"));
        assert!(
            parse_with("embedder-key = [\"canary\"]", "up").is_err_and(|e| !e.to_string().contains("canary"))
        );
    }
}
