//! One role alone, for containers.

use std::sync::Arc;

use anyhow::Context;
use base64::Engine as _;
use cs_text::embed::Embedder;
use search::index::SearchIndex;
use tokio_util::sync::CancellationToken;

use super::embedder::{dimensions, embedder};
use super::local::{bind, thresholds};
use super::up::stop_signal;
use crate::config::{Redacted, SearchEngine, Settings};
use crate::data_dir::DataDir;
use crate::internal_key::internal_key;
use crate::wiring::{Parts, Role, Stack, system_clock};

/// Runs a service alone. The database is migrated by `councilsense migrate` before.
pub(crate) async fn service(settings: Settings, role: Role) -> anyhow::Result<()> {
    let dir = DataDir::open(&settings.data_dir)?;
    let grpc = bind(settings.grpc, "grpc").await?;
    let metrics_port = metrics_port(&settings).await?;
    let (index, embedder) = match role {
        Role::Indexer if settings.search_engine == SearchEngine::Embedded => anyhow::bail!(
            "the embedded engine is filled by the role that searches in it: run `councilsense search`, or choose --search-engine opensearch"
        ),
        Role::Search | Role::Indexer => engine(&settings, &dir).await?,
        _ => (None, None),
    };
    let stack = Stack::new(parts(&settings, &dir, vec![role], index, embedder)?).await?;
    if metrics_port.is_some() {
        serve_metrics(metrics_port, &metrics()?, &stack.tasks);
    }
    if !settings.no_workers {
        stack.subscribe().await?;
        stack.work();
    }
    if role == Role::Accounts {
        // The BFF asks for it when a host names no other.
        super::up::ensure_tenants(&stack, &["default"]).await?;
    }
    let (routes, stop) = (stack.routes()?, stack.tasks.stopping());
    let stopped = stop_signal()?;
    println!("{} on http://{}", role.name(), grpc.local_addr()?);
    if role == Role::Search {
        super::restore::keep_whole(&stack);
    }
    let serving = stack.tasks.spawn(cs_rpc::serve(cs_rpc::incoming(grpc), routes, stop));
    tokio::select! {
        () = stopped => {}
        result = serving => result?.context("the gRPC server failed")?,
    }
    stack.tasks.drain(std::time::Duration::from_secs(20)).await;
    Ok(())
}

/// Runs the BFF alone: the page and GraphQL for everybody, and an internal listener for operators.
pub(crate) async fn bff(settings: Settings) -> anyhow::Result<()> {
    let dir = DataDir::open(&settings.data_dir)?;
    let http = bind(settings.http, "http").await?;
    let grpc = bind(settings.grpc, "grpc").await?;
    let metrics_port = metrics_port(&settings).await?;
    let stack = Stack::new(parts(&settings, &dir, Vec::new(), None, None)?).await?;
    let public = settings.public_urls(&format!("http://{}", http.local_addr()?))?;
    let providers = providers(&settings)?;
    anyhow::ensure!(!providers.is_empty(), "say where people sign in with --oidc-issuer URL");
    let config = web(&settings, public, providers, &dir.secrets()?)?;
    let metrics = metrics()?;
    serve_metrics(metrics_port, &metrics, &stack.tasks);
    let redis = settings.redis_url.as_ref().map(Redacted::expose);
    let bff::Served { router, sessions } = bff::build(config, stack.bff_deps(metrics, redis)?).await?;
    let routes = stack.routes_with_bff(sessions).await?;
    let stopped = stop_signal()?;
    println!("bff on http://{}, for operators on http://{}", http.local_addr()?, grpc.local_addr()?);
    let stop = || stack.tasks.stopping();
    let internal = stack.tasks.spawn(cs_rpc::serve(cs_rpc::incoming(grpc), routes, stop()));
    let serving = stack.tasks.spawn(serve_web(http, router, stop()));
    tokio::select! {
        () = stopped => {}
        result = serving => result?.context("the web server failed")?,
        result = internal => result?.context("the gRPC server failed")?,
    }
    stack.tasks.drain(std::time::Duration::from_secs(20)).await;
    Ok(())
}

pub(crate) async fn metrics_port(settings: &Settings) -> anyhow::Result<Option<tokio::net::TcpListener>> {
    match settings.metrics {
        Some(address) => Ok(Some(bind(address, "metrics").await?)),
        None => Ok(None),
    }
}

/// Serves `/metrics` on a listener of its own, where there is one.
pub(crate) fn serve_metrics(
    listener: Option<tokio::net::TcpListener>,
    render: &bff::RenderMetrics,
    tasks: &cs_rpc::Tasks,
) {
    if let Some(listener) = listener {
        let (router, stop) = (bff::metrics_router(render.clone()), tasks.stopping());
        tasks.spawn(async move {
            if let Err(error) = serve_web(listener, router, stop).await {
                tracing::error!(%error, "the metrics' listener failed");
            }
        });
    }
}

/// Serves until `stop`; subscriptions stay open for as long as a page does, so they are given a moment and no more.
pub(crate) async fn serve_web(
    listener: tokio::net::TcpListener,
    router: axum::Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let gone = stop.clone();
    tokio::select! {
        result = bff::serve(listener, router, async move { stop.cancelled().await }) => result,
        () = async { gone.cancelled().await; tokio::time::sleep(cs_rpc::GRACE).await } => Ok(()),
    }
}

type Engine = (Option<Arc<dyn SearchIndex>>, Option<Arc<dyn Embedder>>);

async fn engine(settings: &Settings, dir: &DataDir) -> anyhow::Result<Engine> {
    let embedder = embedder(&settings.embedder, None)?;
    let dimensions = dimensions(embedder.as_deref());
    Ok((Some(super::engine::open(settings, dir, dimensions).await?.index), embedder))
}

fn parts(
    settings: &Settings,
    dir: &DataDir,
    roles: Vec<Role>,
    index: Option<Arc<dyn SearchIndex>>,
    embedder: Option<Arc<dyn Embedder>>,
) -> anyhow::Result<Parts> {
    let secrets = dir.secrets()?;
    Ok(Parts {
        roles,
        elsewhere: settings.services.iter().map(|s| (s.role.clone(), s.address.clone())).collect(),
        database: settings
            .database_url
            .as_ref()
            .map(|url| url.expose().clone())
            .context("say which database with --database-url (or DATABASE_URL)")?,
        role_secret: secrets.role_secret()?,
        key: internal_key(settings, dir)?,
        clock: system_clock(),
        sns: settings.sns(),
        artifacts: dir.path().join("artifacts"),
        extractor: meetings::Extractor::isolated(std::env::current_exe()?),
        max_artifact_bytes: settings.max_artifact_mb << 20,
        thresholds: thresholds(settings),
        index,
        embedder,
        notify: settings.notify(),
        // An OpenSearch is filled by `councilsense indexer`.
        search_indexes: settings.search_engine == SearchEngine::Embedded,
    })
}

/// The BFF at its addresses, the main one first.
pub(crate) fn web(
    settings: &Settings,
    public: Vec<url::Url>,
    providers: Vec<bff::ProviderConfig>,
    secrets: &crate::data_dir::Secrets,
) -> anyhow::Result<bff::Config> {
    let (mut keys, mut retired) = (Vec::new(), Vec::new());
    for listed in &settings.session_keys {
        match session_key(listed)? {
            Listed::Key(key) => keys.push(key),
            Listed::Retired(id) => retired.push(id),
        }
    }
    if keys.is_empty() {
        keys.push(secrets.session_key()?);
    }
    let main = public.first().context("there is no public address")?.clone();
    let mut config = bff::Config::new(main, providers, keys);
    config.origins = public;
    config.retired_session_keys = retired;
    config.edge = settings.edge.edge()?;
    Ok(config)
}

/// What stands in `--session-keys`.
enum Listed {
    Key(bff::SessionKey),
    /// The name of a key that is not used any more.
    Retired(String),
}

fn session_key(listed: &Redacted) -> anyhow::Result<Listed> {
    const ADVICE: &str = "a session key is ID=BASE64 of 32 bytes, such as `echo a=$(openssl rand -base64 32)` makes, or ID=retired";
    let (id, text) = listed.expose().split_once('=').context(ADVICE)?;
    let id = id.to_owned();
    if text == "retired" {
        return Ok(Listed::Retired(id));
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).context(ADVICE)?;
    let secret = bytes.try_into().map_err(|_| anyhow::anyhow!(ADVICE))?;
    Ok(Listed::Key(bff::SessionKey { id, secret }))
}

/// The configured OpenID providers: the command line's, then the file's.
pub(crate) fn providers(settings: &Settings) -> anyhow::Result<Vec<bff::ProviderConfig>> {
    let mut providers = Vec::new();
    if let Some(issuer) = settings.oidc_issuer.as_deref() {
        providers.push(provider(settings, issuer)?);
    }
    providers.extend(settings.providers.iter().cloned());
    Ok(providers)
}

fn provider(settings: &Settings, issuer: &str) -> anyhow::Result<bff::ProviderConfig> {
    let client = settings.oidc_client_id.as_deref().context("--oidc-issuer needs --oidc-client-id")?;
    let secret = settings.oidc_client_secret.as_ref().context("--oidc-issuer needs --oidc-client-secret")?;
    let mut provider = bff::ProviderConfig::new("default", issuer, client, secret.expose());
    provider.roles_claim = settings.oidc_roles_claim.clone();
    if provider.roles_claim.is_some() {
        provider.roles = crate::config::own_names();
    }
    Ok(provider)
}

/// The process's metrics as Prometheus text.
pub(crate) fn metrics() -> anyhow::Result<bff::RenderMetrics> {
    let handle = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()?;
    Ok(Arc::new(move || handle.render()))
}
