//! What a process that serves people is given besides.

use cs_db::DbOptions;
use cs_proto::bff::v1::sessions_server::SessionsServer;
use cs_rpc::Guard;
use tonic::server::NamedService;
use tonic::service::{InterceptorLayer, Routes};
use tower::Layer;

use super::{CONNECTIONS, Role, Stack};

impl Stack {
    /// The same with the BFF's own service, for the internal listener of a process that has one.
    pub async fn routes_with_bff(&self, sessions: bff::SessionsService) -> anyhow::Result<Routes> {
        cs_rpc::set_health(&self.health, cs_rpc::BFF, true).await;
        let guard = InterceptorLayer::new(Guard::new(self.key.verifier(cs_rpc::BFF)));
        let routes = self.routes.clone().add_service(guard.layer(SessionsServer::new(sessions)));
        let ours = <SessionsServer<bff::SessionsService> as NamedService>::NAME;
        Ok(cs_rpc::reflection(routes, &[self.services.as_slice(), &[ours]].concat())?)
    }

    /// What the BFF is given.
    pub fn bff_deps(&self, metrics: bff::RenderMetrics, redis: Option<&str>) -> anyhow::Result<bff::Deps> {
        let sessions = DbOptions {
            url: self.database.clone(),
            schema: "sessions".to_owned(),
            role_secret: self.role_secret.clone(),
            max_connections: CONNECTIONS,
        };
        Ok(bff::Deps {
            channels: bff::Channels {
                accounts: self.channel(Role::Accounts)?,
                meetings: self.channel(Role::Meetings)?,
                summaries: self.channel(Role::Summaries)?,
                notifications: self.channel(Role::Notifications)?,
                search: self.channel(Role::Search)?,
            },
            outbound: self.outbound("bff"),
            sessions: match redis {
                Some(url) => bff::Store::Redis { url: url.to_owned(), prefix: "councilsense:".to_owned() },
                None => bff::Store::Postgres(sessions.pool("app", CONNECTIONS)?),
            },
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            tasks: self.tasks.clone(),
            metrics,
        })
    }
}
