//! `councilsense token`: a short-lived operator's token for grpcurl.

use chrono::TimeDelta;
use cs_core::{Caller, Role};

use super::local::operator;
use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::internal_key::configured;
use crate::wiring::system_clock;

/// Long enough for a few commands by hand.
const LIFE: TimeDelta = TimeDelta::minutes(15);

pub(crate) fn token(settings: &Settings, role: Role) -> anyhow::Result<()> {
    let key = match configured(settings)? {
        Some(key) => key,
        None => {
            anyhow::ensure!(
                settings.data_dir.join("secrets.toml").exists(),
                "{} holds no secrets: say with --data-dir which directory the instance runs on, or with \
                 --internal-key-file which key it signs with",
                settings.data_dir.display()
            );
            DataDir::open(&settings.data_dir)?.secrets()?.internal_key()?
        }
    };
    let caller = Caller { roles: [role].into(), ..operator(settings) };
    let now = system_clock().now();
    let audience: Vec<&str> = cs_rpc::SERVICES.into_iter().chain([cs_rpc::BFF]).collect();
    println!("{}", key.sign("cli", &audience, &caller, now, LIFE)?);
    Ok(())
}
