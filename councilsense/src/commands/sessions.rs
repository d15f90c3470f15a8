//! `councilsense sessions`: where people are signed in, and the end of it.

use std::sync::Arc;
use std::time::Duration;

use cs_proto::bff::v1 as pb;
use cs_proto::bff::v1::sessions_client::SessionsClient;
use cs_rpc::{Channel, InMemory};
use serde_json::json;

use super::local::{Local, Services, told};
use super::operate::print;
use crate::config::{Redacted, SessionsVerb, Settings};

/// Ending also asks the identity provider to take its tokens back.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn sessions(settings: Settings, verb: SessionsVerb) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
        let channel = match services.local() {
            Some(local) => bff_here(&settings, local).await?,
            None => services.elsewhere(cs_rpc::BFF)?,
        };
        let mut client = SessionsClient::new(channel);
        let outbound = services.outbound.to(cs_rpc::BFF);
        let rows = match verb {
            SessionsVerb::List { user } => {
                let message = pb::ListSessionsRequest { user_id: user };
                let request = outbound.request(&services.caller, message, DEADLINE)?;
                let found = client.list_sessions(request).await.map_err(told)?.into_inner().sessions;
                found.into_iter().map(row).collect()
            }
            SessionsVerb::End { user } => {
                let message = pb::EndSessionsRequest { user_id: user };
                let request = outbound.request(&services.caller, message, DEADLINE)?;
                let ids = client.end_sessions(request).await.map_err(told)?.into_inner().ids;
                ids.into_iter().map(|id| (format!("{id} ended"), json!({ "id": id }))).collect()
            }
        };
        print(&settings, rows)
    })
    .await
}

fn row(s: pb::Session) -> (String, serde_json::Value) {
    let line = format!("{}  last seen {}  {}  {}", s.id, s.last_seen_at, s.provider, s.user_agent);
    let value = json!({ "id": s.id, "provider": s.provider, "created_at": s.created_at,
        "last_seen_at": s.last_seen_at, "ends_at": s.ends_at, "user_agent": s.user_agent });
    (line.trim_end().to_owned(), value)
}

/// The BFF of an instance that runs as long as the command: it has the sessions, and no page.
async fn bff_here(settings: &Settings, local: &Local) -> anyhow::Result<Channel> {
    let public = settings.public_urls(&format!("http://{}", settings.http))?;
    let mut providers = super::role::providers(settings)?;
    if providers.is_empty() {
        let issuer = format!("http://{}", settings.idp);
        let secret = &local.secrets.development_client_secret;
        providers.push(bff::ProviderConfig::development(&issuer, super::up::DEVELOPMENT_CLIENT, secret));
    }
    let config = super::role::web(settings, public, providers, &local.secrets)?;
    let redis = settings.redis_url.as_ref().map(Redacted::expose);
    let deps = local.stack.bff_deps(Arc::new(String::new), redis)?;
    let bff::Served { sessions, .. } = bff::build(config, deps).await?;
    let routes = local.stack.routes_with_bff(sessions).await?;
    let (memory, stop) = (InMemory::default(), local.stack.tasks.stopping());
    let channel = memory.channel();
    local.stack.tasks.spawn(cs_rpc::serve(memory.incoming(), routes, stop));
    Ok(channel)
}
