//! An OpenSearch for tests: `OPENSEARCH_URL`, or one node that all test programs share.
//!
//! The shared node is left running, since it takes half a minute to start; `tests/tools/opensearch-up --stop --data
//! DIR` stops it, where DIR is [`data_dir`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use url::Url;

/// Where the shared node keeps its data: a path that any user can reach, since it does not run as root.
pub fn data_dir() -> PathBuf {
    std::env::temp_dir().join("councilsense-test-opensearch")
}

/// The node, started if need be; `None`, and said, where OpenSearch was not fetched. Under CI that is a failure.
pub fn node() -> Option<Url> {
    static NODE: OnceLock<Option<Url>> = OnceLock::new();
    NODE.get_or_init(find).clone()
}

#[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
fn find() -> Option<Url> {
    if let Ok(url) = std::env::var("OPENSEARCH_URL") {
        return Some(url.parse().expect("OPENSEARCH_URL is not an address"));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tools/opensearch-up");
    if !Command::new(&script).arg("--ready").status().is_ok_and(|status| status.success()) {
        let advice =
            "OpenSearch is not here: tests/tools/opensearch-up --fetch gets it (it needs Java 21 and Maven)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{advice}");
        println!("skipped: {advice}");
        return None;
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let started = Command::new(&script)
        .args(["--port", &free.port().to_string(), "--heap", "512m", "--data"])
        .arg(data_dir())
        .output()
        .expect("the script can be run");
    let said = String::from_utf8_lossy(&started.stdout);
    let url = said.split_whitespace().find_map(|word| word.strip_prefix("url="));
    let url = url.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&started.stderr)));
    Some(url.parse().expect("the script tells an address"))
}
