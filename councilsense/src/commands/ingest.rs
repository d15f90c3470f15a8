//! `councilsense ingest`: documents from a folder, uploaded to the instance and followed to their end.

mod patience;
mod report;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use cs_documents::Reader;
use cs_documents::folder::{CityToml, FoundArtifact, FoundMeeting, Introductions, StartsAt, scan};
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::meetings::v1 as pb;
use cs_proto::meetings::v1::ingest_meeting_request::Part;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1::Run;
use cs_proto::ops::v1::runs_client::RunsClient;
use cs_rpc::Channel;
use tokio::io::AsyncReadExt;

use patience::{Next, Patience, Watch};
use report::{Told, ToldArtifact, UNFINISHED, report};

use super::local::Services;
use crate::config::Settings;
use crate::wiring::Role;

/// Bytes in one message of an upload.
const CHUNK: usize = 256 * 1024;
/// How often a run that is under way is looked at.
const LOOK: Duration = Duration::from_millis(150);

pub(crate) async fn ingest(settings: Settings, city: &str, paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut found: Vec<FoundMeeting> = Vec::new();
    let mut ignored = Vec::new();
    let mut about = CityToml::default();
    let reading = Arc::new(Introductions::new(Reader::isolated(std::env::current_exe()?)));
    for path in paths {
        let (path, reading) = (path.clone(), reading.clone());
        let scanned = tokio::task::spawn_blocking(move || scan(&path, &reading)).await??;
        if about == CityToml::default() {
            about = scanned.city;
        }
        for meeting in scanned.meetings {
            // Agendas and minutes of one meeting may stand under two of the paths.
            match found.iter_mut().find(|known| known.meeting_uid == meeting.meeting_uid) {
                Some(known) => join(known, meeting),
                None => found.push(meeting),
            }
        }
        ignored.extend(scanned.ignored);
    }
    let services = Services::reach(&settings).await?;
    let told = take_all(&services, &settings, city, &about, &found).await;
    let closed = services.close().await;
    let told = told?;
    report(&settings, &told, &ignored)?;
    closed?;
    // Where nothing was there to be taken in, the files that were passed over say why.
    let well = !told.is_empty() && !told.iter().any(|m| m.status == "failed" || m.status == UNFINISHED);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds to a meeting what another path has of it.
fn join(known: &mut FoundMeeting, other: FoundMeeting) {
    for artifact in other.artifacts {
        if !known.artifacts.iter().any(|a| a.path == artifact.path) {
            known.artifacts.push(artifact);
        }
    }
    known.starts_at = known.starts_at.or(other.starts_at);
    known.location = known.location.take().or(other.location);
    known.status = known.status.take().or(other.status);
    known.error = known.error.take().or(other.error);
}

async fn take_all(
    services: &Services,
    settings: &Settings,
    city: &str,
    about: &CityToml,
    found: &[FoundMeeting],
) -> anyhow::Result<Vec<Told>> {
    let client = MeetingsClient::new(services.channel(Role::Meetings)?);
    let mut patience = Patience::default();
    let mut told = Vec::new();
    let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
    for meeting in found {
        let mut line = Told::of(meeting);
        match &meeting.error {
            Some(error) => line.reason = error.clone(),
            None => {
                let send = async || upload(services, client.clone(), settings, city, about, meeting).await;
                match patience.call(send).await {
                    Ok(answer) => {
                        line.changed = answer.changed;
                        waiting.insert(answer.meeting_id, told.len());
                    }
                    Err(error) => line.reason = format!("{error:#}"),
                }
            }
        }
        told.push(line);
    }
    follow(services, &client, &mut patience, &mut waiting, &mut told, !settings.json).await;
    // What follows a publication goes on by itself: it is no reason to keep what was done to oneself.
    if waiting.is_empty()
        && let Err(error) = services.settle().await
    {
        eprintln!("{error:#}");
    }
    Ok(told)
}

/// Follows the meetings under way to their end. Those whose end cannot be seen say why in their line.
async fn follow(
    services: &Services,
    client: &MeetingsClient<Channel>,
    patience: &mut Patience,
    waiting: &mut BTreeMap<String, usize>,
    told: &mut [Told],
    show: bool,
) {
    let mut watch = Watch::new(Instant::now());
    let mut unfinished = None;
    while !waiting.is_empty() && unfinished.is_none() {
        let looked = finish(services, client, patience, waiting, told, show).await;
        match looked.map(|states| watch.look(states, Instant::now())) {
            Ok(Next::Look) => {}
            Ok(Next::Say) => {
                let named: Vec<&str> = waiting.values().take(3).map(|i| told[*i].title.as_str()).collect();
                let more = if waiting.len() > named.len() { ", …" } else { "" };
                eprintln!("waiting for {} meetings: {}{more}", waiting.len(), named.join(", "));
            }
            Ok(Next::GiveUp) => {
                unfinished = Some(
                    "taken in, but nothing has moved since: does a worker run? Start `councilsense up`, or roles \
                     without --no-workers; then it goes on by itself. `councilsense runs` and `dlq list` show more"
                        .to_owned(),
                );
            }
            Err(error) => {
                unfinished = Some(format!(
                    "taken in, but what became of it cannot be asked; `councilsense runs` shows it later: {error:#}"
                ));
            }
        }
        if !waiting.is_empty() && unfinished.is_none() {
            tokio::time::sleep(LOOK).await;
        }
    }
    for (index, reason) in waiting.values().zip(std::iter::repeat(unfinished.unwrap_or_default())) {
        told[*index].status = UNFINISHED.to_owned();
        told[*index].reason = reason;
    }
}

async fn upload(
    services: &Services,
    mut client: MeetingsClient<Channel>,
    settings: &Settings,
    city: &str,
    about: &CityToml,
    meeting: &FoundMeeting,
) -> anyhow::Result<pb::IngestMeetingResponse> {
    let header = header(city, about, meeting)?;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let files = meeting.artifacts.clone();
    let most = settings.max_artifact_mb << 20;
    let reading = tokio::spawn(async move { Upload(sender).send(header, files, most).await });
    let request = services.stream(tokio_stream::wrappers::ReceiverStream::new(receiver))?;
    let answer = client.ingest_meeting(request).await;
    // Why a file could not be read says more than what the other end made of the upload that broke off.
    reading.await??;
    Ok(answer?.into_inner())
}

/// The sending end of an upload. A receiver that has gone away told its reason in the answer: sending just ends.
struct Upload(tokio::sync::mpsc::Sender<pb::IngestMeetingRequest>);

impl Upload {
    async fn part(&self, part: Part) -> bool {
        self.0.send(pb::IngestMeetingRequest { part: Some(part) }).await.is_ok()
    }

    async fn send(
        &self,
        header: pb::IngestHeader,
        files: Vec<FoundArtifact>,
        most: u64,
    ) -> anyhow::Result<()> {
        if !self.part(Part::Header(header)).await {
            return Ok(());
        }
        for artifact in files {
            let file = pb::IngestFile {
                file_name: artifact.file.clone(),
                kind: artifact.kind.as_str().to_owned(),
                title: artifact.title.clone(),
                source_url: artifact.source_url.clone().unwrap_or_default(),
                size_bytes: artifact.size_bytes,
                error: artifact.error.clone().unwrap_or_default(),
            };
            if !self.part(Part::File(file)).await {
                return Ok(());
            }
            // What is too large is named with its size, and not sent.
            if artifact.size_bytes <= most && artifact.error.is_none() && !self.file(&artifact.path).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn file(&self, path: &Path) -> anyhow::Result<bool> {
        let mut file = tokio::fs::File::open(path)
            .await
            .with_context(|| format!("{} cannot be read", path.display()))?;
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                return Ok(true);
            }
            chunk.truncate(read);
            if !self.part(Part::Chunk(chunk)).await {
                return Ok(false);
            }
        }
    }
}

fn header(city: &str, about: &CityToml, meeting: &FoundMeeting) -> anyhow::Result<pb::IngestHeader> {
    let zone = about.time_zone.clone().unwrap_or_default();
    let tz: chrono_tz::Tz = if zone.is_empty() {
        chrono_tz::UTC
    } else {
        zone.parse().map_err(|_| anyhow::anyhow!("city.toml: {zone:?} is not an IANA time zone"))?
    };
    let starts_at = match meeting.starts_at {
        // A local time means something only where the city's clock is known.
        Some(StartsAt::Local(_)) if zone.is_empty() => None,
        Some(at) => meetings::connectors::utc(at, tz),
        None => None,
    };
    Ok(pb::IngestHeader {
        city: city.to_owned(),
        city_name: about.name.clone().unwrap_or_default(),
        time_zone: zone,
        meeting_uid: meeting.meeting_uid.clone(),
        title: meeting.title.clone(),
        body: meeting.body.clone(),
        date: meeting.date.map(|d| d.to_string()).unwrap_or_default(),
        starts_at: starts_at.map(|at| at.to_rfc3339()).unwrap_or_default(),
        location: meeting.location.clone().unwrap_or_default(),
        status: meeting.status.clone().unwrap_or_default(),
        derivation: meeting.derivation.clone(),
        visibility: cs_proto::common::v1::Visibility::Public.into(),
        file_count: u32::try_from(meeting.artifacts.len()).unwrap_or(u32::MAX),
        language: about.language.clone().unwrap_or_default(),
    })
}

/// Looks at the meetings under way and takes those that have ended off the list; gives the others' ids and states.
async fn finish(
    services: &Services,
    client: &MeetingsClient<Channel>,
    patience: &mut Patience,
    waiting: &mut BTreeMap<String, usize>,
    told: &mut [Told],
    show: bool,
) -> anyhow::Result<Vec<(String, String)>> {
    let ids: Vec<String> = waiting.keys().take(100).cloned().collect();
    let ask = async || -> anyhow::Result<Vec<pb::Meeting>> {
        let request = services.request(BatchGetRequest { ids: ids.clone() })?;
        Ok(client.clone().batch_get_meetings(request).await?.into_inner().meetings)
    };
    let meetings = patience.call(ask).await?;
    for id in ids {
        // Nobody is shown it, so its end would never be seen.
        if !meetings.iter().any(|meeting| meeting.id == id)
            && let Some(index) = waiting.remove(&id)
        {
            told[index].status = "withdrawn".to_owned();
            told[index].reason =
                "the meeting was withdrawn; what its source says of it is not taken in".to_owned();
            if show {
                println!("{}", told[index].text());
            }
        }
    }
    let mut under_way = Vec::new();
    for meeting in meetings {
        if !matches!(meeting.run_state.as_str(), "published" | "limited_confidence" | "rejected" | "failed") {
            under_way.push((meeting.id, meeting.run_state));
            continue;
        }
        let more = patience.call(async || details(services, client.clone(), &meeting.id).await).await?;
        let Some(index) = waiting.remove(&meeting.id) else { continue };
        let line = &mut told[index];
        (line.status, line.reason) = (meeting.run_state, meeting.run_reason);
        line.artifacts = more.0;
        if let Some(run) = more.1 {
            (line.claims, line.ecr) = (run.claims_verified, run.ecr);
        }
        if show {
            println!("{}", line.text());
            let _ = std::io::stdout().flush();
        }
    }
    Ok(under_way)
}

/// A meeting's documents and its latest run.
async fn details(
    services: &Services,
    mut client: MeetingsClient<Channel>,
    id: &str,
) -> anyhow::Result<(Vec<ToldArtifact>, Option<Run>)> {
    let request = services.request(pb::BatchListArtifactsRequest { meeting_ids: vec![id.to_owned()] })?;
    let artifacts = client.batch_list_artifacts(request).await?.into_inner().artifacts;
    let artifacts = artifacts.into_iter().map(|a| ToldArtifact {
        file: a.file_name,
        kind: a.kind,
        status: a.status,
        reason: a.reason,
        pages: a.pages,
        characters: a.characters,
    });
    let mut runs = RunsClient::new(services.channel(Role::Meetings)?);
    let page = cs_proto::common::v1::PageRequest { first: 1, ..Default::default() };
    let request = services.request(cs_proto::ops::v1::ListRunsRequest {
        meeting_id: id.to_owned(),
        page: Some(page),
        ..Default::default()
    })?;
    let run = runs.list_runs(request).await?.into_inner().runs.pop();
    Ok((artifacts.collect(), run))
}
