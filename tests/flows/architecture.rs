//! The rules of the architecture that a machine can check.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources(of: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    rust_files(&root().join(of), &mut files);
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            (path.strip_prefix(root()).unwrap().display().to_string(), text)
        })
        .collect()
}

const SERVICES: [&str; 5] = ["accounts", "meetings", "summaries", "notifications", "search"];

#[test]
fn no_service_depends_on_another_and_the_bff_on_none() {
    for crate_dir in SERVICES.map(|s| format!("services/{s}")).iter().map(String::as_str).chain(["bff"]) {
        let manifest = std::fs::read_to_string(root().join(crate_dir).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        for service in SERVICES {
            let own = crate_dir.ends_with(service);
            assert!(
                own || !dependencies
                    .lines()
                    .any(|l| l.starts_with(&format!("{service}.")) || l.starts_with(&format!("{service} "))),
                "{crate_dir} depends on {service}"
            );
        }
    }
}

#[test]
fn sql_stands_in_stores_only() {
    for service in ["accounts", "meetings", "summaries", "notifications", "search"] {
        for (path, text) in sources(&format!("services/{service}/src")) {
            let store = path.contains("/store");
            assert!(store || !text.contains("sqlx::query"), "{path} queries");
        }
    }
    for (path, text) in sources("bff/src") {
        assert!(path.ends_with("session/postgres.rs") || !text.contains("sqlx::query"), "{path} queries");
    }
}

#[test]
fn only_config_reads_the_environment() {
    for dir in ["councilsense/src", "bff/src", "services", "lib"] {
        for (path, text) in sources(dir) {
            // The last two want the search paths of programs and libraries, which are no configuration of ours.
            let allowed = ["councilsense/src/config.rs", "lib/pg/src/find.rs", "lib/pg/src/place.rs"]
                .contains(&path.as_str())
                || path.starts_with("lib/testkit")
                || path.contains("/tests/")
                || path.contains("/examples/");
            assert!(allowed || !text.contains("env::var"), "{path} reads the environment");
        }
    }
}

#[test]
fn errors_are_mapped_without_a_catch_all() {
    for service in SERVICES {
        let path = root().join(format!("services/{service}/src/error.rs"));
        let text = std::fs::read_to_string(path).unwrap();
        let mapping = text.split("fn reason(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
        assert!(
            !mapping.lines().any(|l| l.trim_start().starts_with("_ =>")),
            "{service}: a catch-all arm hides a new error"
        );
    }
}

#[test]
fn the_checked_in_schema_is_the_code_s() {
    let committed = std::fs::read_to_string(root().join("schema.graphql")).unwrap();
    assert_eq!(committed, councilsense::schema_sdl(), "run `just gen`");
}

/// `docs/errors.md`, line by line.
fn errors_table() -> String {
    use cs_proto::errors::v1::Reason;
    let mut table = String::from(
        "# Errors\n\nEvery failure has one reason: `ErrorInfo.reason` in gRPC, `extensions.reason` in GraphQL. A test writes this table from the \
         code (`COUNCILSENSE_REGENERATE=1`).\n\n| reason | gRPC | GraphQL | retryable |\n|---|---|---|---|\n",
    );
    for number in 1..=64 {
        let Ok(reason) = Reason::try_from(number) else { continue };
        let retryable = if cs_rpc::is_retryable(reason) { "yes" } else { "no" };
        table += &format!(
            "| {} | {:?} | {} | {retryable} |\n",
            reason.as_str_name(),
            cs_rpc::code(reason),
            bff::error_code(reason)
        );
    }
    table
}

#[test]
fn the_table_of_errors_is_the_code_s() {
    let path = root().join("docs/errors.md");
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    if std::env::var("COUNCILSENSE_REGENERATE").is_ok() {
        std::fs::write(&path, errors_table()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), errors_table());
}

/// The parts of a text between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a source has a test of this name.
fn has_test(file: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    if file.extension().is_some_and(|extension| extension == "mjs") {
        // What is put into a name when it runs is left out in the tables.
        let begun = name.trim_end_matches('…').trim_end();
        let mut names =
            text.split("test(").skip(1).map(|rest| rest.trim_start().get(1..).unwrap_or_default());
        return names.any(|written| written.starts_with(begun));
    }
    let mut attributes = false;
    text.lines().map(str::trim).any(|line| {
        let found = attributes && line.contains(&format!("fn {name}("));
        attributes = line.starts_with("#[test]")
            || line.starts_with("#[tokio::test")
            || (attributes && line.starts_with("#["));
        found
    })
}

fn existing<const N: usize>(places: [String; N], what: &str) -> PathBuf {
    let found = places.iter().map(|place| root().join(place)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{what}: none of {places:?} is there"))
}

/// The last cell of each row of a document's tables: which tests show the requirement.
fn shown_by(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit());
    rows.map(|row| row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap().to_owned()).collect()
}

/// `module::test` in security.md: below `bff/src` or `bff/tests/it`. `module::` alone names all tests of a module.
#[test]
fn the_tests_that_show_how_sign_in_is_secured_exist() {
    let mut tests = 0;
    for cell in shown_by("docs/security.md") {
        for path in quoted(&cell) {
            let (package, path) = match path.strip_prefix("-p ").and_then(|rest| rest.split_once(' ')) {
                Some((package, path)) => (format!("services/{package}"), path),
                None => ("bff".to_owned(), path),
            };
            let (module, name) = path.rsplit_once("::").unwrap_or_else(|| panic!("{path} has no module"));
            let module = module.trim_end_matches("::tests").replace("::", "/");
            let file = existing(
                [
                    format!("{package}/tests/it/{module}.rs"),
                    format!("{package}/tests/it/{module}/mod.rs"),
                    format!("{package}/src/{module}.rs"),
                    format!("{package}/src/{module}/mod.rs"),
                ],
                path,
            );
            assert!(name.is_empty() || has_test(&file, name), "{path} is not in {}", file.display());
            tests += 1;
        }
    }
    assert!(tests > 40, "only {tests} were found");
}

/// `file` `test` in security-edge.md: the tests after a file's name are in it.
#[test]
fn the_tests_that_show_how_the_edge_is_secured_exist() {
    let mut tests = 0;
    for cell in shown_by("docs/security-edge.md") {
        let mut file = None;
        for word in quoted(&cell) {
            if [".rs", ".mjs"].iter().any(|extension| word.ends_with(extension)) {
                let place = match word.split_once('/') {
                    Some(("it", rest)) => format!("bff/tests/it/{rest}"),
                    Some(("edge", rest)) => format!("tests/edge/{rest}"),
                    Some(("browser", rest)) => format!("tests/browser/{rest}"),
                    Some(("tests" | "bench" | "scripts", _)) => word.to_owned(),
                    _ => format!("bff/src/{word}"),
                };
                file = Some(existing([place], word));
            } else if word.contains('/') && root().join(word).exists() {
                // A suite as a whole.
            } else {
                let file = file.as_deref().unwrap_or_else(|| panic!("{word} is in no file"));
                assert!(has_test(file, word), "{word} is not in {}", file.display());
                tests += 1;
            }
        }
    }
    assert!(tests > 30, "only {tests} were found");
}
