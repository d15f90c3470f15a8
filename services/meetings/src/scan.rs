//! Scans: what a source lists becomes jobs, one a meeting and revision.

use cs_core::{Caller, CityId, Ids, SourceId};
use cs_db::{Db, Reason, TenantTx};
use cs_events::jobs::{self, Job};
use cs_events::{Envelope, Fact, HandlerError};
use cs_policy::{Action, allow};
use cs_proto::events::v1::{CityScanRequested, MeetingIngestRequested};
use uuid::Uuid;

use crate::connectors;
use crate::schedule::Schedule;
use crate::store::{places, sources};
use crate::{Deps, Error, SCHEMA, messages};

/// Asks for a scan of every source of a city, now.
pub async fn scan_city(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    city: &str,
) -> Result<Vec<SourceId>, Error> {
    allow(caller, Action::Operate)?;
    let city = places::find_city(tx, city).await?.ok_or(Error::NotFound("city"))?;
    let mut asked = Vec::new();
    for source in sources::list(tx, Some(city.id)).await? {
        let window = messages::rfc3339(ids.now());
        jobs::put(tx, &scan_request(caller, ids, source.id, &window)?).await?;
        asked.push(source.id.into());
    }
    Ok(asked)
}

fn scan_request(caller: &Caller, ids: &Ids, source: Uuid, window: &str) -> Result<Envelope, Error> {
    let id = SourceId::from(source).to_string();
    let payload = CityScanRequested { source_id: id.clone(), window: window.to_owned() };
    let fact = Fact {
        kind: "city.scan.requested",
        resource: ("source", id.clone()),
        key: format!("{id}|{window}"),
        payload: &payload,
    };
    Ok(Envelope::new(SCHEMA, caller, ids, fact)?)
}

/// Asks for one scan that is due. `false`: none is.
pub async fn schedule_one(db: &Db, ids: &Ids) -> Result<bool, Error> {
    let mut tx = db.system(Reason::Scheduler).await?;
    let Some((tenant, source, window)) = sources::take_due(&mut tx, ids.now()).await? else {
        return Ok(false);
    };
    let caller = Caller::service(SCHEMA, tenant, cs_core::Trace::start());
    jobs::put(&mut tx, &scan_request(&caller, ids, source, &messages::rfc3339(window))?).await?;
    tx.commit().await?;
    Ok(true)
}

/// Does the job `city.scan.requested`: lists the source and asks for each meeting that is new or changed.
pub async fn scan(
    deps: &Deps,
    caller: &Caller,
    job: &Job,
    request: &CityScanRequested,
) -> Result<(), HandlerError> {
    let id: SourceId =
        request.source_id.parse().map_err(|_| HandlerError::Permanent("no source id".into()))?;
    let source = source_of(deps, caller, id).await?;
    let listed = connectors::open(&source.kind, &source.location)?.list().await;
    let mut tx = deps.db.tenant(caller).await?;
    match &listed {
        Ok(meetings) => {
            let mut refused = Vec::new();
            for meeting in meetings {
                if let Some(error) = &meeting.error {
                    refused.push(format!("{}: {error}", meeting.meeting_uid));
                    continue;
                }
                let listed = (id.uuid(), meeting.meeting_uid.as_str(), meeting.revision.as_str());
                let Some(generation) = sources::list_meeting(&mut tx, listed).await? else { continue };
                let payload = MeetingIngestRequested {
                    source_id: request.source_id.clone(),
                    meeting_uid: meeting.meeting_uid.clone(),
                    revision: meeting.revision.clone(),
                };
                let fact = Fact {
                    kind: "meeting.ingest.requested",
                    resource: ("source", request.source_id.clone()),
                    key: format!("{}|{}|{generation}", request.source_id, meeting.meeting_uid),
                    payload: &payload,
                };
                jobs::put(&mut tx, &Envelope::new(SCHEMA, caller, &deps.ids, fact)?).await?;
            }
            let failure = (!refused.is_empty()).then(|| {
                format!(
                    "{} of {} meetings cannot be taken in: {}",
                    refused.len(),
                    meetings.len(),
                    refused.join("; ")
                )
            });
            sources::scanned(&mut tx, id.uuid(), failure.as_deref(), deps.ids.now()).await?;
            tracing::info!(
                event = "city.scanned",
                meetings = meetings.len(),
                refused = refused.len(),
                "source scanned"
            );
        }
        // What the source said is kept where operators look; the next window tries again.
        Err(error) => sources::scanned(&mut tx, id.uuid(), Some(&error.to_string()), deps.ids.now()).await?,
    }
    jobs::finish(&mut tx, job, deps.ids.now()).await?;
    Ok(tx.commit().await?)
}

/// Does the job `meeting.ingest.requested`: fetches a meeting's files and takes it in.
pub async fn ingest_listed(
    deps: &Deps,
    caller: &Caller,
    job: &Job,
    request: &MeetingIngestRequested,
) -> Result<(), HandlerError> {
    let id: SourceId =
        request.source_id.parse().map_err(|_| HandlerError::Permanent("no source id".into()))?;
    let source = source_of(deps, caller, id).await?;
    let city = {
        let mut tx = deps.db.tenant(caller).await?;
        places::cities(&mut tx, &[source.city_id]).await?.pop().ok_or(Error::NotFound("city"))?
    };
    let connector = connectors::open(&source.kind, &source.location)?;
    let zone = city.time_zone.parse().unwrap_or(chrono_tz::UTC);
    let meeting =
        connector.fetch(&request.meeting_uid, zone, deps.objects.as_ref(), deps.max_artifact_bytes).await?;
    let city = crate::ingest::NewCity {
        slug: city.slug,
        name: city.name,
        time_zone: city.time_zone,
        language: city.language,
    };
    let mut tx = deps.db.tenant(caller).await?;
    let ingested = crate::ingest::ingest(&mut tx, caller, &deps.ids, &city, &meeting).await?;
    jobs::finish(&mut tx, job, deps.ids.now()).await?;
    tx.commit().await?;
    tracing::info!(event = "meeting.ingested", meeting_id = %ingested.meeting, changed = ingested.changed, "meeting taken in");
    Ok(())
}

async fn source_of(deps: &Deps, caller: &Caller, id: SourceId) -> Result<sources::Source, Error> {
    let mut tx = deps.db.tenant(caller).await?;
    sources::get(&mut tx, id.uuid()).await?.ok_or(Error::NotFound("source"))
}

/// Adds a source to a city.
pub async fn add_source(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    city: &str,
    kind: &str,
    location: &str,
    schedule: &str,
) -> Result<SourceRow, Error> {
    allow(caller, Action::Operate)?;
    let city = places::find_city(tx, city).await?.ok_or(Error::NotFound("city"))?;
    connectors::open(kind, location)?;
    let schedule = match schedule {
        "" => None,
        text => Some(Schedule::parse(text)?),
    };
    let new = sources::New {
        id: ids.next(),
        city: city.id,
        kind,
        location,
        schedule: schedule.as_ref(),
        time_zone: &city.time_zone,
    };
    Ok(SourceRow(sources::upsert(tx, &new, ids.now()).await?))
}

/// Sources of a city, or all of them.
pub async fn list_sources(
    tx: &mut TenantTx,
    caller: &Caller,
    city: Option<CityId>,
) -> Result<Vec<SourceRow>, Error> {
    allow(caller, Action::Operate)?;
    Ok(sources::list(tx, city.map(CityId::uuid)).await?.into_iter().map(SourceRow).collect())
}

/// A source as it is stored.
pub struct SourceRow(pub(crate) sources::Source);
