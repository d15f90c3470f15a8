//! The real program, as an operator starts it.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) fn councilsense(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_councilsense"));
    command.args(arguments).args(["--log", "warn", "--data-dir"]).arg(data);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a command answers in JSON.
pub(crate) fn answer(data: &Path, arguments: &[&str]) -> Value {
    let output = councilsense(data, arguments).arg("--json").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {errors}"))
}

/// A folder that the database's own user can reach.
pub(crate) fn scratch() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    dir
}

/// A running instance, stopped as an operator stops it. What it says at the end has somewhere to go until then.
pub(crate) struct Up(pub(crate) Child, Lines<BufReader<ChildStdout>>);

impl Up {
    /// Starts it, and gives what it says until it can be used.
    pub(crate) fn start(data: &Path) -> (Self, String) {
        let here = "127.0.0.1:0";
        let arguments = ["up", "--demo", "false", "--http", here, "--grpc", here, "--idp", here];
        let mut child = councilsense(data, &arguments).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut up = Self(child, lines);
        let mut said = String::new();
        while !said.contains("\nOpen ") {
            let line = up.1.next().unwrap_or_else(|| panic!("it ended: {said}")).unwrap();
            said.push_str(&line);
            said.push('\n');
        }
        (up, said)
    }

    pub(crate) fn stop(mut self) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        assert!(self.1.by_ref().all(|line| line.is_ok()), "it says that it stops");
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already gone where the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
