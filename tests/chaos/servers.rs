//! What serves gRPC: the program itself, a process a role. They are killed as the machine that they run on would, with nothing
//! closed and nothing written, and started again as whatever looks after containers does.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use councilsense::wiring::Role;

use crate::world::Recipe;

pub(crate) struct Servers {
    data: PathBuf,
    arguments: Vec<String>,
    database: String,
    all: Mutex<Vec<Server>>,
}

struct Server {
    role: Role,
    port: u16,
    /// With the time from which on it may be started again.
    running: Result<Child, Instant>,
}

impl Servers {
    /// Starts them, each on its port, over the ways of `recipe`.
    pub(crate) fn start(recipe: &Recipe, ports: &[(Role, u16)]) -> Self {
        let services: Vec<String> =
            recipe.elsewhere.iter().map(|(name, at)| format!("{name}={at}")).collect();
        let services = services.join(",");
        let words =
            ["--log", "warn", "--embedder", "none", "--allow-loopback-receivers", "--services", &services];
        let mut arguments: Vec<String> = words.map(str::to_owned).into();
        if let Some(sns) = &recipe.sns {
            let at = sns.endpoint.as_ref().unwrap().to_string();
            let words = ["--bus", "sns", "--bus-prefix", &sns.prefix, "--aws-endpoint-url", &at];
            arguments.extend(words.map(str::to_owned));
        }
        let all =
            ports.iter().map(|&(role, port)| Server { role, port, running: Err(Instant::now()) }).collect();
        let (data, database) = (recipe.data.clone(), recipe.database.to_string());
        let servers = Self { data, arguments, database, all: Mutex::new(all) };
        servers.keep();
        servers
    }

    /// Starts those that are not there, whatever they died of.
    pub(crate) fn keep(&self) {
        for server in self.all().iter_mut() {
            if let Ok(child) = &mut server.running
                && child.try_wait().unwrap().is_some()
            {
                server.running = Err(Instant::now());
            }
            if server.running.as_ref().is_err_and(|from| *from <= Instant::now()) {
                server.running = Ok(self.run(server.role, server.port));
            }
        }
    }

    /// Kills one of them (SIGKILL), which is not started again for a while.
    pub(crate) fn kill(&self, which: usize, away: Duration) {
        let mut all = self.all();
        let server = &mut all[which];
        end(server);
        server.running = Err(Instant::now() + away);
    }

    /// What a role's processes said of what went wrong.
    pub(crate) fn said(&self, role: Role) -> String {
        std::fs::read_to_string(log(&self.data, role)).unwrap()
    }

    fn run(&self, role: Role, port: u16) -> Child {
        let log = File::options().create(true).append(true).open(log(&self.data, role)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_councilsense"));
        command.arg(role.name()).args(&self.arguments).arg("--data-dir").arg(&self.data);
        command.args(["--grpc", &format!("127.0.0.1:{port}")]).env("DATABASE_URL", &self.database);
        // The others' workers are killed elsewhere; these two work where they serve.
        if !matches!(role, Role::Accounts | Role::Search) {
            command.arg("--no-workers");
        }
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Server>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.all().iter_mut().for_each(end);
    }
}

fn end(server: &mut Server) {
    if let Ok(child) = &mut server.running {
        // It may have ended by itself; a dead one that is not waited for keeps its number.
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn log(data: &Path, role: Role) -> PathBuf {
    data.join(format!("{}.log", role.name()))
}
