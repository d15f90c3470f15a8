//! `councilsense up`: everything in one process.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use cs_proto::accounts::v1::EnsureTenantRequest;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use search::reindex::Restored;
use tokio::net::TcpListener;

use super::local::{self, Local, bind, told};
use super::restore::{keep_whole, restored};
use crate::config::Settings;
use crate::data_dir::{DataDir, Instance};
use crate::demo;
use crate::wiring::{Role, Stack};

/// The client id at the development identity provider.
pub(crate) const DEVELOPMENT_CLIENT: &str = "councilsense";

pub(crate) async fn up(settings: Settings, demo: Option<bool>) -> anyhow::Result<()> {
    let began = Instant::now();
    let ready = |part: &str| {
        println!("{:>6} ms  {part}", began.elapsed().as_millis());
        let _ = std::io::stdout().flush();
    };
    let dir = DataDir::open(&settings.data_dir)?;
    // Asked here only to say so plainly; it is taken where everything starts.
    drop(dir.lock()?);
    // Ports next: a port in use is found before anything is started.
    let http = bind(settings.http, "http").await?;
    let grpc = bind(settings.grpc, "grpc").await?;
    let configured = super::role::providers(&settings)?;
    let idp = if configured.is_empty() { Some(bind(settings.idp, "idp").await?) } else { None };
    let metrics = super::role::metrics_port(&settings).await?;

    let local = local::start(&settings, &dir, ready).await?;
    let ports = Ports { http, grpc, idp, metrics };
    // However it ends, what was started is stopped.
    let served = serve(&settings, &dir, &local, ports, configured, demo, ready).await;
    println!("stopping: finishing what is in flight");
    dir.retract();
    let stopped = local.stop().await;
    served.and(stopped)
}

/// What is listened on.
struct Ports {
    http: TcpListener,
    grpc: TcpListener,
    /// Only where no provider is configured.
    idp: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

/// Serves on top of the services until a signal comes.
async fn serve(
    settings: &Settings,
    dir: &DataDir,
    local: &Local,
    ports: Ports,
    configured: Vec<bff::ProviderConfig>,
    demo: Option<bool>,
    ready: impl Fn(&str),
) -> anyhow::Result<()> {
    let Ports { http, grpc, idp, metrics: metrics_port } = ports;
    let tasks = local.stack.tasks.clone();
    let address = format!("http://{}", http.local_addr()?);
    let public = settings.public_urls(&address)?;
    let main = public.first().map_or_else(String::new, ToString::to_string);

    let development = idp.is_some();
    let providers = match idp {
        Some(listener) => {
            let issuer: url::Url = format!("http://{}", listener.local_addr()?).parse()?;
            let config = cs_devidp::Config {
                issuer: issuer.clone(),
                client_id: DEVELOPMENT_CLIENT.to_owned(),
                client_secret: local.secrets.development_client_secret.clone(),
                redirect_uris: public
                    .iter()
                    .map(|url| Ok(url.join("/auth/callback")?.to_string()))
                    .collect::<Result<_, url::ParseError>>()?,
                post_logout_redirect_uris: public.iter().map(ToString::to_string).collect(),
                key: cs_devidp::SigningKey::from_pem(&local.secrets.development_idp_key)?,
                people: cs_devidp::people(),
                clock: crate::wiring::system_clock(),
            };
            let stop = tasks.stopping();
            tasks.spawn(async move {
                tokio::select! {
                    result = cs_devidp::serve(listener, config) => {
                        if let Err(error) = result {
                            tracing::error!(%error, "the development identity provider failed");
                        }
                    }
                    () = stop.cancelled() => {}
                }
            });
            ready("development identity provider");
            let issuer = issuer.as_str().trim_end_matches('/').to_owned();
            vec![bff::ProviderConfig::development(
                &issuer,
                DEVELOPMENT_CLIENT,
                &local.secrets.development_client_secret,
            )]
        }
        None => configured,
    };

    local.stack.work();
    // The second tenant is for the development provider's person of another tenant.
    let tenants: &[&str] = if development { &["default", "tenant-b"] } else { &["default"] };
    ensure_tenants(&local.stack, tenants).await?;
    ready("accounts, meetings, summaries, notifications, search, with their workers and the scheduler");

    let mut config = super::role::web(settings, public, providers, &local.secrets)?;
    config.development = development;
    config.metrics_here = development && metrics_port.is_none();
    let metrics = super::role::metrics()?;
    super::role::serve_metrics(metrics_port, &metrics, &tasks);
    let redis = settings.redis_url.as_ref().map(crate::config::Redacted::expose);
    let bff::Served { router, sessions } = bff::build(config, local.stack.bff_deps(metrics, redis)?).await?;

    let (routes, stop) = (local.stack.routes_with_bff(sessions).await?, tasks.stopping());
    let grpc_address = format!("http://{}", grpc.local_addr()?);
    tasks.spawn(async move {
        if let Err(error) = cs_rpc::serve(cs_rpc::incoming(grpc), routes, stop).await {
            tracing::error!(%error, "the gRPC server failed");
        }
    });
    ready(&format!("grpc on {grpc_address}"));

    let stop = tasks.stopping();
    let serving = tasks.spawn(super::role::serve_web(http, router, stop));
    dir.announce(&Instance { pid: std::process::id(), grpc: grpc_address, http: address })?;
    ready("web page and GraphQL");

    // Before anything new comes in: an index of nothing would look used then.
    if local.lacking {
        if let Restored::Built { .. } = restored(&local.stack)?.await? {
            ready("search index built anew: the old one was damaged, or gone");
        }
    } else {
        keep_whole(&local.stack);
    }
    // New is a directory that `up` has not been through with: a first start that failed half way still brings the city,
    // and one where somebody's own city is does not.
    if demo.unwrap_or(!dir.is_begun() && demo::nothing_there(local).await?) {
        demo::load(local, dir).await.context("the bundled city could not be loaded")?;
        ready("bundled city New Orleans");
    } else {
        demo::resume(local, dir).await?;
    }
    dir.begun()?;
    let stopped = stop_signal()?;
    println!("\nOpen {main} in a browser. Ctrl-C stops everything.");

    tokio::select! {
        () = stopped => {}
        result = serving => result?.context("the web server failed")?,
    }
    Ok(())
}

/// Ctrl-C or SIGTERM, listened for from now on: who is told that everything is ready may say stop at once.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Makes the tenants that are always there.
pub(crate) async fn ensure_tenants(stack: &Stack, slugs: &[&str]) -> anyhow::Result<()> {
    let outbound = stack.outbound("accounts");
    let mut accounts = AccountsClient::new(stack.channel(Role::Accounts)?);
    for slug in slugs {
        let caller =
            cs_core::Caller::service("accounts", cs_core::TenantId::of_slug(slug), cs_core::Trace::start());
        let message =
            EnsureTenantRequest { slug: (*slug).to_owned(), name: String::new(), hosts: Vec::new() };
        let request = outbound.request(&caller, message, Duration::from_secs(10))?;
        accounts.ensure_tenant(request).await.map_err(told)?;
    }
    Ok(())
}
