//! `councilsense doctor`: checks the machine and the configuration, and says what to do. It makes and changes nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::local::bind;
use crate::config::Settings;
use crate::data_dir::DataDir;

/// With less free space a start, or the next documents, fail half way.
const SPACE_MB: u64 = 1024;

/// What was looked at, and what was found or is to be done.
type Finding = (String, Result<String, String>);

pub(crate) async fn doctor(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for (what, result) in findings(settings).await? {
        match result {
            Ok(told) => println!("ok    {what}: {told}"),
            Err(advice) => {
                failed = true;
                println!("FAIL  {what}: {advice}");
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn findings(settings: &Settings) -> anyhow::Result<Vec<Finding>> {
    let mut found: Vec<Finding> = Vec::new();
    let mut check = |what: &str, result: anyhow::Result<String>| {
        found.push((what.to_owned(), result.map_err(|error| format!("{error:#}"))));
    };
    let path = &settings.data_dir;
    let mut runs = false;
    if path.exists() {
        match DataDir::existing(path) {
            Ok(dir) => {
                check("data directory", Ok(dir.path().display().to_string()));
                check("secrets", secrets(&dir));
                let free = dir.is_free();
                runs = free.is_err();
                check("instance", Ok(free.map_or_else(|e| e.to_string(), |()| "none runs on it".to_owned())));
            }
            Err(error) => check("data directory", Err(error)),
        }
    } else {
        check(
            "data directory",
            Ok(format!("{} is not there yet: `councilsense up` makes it", path.display())),
        );
    }
    if let Some(key) = crate::internal_key::configured(settings).transpose() {
        check("internal key", key.map(|_| "as --internal-key-file has it".to_owned()).map_err(Into::into));
    }
    check("disk space", space(path));
    check("postgres", postgres(settings).await);
    if !runs {
        let idp = super::role::providers(settings).is_ok_and(|p| p.is_empty()).then_some(settings.idp);
        let ports = [
            (Some(settings.http), "http"),
            (Some(settings.grpc), "grpc"),
            (idp, "idp"),
            (settings.metrics, "metrics"),
        ];
        for (address, option) in ports {
            if let Some(address) = address {
                let bound = bind(address, option).await;
                check(&format!("--{option}"), bound.map(|_| format!("{address} is free")));
            }
        }
    }
    let embedded = tokio::task::spawn_blocking(cs_text::embed::MiniLm::load).await?;
    check("embedding model", embedded.map(|_| cs_text::embed::MODEL_VERSION.to_owned()).map_err(Into::into));
    Ok(found)
}

/// Whether the secrets are whole, and their owner's alone.
fn secrets(dir: &DataDir) -> anyhow::Result<String> {
    let path = dir.path().join("secrets.toml");
    if !path.exists() {
        return Ok("none yet: the first start makes them".to_owned());
    }
    dir.secrets()?;
    for path in [path, dir.path().join("postgres/password")] {
        // The database's own may be another's, or not there at all.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let mode = metadata.permissions().mode() & 0o777;
        anyhow::ensure!(
            mode & 0o077 == 0,
            "others on this machine may read {} (mode {mode:o}): chmod 600 it, and if they may have, delete the data \
             directory's secrets.toml to make new ones (everybody is signed out)",
            path.display()
        );
    }
    Ok("readable, for their owner only".to_owned())
}

/// Free space where the data directory is, or will be.
fn space(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(&path);
    let disk = rustix::fs::statvfs(there).with_context(|| format!("{} cannot be asked", there.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
    anyhow::ensure!(
        free >= SPACE_MB,
        "{free} MB are free at {}: free at least {SPACE_MB} MB, or choose another directory with --data-dir",
        there.display()
    );
    Ok(format!("{free} MB are free at {}", there.display()))
}

/// Whether the database answers, or where there is none of the operator's, whether one can be started.
async fn postgres(settings: &Settings) -> anyhow::Result<String> {
    if let Some(url) = &settings.database_url {
        let url = url.expose();
        cs_db::migrate(url, b"", &[]).await?;
        return Ok(format!("{} answers", url.host_str().unwrap_or("it")));
    }
    match cs_pg::installed(&settings.data_dir).await {
        Ok((programs, major)) => Ok(format!("PostgreSQL {major} in {}", programs.display())),
        Err(cs_pg::PgError::NotFound { found, .. })
            if found == "none" && cfg!(feature = "fetch-postgres") =>
        {
            Ok("none is installed: `councilsense up` downloads one".to_owned())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn settings(dir: &Path) -> Settings {
        let line = format!(
            "councilsense doctor --http 127.0.0.1:0 --grpc 127.0.0.1:0 --idp 127.0.0.1:0 --data-dir {}",
            dir.display()
        );
        crate::config::parse(line.split(' ').map(OsString::from)).unwrap().settings
    }

    #[tokio::test]
    async fn without_a_data_directory_the_machine_is_looked_at() {
        let dir = std::env::temp_dir().join(format!("councilsense-doctor-{}/none", std::process::id()));
        let mut settings = settings(&dir);
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        settings.http = taken.local_addr().unwrap();
        let found = findings(&settings).await.unwrap();
        assert!(!dir.exists(), "nothing is made");
        for what in ["data directory", "disk space", "postgres", "--grpc", "--idp", "embedding model"] {
            assert!(found.iter().any(|(name, _)| name == what), "{what} was not looked at");
        }
        let (_, http) = found.iter().find(|(name, _)| name == "--http").unwrap();
        assert!(http.as_ref().unwrap_err().contains("another program"));
    }

    #[tokio::test]
    async fn a_data_directory_is_looked_at_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let instance = async || {
            let found = findings(&settings(dir.path())).await.unwrap();
            found.into_iter().find(|(name, _)| name == "instance").unwrap().1.unwrap()
        };
        assert_eq!(instance().await, "none runs on it");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "something was made");
        let running = DataDir::open(dir.path()).unwrap();
        let _lock = running.lock().unwrap();
        assert!(instance().await.contains("in use"));
    }

    #[tokio::test]
    async fn secrets_that_others_may_read_are_found() {
        let path = std::env::temp_dir().join(format!("councilsense-doctor-modes-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let dir = DataDir::open(&path).unwrap();
        assert!(secrets(&dir).unwrap().starts_with("none yet"));
        dir.secrets().unwrap();
        assert!(secrets(&dir).is_ok());
        let file = path.join("secrets.toml");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let told = secrets(&dir).unwrap_err().to_string();
        std::fs::remove_dir_all(&path).unwrap();
        assert!(told.contains("chmod 600") && told.contains("644"), "{told}");
    }
}
