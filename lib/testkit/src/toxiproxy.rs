//! Faults on the way to a server by Shopify's toxiproxy: a program of its own between a client and the server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running toxiproxy. It ends with this value.
pub struct Toxiproxy {
    child: Child,
    port: u16,
}

impl Toxiproxy {
    /// `None`, with a note, where it is not installed; under CI that fails.
    pub fn start() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "a test's own switches")]
        let said = |name: &str| std::env::var(name).ok();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace");
        let program = said("COUNCILSENSE_TOXIPROXY")
            .map_or_else(|| root.join("target/tools/toxiproxy-server"), PathBuf::from);
        if !program.exists() {
            println!("no faults by toxiproxy here. To have them: tests/tools/toxiproxy");
            assert!(said("CI").is_none_or(|ci| ci != "true"), "toxiproxy is not installed: see .ci/run");
            return None;
        }
        let port = crate::free_port();
        let child = Command::new(program)
            .args(["-host", "127.0.0.1", "-port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("toxiproxy");
        let proxy = Self { child, port };
        for _ in 0..400 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(proxy);
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("toxiproxy did not come up on port {port}");
    }

    /// A way to a server on this machine; gives its port.
    pub fn to(&self, name: &str, upstream: u16) -> u16 {
        let listen = crate::free_port();
        let body = format!(
            r#"{{"name":"{name}","listen":"127.0.0.1:{listen}","upstream":"127.0.0.1:{upstream}","enabled":true}}"#
        );
        self.call("POST", "/proxies", &body);
        listen
    }

    /// Puts a fault onto a way: a type of toxiproxy's and its attributes as JSON.
    pub fn poison(&self, name: &str, kind: &str, attributes: &str) {
        let body = format!(r#"{{"name":"{kind}","type":"{kind}","attributes":{attributes}}}"#);
        self.call("POST", &format!("/proxies/{name}/toxics"), &body);
    }

    /// Takes it away.
    pub fn cure(&self, name: &str, kind: &str) {
        self.call("DELETE", &format!("/proxies/{name}/toxics/{kind}"), "");
    }

    /// Closes a way: its connections end and none is taken. Or opens it.
    pub fn open(&self, name: &str, open: bool) {
        self.call("POST", &format!("/proxies/{name}"), &format!(r#"{{"enabled":{open}}}"#));
    }

    fn call(&self, method: &str, path: &str, body: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("toxiproxy");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .expect("toxiproxy takes requests");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("toxiproxy answers");
        assert!(answer.starts_with("HTTP/1.1 2"), "{method} {path} {body}: {answer}");
    }
}

impl Drop for Toxiproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
