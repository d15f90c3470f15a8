//! `councilsense doctor`: checks the machine and the configuration, and says what to do.

use std::process::ExitCode;

use crate::config::Settings;
use crate::data_dir::DataDir;

pub(crate) async fn doctor(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    let mut check = |what: &str, result: Result<String, String>| match result {
        Ok(told) => println!("ok    {what}: {told}"),
        Err(advice) => {
            failed = true;
            println!("FAIL  {what}: {advice}");
        }
    };
    if !settings.data_dir.exists() {
        check(
            "data directory",
            Ok(format!("{} is not there yet: `councilsense up` makes it", settings.data_dir.display())),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let dir = DataDir::open(&settings.data_dir);
    check(
        "data directory",
        dir.as_ref().map(|d| d.path().display().to_string()).map_err(|e| format!("{e:#}")),
    );
    if let Ok(dir) = &dir {
        check(
            "secrets",
            dir.secrets().map(|_| "readable, for their owner only".to_owned()).map_err(|e| format!("{e:#}")),
        );
        match dir.lock() {
            Ok(_) => {
                check("instance", Ok("none runs on this data directory".to_owned()));
                for (address, option) in
                    [(settings.http, "http"), (settings.grpc, "grpc"), (settings.idp, "idp")]
                {
                    let bound = super::local::bind(address, option).await;
                    check(
                        &format!("--{option}"),
                        bound.map(|_| format!("{address} is free")).map_err(|e| format!("{e:#}")),
                    );
                }
            }
            Err(error) => check("instance", Ok(format!("{error}"))),
        }
    }
    if let Some(url) = &settings.database_url {
        let host = url.host_str().unwrap_or("?");
        let reached = cs_db::migrate(url, b"", &[]).await;
        check("database", reached.map(|()| format!("{host} answers")).map_err(|e| e.to_string()));
    }
    let embedded = tokio::task::spawn_blocking(cs_text::embed::MiniLm::load).await?;
    check(
        "embedding model",
        embedded.map(|_| cs_text::embed::MODEL_VERSION.to_owned()).map_err(|e| e.to_string()),
    );
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
