//! Makes the cluster, once.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::PgError;
use crate::find::Installation;
use crate::place::Place;

/// The superuser's name.
pub(crate) const SUPERUSER: &str = "councilsense";

/// A slow disk needs half a minute.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs initdb under another name and renames when it is complete, so that a cluster is whole or not there.
pub(crate) async fn init(place: &Place, installation: &Installation) -> Result<String, PgError> {
    let dir = place.server_dir();
    remove_unfinished(&dir);
    let password = place.new_password()?;
    let password_file = dir.join("password.new");
    place.hand_over(&password_file, &password)?;
    // An initdb whose starter was killed may still write to its own directory.
    let new = dir.join(format!("cluster.new-{}", std::process::id()));
    let mut made = run(place, installation, &new, &password_file, "C.UTF-8").await;
    if matches!(&made, Err(PgError::Init { output, .. }) if output.contains("locale")) {
        remove_unfinished(&dir);
        place.hand_over(&password_file, &password)?;
        // Sorting is by code point in both; only upper and lower case beyond ASCII differ.
        made = run(place, installation, &new, &password_file, "C").await;
    }
    fs::remove_file(&password_file).map_err(PgError::files(&password_file))?;
    if made.is_err() {
        remove_unfinished(&dir);
    }
    made?;
    fs::rename(&new, place.cluster())
        .and_then(|()| File::open(&dir)?.sync_all())
        .map_err(PgError::files(&dir))?;
    Ok(password)
}

async fn run(
    place: &Place,
    installation: &Installation,
    cluster: &Path,
    password_file: &Path,
    locale: &str,
) -> Result<(), PgError> {
    let program = installation.bin.join("initdb");
    let mut command = place.command(&program);
    command.arg("-D").arg(cluster).arg("--pwfile").arg(password_file);
    command.args(["-U", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale", locale]);
    let output = tokio::time::timeout(LIMIT, Command::from(command).kill_on_drop(true).output()).await;
    let failed = |output: String| PgError::Init { cluster: cluster.to_owned(), output };
    match output {
        Err(_) => Err(failed(format!("not ready after {} s", LIMIT.as_secs()))),
        Ok(Err(source)) => Err(PgError::Run { program, source }),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// What a killed initdb left.
fn remove_unfinished(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|e| e.file_name().to_string_lossy().contains(".new")) {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            tracing::warn!(%error, path = %path.display(), "an unfinished database was not removed");
        }
    }
}
