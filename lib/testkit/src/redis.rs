//! A Redis of a test's own, from `redis-server` of the machine.

use std::process::{Child, Command, Stdio};

/// A server on a port of its own, in a directory of its own. It keeps what it was told over a kill.
pub struct Redis {
    child: Option<Child>,
    port: u16,
    dir: tempfile::TempDir,
}

impl Redis {
    /// `None`, with a note, where Redis is not installed; under CI that fails.
    pub fn start() -> Option<Self> {
        let there = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if there.is_err() {
            println!("skipped: apt-get install -y --no-install-recommends redis-server");
            #[expect(clippy::disallowed_methods, reason = "CI says so in the environment")]
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "under CI every test runs: redis-server is not installed");
            return None;
        }
        let mut redis =
            Self { child: None, port: crate::free_port(), dir: tempfile::tempdir().expect("a directory") };
        redis.run();
        Some(redis)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Starts it, again on the same port and the same data.
    pub fn run(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning", "--dir"])
            .arg(self.dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server");
        self.child = Some(child);
        for _ in 0..400 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("Redis did not come up on port {}", self.port);
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Everything it holds, as one text: what a thief of the store would read.
    pub fn dump(&self) -> Vec<u8> {
        let dir = self.dir.path().join("appendonlydir");
        let mut all = Vec::new();
        for entry in std::fs::read_dir(dir).expect("its files") {
            all.extend(std::fs::read(entry.expect("a file").path()).expect("a file"));
        }
        all
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
