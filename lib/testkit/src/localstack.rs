//! SNS and SQS that run here: LocalStack in a virtual environment, by `tests/tools/sqs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::OnceCell;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace").to_owned()
}

/// Its address; started once a test program and left to the machine's end of the program (its watcher stops it).
/// `None`, with a word how to install it, where it is not there; a failure under CI.
#[expect(clippy::disallowed_methods, reason = "a test's own switches")]
pub async fn endpoint() -> Option<url::Url> {
    static RUNNING: OnceCell<Option<url::Url>> = OnceCell::const_new();
    let start = || async {
        if let Ok(url) = std::env::var("COUNCILSENSE_TEST_AWS_ENDPOINT_URL") {
            return Some(url.parse().expect("COUNCILSENSE_TEST_AWS_ENDPOINT_URL is not an address"));
        }
        let venv = std::env::var("COUNCILSENSE_LOCALSTACK_VENV")
            .map_or_else(|_| root().join("target/localstack-venv"), PathBuf::from);
        if !venv.join("bin/python").exists() {
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "LocalStack is not installed: see .ci/run");
            println!(
                "skipped: no SNS and SQS here. python3 -m venv target/localstack-venv && \
                 target/localstack-venv/bin/pip install -r tests/tools/sqs/localstack-constraints-py311.txt"
            );
            return None;
        }
        let port = crate::free_port();
        let state = std::env::temp_dir().join(format!("councilsense-localstack-{}", std::process::id()));
        let script = root().join("tests/tools/sqs/localstack_up.sh");
        let started = Command::new("bash")
            .arg(script)
            .arg(&venv)
            .arg(port.to_string())
            .arg(&state)
            .output()
            .expect("bash");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let pid = String::from_utf8_lossy(&started.stdout).trim().to_owned();
        // Ends with this program, however it ends.
        let watching = Command::new("bash")
            .arg("-c")
            .arg("while kill -0 \"$1\" 2>/dev/null; do sleep 1; done; kill \"$2\"; rm -rf \"$3\"")
            .args(["watch", &std::process::id().to_string(), &pid])
            .arg(&state)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        // It outlives this program: nobody waits for it.
        std::mem::forget(watching.expect("bash"));
        Some(format!("http://127.0.0.1:{port}").parse().expect("an address"))
    };
    RUNNING.get_or_init(start).await.clone()
}

/// The credentials that LocalStack takes; the SDK reads them from the environment.
#[expect(unsafe_code, reason = "set before any other thread reads the environment")]
pub fn credentials() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for (name, value) in
            [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")]
        {
            // SAFETY: nothing in this test program reads these names before.
            unsafe { std::env::set_var(name, value) };
        }
    });
}
