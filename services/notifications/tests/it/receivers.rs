//! Receivers that others wrote: a mail server, a push service with its browser, a webhook. See `tests/tools/receivers`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub(crate) struct Receivers {
    pub(crate) smtp: u64,
    pub(crate) http: u64,
    pub(crate) p256dh: String,
    pub(crate) auth: String,
    lines: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
    _child: Child,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Receivers {
    /// Starts them. `None`: they are not installed here, which is told, and a failure under CI.
    pub(crate) async fn start() -> Option<Self> {
        // Beside the build's own files: target/debug/deps/it-…
        let exe = std::env::current_exe().unwrap();
        let python = exe.ancestors().nth(3).unwrap().join("receivers/bin/python");
        if !python.exists() {
            println!("not run: the receivers are not installed. Run tests/tools/receivers/install");
            #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "under CI the receivers must be installed");
            return None;
        }
        let mut child = Command::new(python)
            .arg(root().join("tests/tools/receivers/receive.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let input = child.stdin.take().unwrap();
        let mut receivers = Self {
            smtp: 0,
            http: 0,
            p256dh: String::new(),
            auth: String::new(),
            lines,
            input,
            _child: child,
        };
        let ready = receivers.next("ready").await;
        receivers.smtp = ready["smtp"].as_u64().unwrap();
        receivers.http = ready["http"].as_u64().unwrap();
        receivers.p256dh = ready["p256dh"].as_str().unwrap().to_owned();
        receivers.auth = ready["auth"].as_str().unwrap().to_owned();
        Some(receivers)
    }

    /// The next thing they got, which has to be a `kind`.
    pub(crate) async fn next(&mut self, kind: &str) -> Value {
        let mut got = self.line().await;
        got.remove(kind).unwrap_or_else(|| panic!("{kind}: {got:?}"))
    }

    /// Verifies webhooks with this secret from now on.
    pub(crate) async fn secret(&mut self, secret: &str) {
        assert_eq!(self.all(secret).await, []);
    }

    /// What they got since they were last asked, each with its kind. What a sender was answered for is there by then.
    pub(crate) async fn all(&mut self, secret: &str) -> Vec<(String, Value)> {
        let line = format!("{{\"secret\": {secret:?}}}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        loop {
            let (kind, value) = self.line().await.into_iter().next().unwrap();
            if kind == "secret" {
                return got;
            }
            got.push((kind, value));
        }
    }

    async fn line(&mut self) -> serde_json::Map<String, Value> {
        let line = tokio::time::timeout(Duration::from_secs(60), self.lines.next_line()).await;
        let line = line.expect("something is received in time").unwrap().expect("the receivers run");
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }
}
