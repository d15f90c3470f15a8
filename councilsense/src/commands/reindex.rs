//! `councilsense reindex`: the next version of the index, built while the one before serves.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1::indexes_client::IndexesClient;
use cs_proto::ops::v1::{ReindexProgress, ReindexRequest, RollBackIndexRequest};
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use cs_rpc::Outbound;
use cs_text::embed::Embedder;
use search::index::SearchIndex;
use search::index::opensearch::OpenSearchIndex;
use search::reindex::{Progress, Seen, Verified, catch_up, fill, go_back_in_opensearch, tenants};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::embedder::{dimensions, embedder};
use super::engine;
use super::local::{Services, told};
use super::operate::print;
use crate::config::{SearchEngine, Settings};
use crate::data_dir::DataDir;
use crate::internal_key::internal_key;
use crate::wiring::{Role, system_clock};

/// Longest a service may take for one meeting's texts.
const DEADLINE: Duration = Duration::from_secs(60);
/// A text version travels whole.
const LARGEST_MESSAGE: usize = 64 << 20;
const STATE: &str = "reindex.json";

/// A build in OpenSearch that was begun, so that it goes on where it stopped.
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
        (SearchEngine::Embedded, true) => embedded_back(&settings).await,
        (SearchEngine::Embedded, false) => embedded(&settings).await,
        (SearchEngine::Opensearch, rollback) => {
            Services::during(&settings, async |services| match rollback {
                true => opensearch_back(&settings, &dir, services).await,
                false => opensearch(&settings, &dir, services).await,
            })
            .await
        }
    }
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

/// On a terminal the line moves; in a log every hundredth meeting is told.
pub(crate) fn show(progress: Progress) {
    let mut err = std::io::stderr();
    let moves = err.is_terminal();
    let line = match progress {
        Progress::Building { seen, indexed } if moves || seen % 100 == 0 => {
            format!("{seen} meetings looked at, {indexed} indexed")
        }
        Progress::Building { .. } | Progress::CaughtUp(0) => return,
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

async fn opensearch(settings: &Settings, dir: &DataDir, services: &Services) -> anyhow::Result<()> {
    let outbound = Outbound::new(search::NAME, internal_key(settings, dir)?, system_clock());
    let embedder = model(settings).await?;
    let live = OpenSearchIndex::lazy(engine::opensearch(settings, dimensions(embedder.as_deref())))?;
    let callers = tenants(&AccountsClient::new(services.channel(Role::Accounts)?), &outbound).await?;
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
    let building = deps(services, next, embedder.clone(), outbound.clone()).await?;
    let mut seen = Seen::default();
    let (indexed, from) = fill(&building, &callers, begun.since, &*system_clock(), &mut seen, &show).await?;
    let to: Vec<_> = callers.iter().map(|caller| (caller.tenant.uuid(), begun.version)).collect();
    live.switch(&to).await?;
    Begun::end(dir.path())?;
    // What was told to the old version after the last pass.
    let live = Arc::new(live);
    let used = deps(services, live.clone(), embedder, outbound).await?;
    for caller in &callers {
        catch_up(&used, caller, from, system_clock().now(), &mut seen, &show).await?;
    }
    // The one used until now stays, to go back to; `generations` is from before, and a build that goes on is among them.
    for (tenant, generation) in &generations {
        let kept = |version: u32| Some(version) == generation.current || version == begun.version;
        for version in generation.versions.iter().filter(|version| !kept(**version)) {
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
    Ok(())
}

async fn opensearch_back(settings: &Settings, dir: &DataDir, services: &Services) -> anyhow::Result<()> {
    let outbound = Outbound::new(search::NAME, internal_key(settings, dir)?, system_clock());
    let embedder = model(settings).await?;
    let live =
        Arc::new(OpenSearchIndex::lazy(engine::opensearch(settings, dimensions(embedder.as_deref())))?);
    let callers = tenants(&AccountsClient::new(services.channel(Role::Accounts)?), &outbound).await?;
    let deps = deps(services, live.clone(), embedder, outbound).await?;
    let tenants = go_back_in_opensearch(&deps, &live, &callers, &*system_clock(), &show).await?;
    let line = format!(
        "{tenants} tenants are searched in the version before, with what changed since; run `councilsense reindex` to go forward"
    );
    print(settings, vec![(line, json!({ "tenants": tenants }))])
}

/// The embedded engine is one process's: the instance that runs, or this command for a while, builds the next version
/// beside the one that it searches in.
async fn embedded(settings: &Settings) -> anyhow::Result<()> {
    let settings = &Settings { search_engine: SearchEngine::Embedded, ..settings.clone() };
    Services::during(settings, async |services| {
        let mut client = IndexesClient::new(services.channel(Role::Search)?);
        let request = services.stream(ReindexRequest {})?;
        let mut steps = client.reindex(request).await.map_err(told)?.into_inner();
        while let Some(step) = steps.message().await.map_err(told)? {
            match progress(&step) {
                Some(progress) => show(progress),
                None => {
                    let ReindexProgress { indexed, version, .. } = step;
                    let line = format!("{indexed} meetings indexed; {version} is used now");
                    let json = json!({ "meetings": indexed, "engine": "embedded", "version": version });
                    return print(settings, vec![(line, json)]);
                }
            }
        }
        bail!("the build ended without a word: run it again, it goes on where it stopped")
    })
    .await
}

/// What a service tells of its build; `None` when the new version is used.
fn progress(step: &ReindexProgress) -> Option<Progress> {
    let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    Some(match step.step.as_str() {
        "building" => Progress::Building { seen: size(step.seen), indexed: size(step.indexed) },
        "caught_up" => Progress::CaughtUp(size(step.meetings)),
        "mended" => Progress::Mended(size(step.meetings)),
        "verified" => {
            let samples = size(step.samples);
            Progress::Verified(Verified { passages: step.passages, claims: step.claims, samples })
        }
        _ => return None,
    })
}

async fn embedded_back(settings: &Settings) -> anyhow::Result<()> {
    let settings = &Settings { search_engine: SearchEngine::Embedded, ..settings.clone() };
    Services::during(settings, async |services| {
        let mut client = IndexesClient::new(services.channel(Role::Search)?);
        // It is caught up first, however long that takes.
        let request = services.stream(RollBackIndexRequest {})?;
        let version = client.roll_back_index(request).await.map_err(told)?.into_inner().version;
        let line = format!(
            "{version} is used now, with what changed since; run `councilsense reindex` to go forward"
        );
        print(settings, vec![(line, json!({ "version": version }))])
    })
    .await
}
