//! Scans: what a source lists becomes jobs, one a meeting and revision.

use cs_core::{Caller, CityId, Ids, SourceId};
use cs_db::{Db, Reason, TenantTx};
use cs_events::jobs::{self, Job};
use cs_events::{Envelope, Fact, HandlerError, dies_at};
use cs_policy::{Action, allow};
use cs_proto::events::v1::{CityScanRequested, MeetingIngestRequested};
use tracing::Span;
use tracing::field::display;
use uuid::Uuid;

use crate::connectors::{self, Listing};
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

/// How often a source that is away is looked at for one window: for some four minutes.
const LOOKS: i32 = 10;

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
    Span::current().record("city_id", display(CityId::from(source.city_id)));
    let listed = connectors::open(&source.kind, &source.location, &deps.introductions)?.list().await;
    let mut tx = deps.db.tenant(caller).await?;
    match &listed {
        Ok(listing) => {
            let mut refused = Vec::new();
            for meeting in &listing.meetings {
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
            let uids: Vec<String> = listing.meetings.iter().map(|m| m.meeting_uid.clone()).collect();
            sources::forget_unlisted(&mut tx, id.uuid(), &uids).await?;
            let (ok, reason) = verdict(listing, &refused);
            sources::scanned(&mut tx, id.uuid(), (ok, reason.as_deref()), deps.ids.now()).await?;
            tracing::info!(
                event = "city.scanned",
                meetings = listing.meetings.len(),
                refused = refused.len(),
                ignored = listing.ignored.len(),
                "source scanned"
            );
        }
        // What the source said is kept where operators look. One that is away for a moment is looked at again soon, and in
        // the end at the next window.
        Err(error) => {
            let reason = error.to_string();
            sources::scanned(&mut tx, id.uuid(), (false, Some(&reason)), deps.ids.now()).await?;
            if matches!(error, Error::Files(_)) && job.attempt < LOOKS {
                tx.commit().await?;
                return Err(HandlerError::Transient(reason));
            }
        }
    }
    jobs::finish(&mut tx, job, deps.ids.now()).await?;
    Ok(tx.commit().await?)
}

/// Files named in a reason; of more, the number.
const MOST_NAMED: usize = 20;

/// Whether a scan found what can be taken in, and what operators are told of the rest.
fn verdict(listing: &Listing, refused: &[String]) -> (bool, Option<String>) {
    let named = |all: &[String]| {
        let mut text = all.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join("; ");
        if all.len() > MOST_NAMED {
            text = format!("{text}; and {} more", all.len() - MOST_NAMED);
        }
        text
    };
    let mut said = Vec::new();
    if !refused.is_empty() {
        let (some, all) = (refused.len(), listing.meetings.len());
        said.push(format!("{some} of {all} meetings cannot be taken in: {}", named(refused)));
    }
    if !listing.ignored.is_empty() {
        said.push(format!("{} files are ignored: {}", listing.ignored.len(), named(&listing.ignored)));
    }
    // Files that are passed over beside meetings are no failure; where nothing else is, they are.
    let ok = refused.is_empty() && (listing.ignored.is_empty() || !listing.meetings.is_empty());
    (ok, (!said.is_empty()).then(|| said.join(". ")))
}

/// A listed meeting that was given up: operators find the reason at its source.
pub async fn given_up(
    deps: &Deps,
    caller: &Caller,
    request: &MeetingIngestRequested,
    error: &str,
) -> Result<(), HandlerError> {
    let id: SourceId =
        request.source_id.parse().map_err(|_| HandlerError::Permanent("no source id".into()))?;
    let mut tx = deps.db.tenant(caller).await?;
    let listed = (id.uuid(), request.meeting_uid.as_str(), request.revision.as_str());
    // A text of Postgres holds no NUL.
    sources::give_up(&mut tx, listed, Some(&error.replace('\0', ""))).await?;
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
    let span = Span::current();
    span.record("city_id", display(CityId::from(source.city_id)));
    let city = {
        let mut tx = deps.db.tenant(caller).await?;
        places::cities(&mut tx, &[source.city_id]).await?.pop().ok_or(Error::NotFound("city"))?
    };
    let connector = connectors::open(&source.kind, &source.location, &deps.introductions)?;
    let zone = city.time_zone.parse().unwrap_or(chrono_tz::UTC);
    let meeting =
        connector.fetch(&request.meeting_uid, zone, deps.objects.as_ref(), deps.max_artifact_bytes).await?;
    dies_at!("ingest.stored");
    let city = crate::ingest::NewCity {
        slug: city.slug,
        name: city.name,
        time_zone: city.time_zone,
        language: city.language,
    };
    let mut tx = deps.db.tenant(caller).await?;
    let ingested = crate::ingest::ingest(&mut tx, caller, &deps.ids, &city, &meeting).await?;
    let listed = (id.uuid(), request.meeting_uid.as_str(), request.revision.as_str());
    sources::give_up(&mut tx, listed, None).await?;
    jobs::finish(&mut tx, job, deps.ids.now()).await?;
    tx.commit().await?;
    span.record("meeting_id", display(ingested.meeting));
    if let Some(run) = ingested.run {
        span.record("processing_run_id", display(run));
    }
    tracing::info!(event = "meeting.ingested", changed = ingested.changed, "meeting taken in");
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
    connectors::check(kind, location)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::Listed;

    #[test]
    fn what_is_passed_over_is_told() {
        let meeting = Listed { meeting_uid: "m".into(), revision: "1".into(), error: None };
        let ignored: Vec<String> = (0..25).map(|n| format!("{n}.pdf: encrypted")).collect();
        let beside = Listing { meetings: vec![meeting.clone()], ignored: ignored.clone() };
        let (ok, reason) = verdict(&beside, &[]);
        assert!(ok, "the meeting is taken in");
        let reason = reason.unwrap();
        assert!(reason.contains("25 files are ignored: 0.pdf: encrypted") && reason.contains("and 5 more"));
        let alone = Listing { meetings: Vec::new(), ignored };
        assert!(!verdict(&alone, &[]).0, "nothing is taken in");
        let (ok, reason) = verdict(&beside, &["n: it has no date".to_owned()]);
        assert!(
            !ok && reason.unwrap().starts_with("1 of 1 meetings cannot be taken in: n: it has no date. 25")
        );
        assert_eq!(verdict(&Listing { meetings: vec![meeting], ignored: Vec::new() }, &[]), (true, None));
    }
}
