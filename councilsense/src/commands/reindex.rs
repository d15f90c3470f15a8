//! `councilsense reindex`: the next version of the index, built while the one before serves.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use cs_core::{Caller, TenantId, Trace};
use cs_proto::accounts::v1::ListTenantsRequest;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use cs_rpc::{Channel, Outbound};
use cs_text::embed::Embedder;
use search::index::SearchIndex;
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::opensearch::OpenSearchIndex;
use search::rank::RankParams;
use search::reindex::{Progress, build, catch_up, confirm};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::embedder::{dimensions, embedder};
use super::engine::{self, Versions};
use super::local::{Services, told};
use super::operate::print;
use crate::config::{SearchEngine, Settings};
use crate::data_dir::DataDir;
use crate::wiring::{Role, system_clock};

/// Longest a service may take for one meeting's texts.
const DEADLINE: Duration = Duration::from_secs(60);
/// A text version travels whole.
const LARGEST_MESSAGE: usize = 64 << 20;
/// Passes over what changed meanwhile before the switch; what comes after the last is taken behind it.
const PASSES: usize = 2;
const STATE: &str = "reindex.json";

/// A build that was begun, so that it goes on where it stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Begun {
    engine: String,
    version: u32,
    since: DateTime<Utc>,
}

impl Begun {
    fn read(data: &Path, engine: SearchEngine) -> Option<Self> {
        let bytes = std::fs::read(data.join(STATE)).ok()?;
        serde_json::from_slice::<Self>(&bytes).ok().filter(|begun| begun.engine == engine.as_str())
    }

    fn write(&self, data: &Path) -> anyhow::Result<()> {
        let new = data.join("reindex.json.new");
        std::fs::write(&new, serde_json::to_vec(self)?)?;
        Ok(std::fs::rename(new, data.join(STATE))?)
    }

    fn end(data: &Path) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(data.join(STATE))?)
    }
}

pub(crate) async fn reindex(
    settings: Settings,
    to: Option<SearchEngine>,
    rollback: bool,
) -> anyhow::Result<()> {
    let engine = to.unwrap_or(settings.search_engine);
    let dir = DataDir::open(&settings.data_dir)?;
    match (engine, rollback) {
        (SearchEngine::Embedded, true) => embedded_back(&settings, &dir),
        (SearchEngine::Embedded, false) => embedded(&settings, &dir).await,
        (SearchEngine::Opensearch, true) => opensearch_back(&settings).await,
        (SearchEngine::Opensearch, false) => opensearch(&settings, &dir).await,
    }
}

/// Search's own caller in every tenant.
pub(crate) async fn tenants(accounts: Channel, outbound: &Outbound) -> anyhow::Result<Vec<Caller>> {
    let caller = Caller::service(search::NAME, TenantId::of_slug("default"), Trace::start());
    let request = outbound.request(&caller, ListTenantsRequest {}, DEADLINE)?;
    let listed = AccountsClient::new(accounts).list_tenants(request).await.map_err(told)?.into_inner();
    listed
        .tenants
        .into_iter()
        .map(|tenant| Ok(Caller { tenant: tenant.id.parse()?, ..caller.clone() }))
        .collect()
}

/// What the build is given: every core embeds, nobody waits for a query meanwhile.
async fn deps(
    services: &Services,
    index: Arc<dyn SearchIndex>,
    embedder: Option<Arc<dyn Embedder>>,
    outbound: Outbound,
) -> anyhow::Result<search::Deps> {
    Ok(search::Deps {
        index,
        embedder,
        meetings: MeetingsClient::new(services.channel(Role::Meetings)?)
            .max_decoding_message_size(LARGEST_MESSAGE),
        summaries: SummariesClient::new(services.channel(Role::Summaries)?)
            .max_decoding_message_size(LARGEST_MESSAGE),
        outbound,
        deadline: DEADLINE,
    })
}

async fn model(settings: &Settings) -> anyhow::Result<Option<Arc<dyn Embedder>>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = settings.embedder.clone();
    tokio::task::spawn_blocking(move || embedder(&wanted, Some(cores))).await?
}

/// Builds, catches up and verifies; gives how many meetings were indexed and when the last pass began.
async fn fill(
    deps: &search::Deps,
    callers: &[Caller],
    since: DateTime<Utc>,
) -> anyhow::Result<(usize, DateTime<Utc>)> {
    let clock = system_clock();
    let mut indexed = 0;
    for caller in callers {
        indexed += build(deps, caller, since, &show).await?;
    }
    let mut from = since;
    for _ in 0..PASSES {
        let began = clock.now();
        for caller in callers {
            catch_up(deps, caller, from, began, &show).await?;
        }
        from = began;
    }
    for caller in callers {
        confirm(deps, caller, clock.now(), &show).await?;
    }
    Ok((indexed, from))
}

/// On a terminal the line moves; in a log every hundredth meeting is told.
fn show(progress: Progress) {
    let mut err = std::io::stderr();
    let moves = err.is_terminal();
    let line = match progress {
        Progress::Building { seen, indexed } if moves || seen % 100 == 0 => {
            format!("{seen} meetings looked at, {indexed} indexed")
        }
        Progress::Building { .. } => return,
        Progress::CaughtUp(changed) => format!("{changed} meetings caught up with"),
        Progress::Mended(meetings) => {
            format!("{meetings} meetings were not as the services have them: indexed once more")
        }
        Progress::Verified(v) => format!(
            "{} passages and {} claims counted on both sides, {} of them compared",
            v.passages, v.claims, v.samples
        ),
    };
    // Nothing depends on who reads this.
    let _ = if moves && matches!(progress, Progress::Building { .. }) {
        write!(err, "\r{line}")
    } else {
        writeln!(err, "{line}")
    };
}

async fn opensearch(settings: &Settings, dir: &DataDir) -> anyhow::Result<()> {
    let services = Services::reach(settings).await?;
    let outbound = Outbound::new(search::NAME, dir.secrets()?.internal_key()?, system_clock());
    let embedder = model(settings).await?;
    let live = OpenSearchIndex::lazy(engine::opensearch(settings, dimensions(embedder.as_deref())))?;
    let callers = tenants(services.channel(Role::Accounts)?, &outbound).await?;
    let generations = live.generations().await?;
    let begun = match Begun::read(dir.path(), SearchEngine::Opensearch) {
        Some(begun) => {
            eprintln!("a build of version {} was begun at {}: it goes on", begun.version, begun.since);
            begun
        }
        None => {
            let last = generations.values().flat_map(|g| &g.versions).max().copied().unwrap_or(0);
            let begun = Begun {
                engine: SearchEngine::Opensearch.as_str().to_owned(),
                version: last + 1,
                since: system_clock().now(),
            };
            begun.write(dir.path())?;
            begun
        }
    };
    let next: Arc<dyn SearchIndex> = Arc::new(live.at_version(begun.version));
    let building = deps(&services, next, embedder.clone(), outbound.clone()).await?;
    let (indexed, from) = fill(&building, &callers, begun.since).await?;
    let to: Vec<_> = callers.iter().map(|caller| (caller.tenant.uuid(), begun.version)).collect();
    live.switch(&to).await?;
    Begun::end(dir.path())?;
    // What was told to the old version after the last pass.
    let live = Arc::new(live);
    let used = deps(&services, live.clone(), embedder, outbound).await?;
    for caller in &callers {
        catch_up(&used, caller, from, system_clock().now(), &show).await?;
    }
    for (tenant, generation) in &generations {
        for version in generation.versions.iter().filter(|v| Some(**v) != generation.current) {
            live.drop_version(*tenant, *version).await?;
        }
    }
    let line = format!("{indexed} meetings indexed; version {} is used now", begun.version);
    print(
        settings,
        vec![(line, json!({ "meetings": indexed, "engine": "opensearch", "version": begun.version }))],
    )?;
    if settings.search_engine != SearchEngine::Opensearch {
        eprintln!(
            "start with --search-engine opensearch; what is published until then is taken by another `councilsense reindex --to opensearch`"
        );
    }
    services.close().await
}

async fn opensearch_back(settings: &Settings) -> anyhow::Result<()> {
    // Nothing is written, so any number of dimensions will do.
    let live = OpenSearchIndex::lazy(engine::opensearch(settings, 0))?;
    let mut to = Vec::new();
    for (tenant, generation) in live.generations().await? {
        let before = generation.versions.iter().filter(|v| Some(**v) < generation.current).max();
        to.extend(before.map(|version| (tenant, *version)));
    }
    if to.is_empty() {
        bail!("there is no version before the one that is used");
    }
    live.switch(&to).await?;
    let line = format!(
        "{} tenants are searched in the version before; run `councilsense reindex` to go forward",
        to.len()
    );
    print(settings, vec![(line, json!({ "tenants": to.len() }))])
}

/// The embedded engine is one process's: that of this command, or of the instance, which then must stop for it.
async fn embedded(settings: &Settings, dir: &DataDir) -> anyhow::Result<()> {
    let settings = &Settings { search_engine: SearchEngine::Embedded, ..settings.clone() };
    let services = Services::reach(settings).await?;
    if services.local().is_none() {
        services.close().await?;
        bail!(
            "an instance is running on this data directory: stop it, run `councilsense reindex`, and start it again"
        );
    }
    let outbound = Outbound::new(search::NAME, dir.secrets()?.internal_key()?, system_clock());
    let callers = tenants(services.channel(Role::Accounts)?, &outbound).await?;
    let versions = Versions::read(dir.path())?;
    let path = engine::path(dir.path(), &versions.next());
    let begun = match Begun::read(dir.path(), SearchEngine::Embedded).filter(|_| path.exists()) {
        Some(begun) => begun,
        None => {
            if path.exists() {
                std::fs::remove_dir_all(&path)?;
            }
            let begun = Begun {
                engine: SearchEngine::Embedded.as_str().to_owned(),
                version: 0,
                since: system_clock().now(),
            };
            begun.write(dir.path())?;
            begun
        }
    };
    let (index, _) = EmbeddedIndex::open(&path, RankParams::default(), OnDamage::Refuse)
        .context("the version that was being built is damaged: delete it and run this again")?;
    let building = deps(&services, Arc::new(index), model(settings).await?, outbound).await?;
    let (indexed, _) = fill(&building, &callers, begun.since).await?;
    let next = versions.advanced();
    next.write(dir.path())?;
    Begun::end(dir.path())?;
    services.close().await?;
    next.sweep(dir.path())?;
    let line = format!("{indexed} meetings indexed; {} is used now", next.current);
    print(
        settings,
        vec![(line, json!({ "meetings": indexed, "engine": "embedded", "version": next.current }))],
    )
}

fn embedded_back(settings: &Settings, dir: &DataDir) -> anyhow::Result<()> {
    let _lock = dir.lock().context("stop the instance that runs on this data directory first")?;
    let versions = Versions::read(dir.path())?;
    let Some(previous) = versions.previous.clone().filter(|p| engine::path(dir.path(), p).exists()) else {
        bail!("there is no version before {}", versions.current);
    };
    let back = Versions { current: previous, previous: Some(versions.current) };
    back.write(dir.path())?;
    let line =
        format!("{} is used now; run `councilsense reindex` to take what was published since", back.current);
    print(settings, vec![(line, json!({ "version": back.current }))])
}
