//! A BFF on a port, with everything it needs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bff::{Channels, Config, Deps, ProviderConfig, SessionKey};
use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{Clock, Ids, SystemClock, TenantId};
use cs_proto::accounts::v1 as accounts;
use cs_proto::bff::v1::sessions_server::SessionsServer;
use cs_rpc::{Channel, Guard, InMemory, Outbound, SigningKey, Tasks};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tonic::service::{InterceptorLayer, Routes};
use tower::Layer;
use url::Url;

use crate::fakes::Fakes;

static IDP_KEY: LazyLock<cs_devidp::SigningKey> =
    LazyLock::new(|| cs_devidp::SigningKey::generate().expect("a key"));
static MIGRATED: OnceCell<Url> = OnceCell::const_new();

/// Where people reach a BFF that stands behind TLS.
pub(crate) const PUBLIC: &str = "https://council.example";

/// The machine's clock, moved.
#[derive(Default)]
pub(crate) struct MovedClock(Mutex<TimeDelta>);

impl MovedClock {
    pub(crate) fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for MovedClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + *self.0.lock().unwrap()
    }
}

pub(crate) struct Stack {
    pub(crate) origin: String,
    pub(crate) fakes: Fakes,
    pub(crate) clock: Arc<MovedClock>,
    pub(crate) tasks: Tasks,
    pub(crate) tenant: TenantId,
    pub(crate) user: cs_core::UserId,
    pub(crate) pool: PgPool,
    /// Ends the provider.
    pub(crate) idp: tokio::task::JoinHandle<()>,
    pub(crate) idp_address: SocketAddr,
    /// Signs for callers of the internal listener.
    pub(crate) key: SigningKey,
    sessions: bff::SessionsService,
    said: Said,
}

/// Roles that providers said last, by issuer and subject.
type Said = Arc<Mutex<HashMap<(String, String), Vec<String>>>>;

/// A pool of the app role, in a database of this run.
async fn pool() -> PgPool {
    let url = MIGRATED
        .get_or_init(|| async {
            let url = cs_testkit::postgres::database("bff");
            migrate(&url).await;
            url
        })
        .await;
    app_pool(url, Duration::from_secs(20))
}

async fn migrate(url: &Url) {
    let spec = cs_db::SchemaSpec { name: "sessions", migrators: &[&bff::MIGRATOR] };
    cs_db::migrate(url, cs_testkit::postgres::ROLE_SECRET, &[spec]).await.expect("migrated");
}

/// The same on a server of the test's own.
pub(crate) async fn session_pool(url: &Url, patience: Duration) -> PgPool {
    migrate(url).await;
    app_pool(url, patience)
}

fn app_pool(url: &Url, patience: Duration) -> PgPool {
    let options = url
        .as_str()
        .parse::<sqlx::postgres::PgConnectOptions>()
        .unwrap()
        .username("sessions_app")
        .password(&cs_db::role_password(cs_testkit::postgres::ROLE_SECRET, "sessions_app"));
    sqlx::postgres::PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(patience)
        .connect_lazy_with(options)
}

impl Stack {
    /// `None`, with a note, where there is no database.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Option<Self> {
        Self::build(None, change).await
    }

    /// Over a store of the test's; sessions of several stacks over one are each other's.
    pub(crate) async fn build(
        sessions: Option<bff::Store>,
        change: impl FnOnce(&mut Config),
    ) -> Option<Self> {
        let pool = pool().await;
        let clock = Arc::new(MovedClock::default());
        let (listener, idp_listener) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let idp_address = idp_listener.local_addr().unwrap();
        let issuer = format!("http://{idp_address}");

        let idp_config = cs_devidp::Config {
            issuer: Url::parse(&issuer).unwrap(),
            client_id: "councilsense".into(),
            client_secret: "secret of the client".into(),
            redirect_uris: vec![format!("{origin}/auth/callback"), format!("{PUBLIC}/auth/callback")],
            post_logout_redirect_uris: vec![format!("{origin}/")],
            key: IDP_KEY.clone(),
            people: cs_devidp::people(),
            clock: clock.clone(),
        };
        let idp = tokio::spawn(async move {
            cs_devidp::serve(idp_listener, idp_config).await.unwrap();
        });

        let key = SigningKey::generate().unwrap();
        let fakes = Fakes::new(&key);
        let ids = Ids::new(clock.clone());
        let (tenant, user) = (TenantId::of_slug("default"), ids.next::<cs_core::UserId>());
        let said = Said::default();
        accounts(&fakes, tenant, user, &said);

        let provider = ProviderConfig::development(&issuer, "councilsense", "secret of the client");
        let keys = vec![SessionKey { id: "1".into(), secret: [7; 32] }];
        let mut config = Config::new(Url::parse(&origin).unwrap(), vec![provider], keys);
        config.development = true;
        config.metrics_here = true;
        change(&mut config);
        let tasks = Tasks::default();
        let deps = Deps {
            channels: Channels {
                accounts: fakes.channel("accounts"),
                meetings: fakes.channel("meetings"),
                summaries: fakes.channel("summaries"),
                notifications: fakes.channel("notifications"),
                search: fakes.channel("search"),
            },
            outbound: Outbound::new("bff", key.clone(), Arc::new(SystemClock)),
            sessions: sessions.unwrap_or_else(|| bff::Store::Postgres(pool.clone())),
            clock: clock.clone(),
            ids,
            tasks: tasks.clone(),
            metrics: Arc::new(|| "# metrics\n".to_owned()),
        };
        let bff::Served { router, sessions } = bff::build(config, deps).await.unwrap();
        let stopping = tasks.stopping();
        tokio::spawn(bff::serve(listener, router, stopping.cancelled_owned()));
        Some(Self { origin, fakes, clock, tasks, tenant, user, pool, idp, idp_address, key, sessions, said })
    }
}

impl Stack {
    /// Replicas have one accounts service behind them.
    pub(crate) fn knows_people_of(&self, other: &Self) {
        accounts(&self.fakes, other.tenant, other.user, &other.said);
    }

    /// A channel to what an internal listener serves.
    pub(crate) fn internal(&self) -> Channel {
        let guard = InterceptorLayer::new(Guard::new(self.key.verifier(cs_rpc::BFF)));
        let routes = Routes::new(guard.layer(SessionsServer::new(self.sessions.clone())));
        let (memory, stop) = (InMemory::default(), self.tasks.stopping());
        let channel = memory.channel();
        self.tasks.spawn(cs_rpc::serve(memory.incoming(), routes, stop));
        channel
    }

    /// A token of the provider for the resident, as a phone has it. Its key is the only one, so it needs no name.
    pub(crate) fn token(&self, typ: &str, scope: &str) -> String {
        let now = self.clock.now().timestamp();
        let header = serde_json::json!({"alg": "RS256", "typ": typ});
        let claims = serde_json::json!({
            "iss": format!("http://{}", self.idp_address), "sub": "resident", "aud": self.origin, "exp": now + 300,
            "iat": now, "client_id": "phone", "jti": "1", "scope": format!("openid {scope}"), "tenant": "default",
            "roles": ["resident"],
        });
        IDP_KEY.sign_as(&header, &claims)
    }
}

fn accounts(fakes: &Fakes, tenant: TenantId, user: cs_core::UserId, said: &Said) {
    let named = move |id: String| accounts::User {
        id,
        display_name: "Rosa Resident".into(),
        email: "resident@example.test".into(),
        roles: vec!["resident".into()],
        ..accounts::User::default()
    };
    fakes.answer("accounts.Accounts/ResolveTenant", move |_, request: accounts::ResolveTenantRequest| {
        match request.by {
            Some(accounts::resolve_tenant_request::By::Slug(slug)) if slug == "default" => {
                let tenant = accounts::Tenant { id: tenant.to_string(), slug, name: "Default".into() };
                Ok(accounts::ResolveTenantResponse { tenant: Some(tenant) })
            }
            _ => Err(cs_rpc::status(cs_proto::errors::v1::Reason::NotFound, "no such tenant", &[])),
        }
    });
    let heard = said.clone();
    fakes.answer("accounts.Accounts/ResolveIdentity", move |_, request: accounts::ResolveIdentityRequest| {
        let mut found = named(user.to_string());
        heard.lock().unwrap().insert((request.issuer, request.subject), request.roles.clone());
        found.roles = request.roles;
        Ok(accounts::ResolveIdentityResponse { user: Some(found), created: false })
    });
    let said = said.clone();
    fakes.answer(
        "accounts.Accounts/LookUpIdentity",
        move |caller, request: accounts::LookUpIdentityRequest| {
            assert!(caller.is_service());
            let mut found = named(user.to_string());
            if let Some(roles) = said.lock().unwrap().get(&(request.issuer, request.subject)) {
                found.roles = roles.clone();
            }
            Ok(accounts::LookUpIdentityResponse { user: Some(found) })
        },
    );
    fakes.answer("accounts.Accounts/GetViewer", move |caller, _: accounts::GetViewerRequest| {
        let id = caller.user().map(|id| id.to_string()).unwrap_or_default();
        Ok(accounts::GetViewerResponse { user: Some(named(id)) })
    });
}
