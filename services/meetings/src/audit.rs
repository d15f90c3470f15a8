//! The weekly look at evidence: how much of what was proposed in each city had evidence (ECR), so that a source whose
//! documents changed shape is noticed.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use cs_core::{Caller, EventId, Ids, Trace};
use cs_db::{Db, Reason};
use cs_events::jobs::{self, Job};
use cs_events::{Envelope, Fact, HandlerError, chores};
use cs_proto::events::v1::EvidenceAuditRequested;

use crate::store::audits;
use crate::{Deps, Error, SCHEMA};

/// The job of one tenant's week.
pub(crate) const REQUESTED: &str = "evidence.audit.requested";
/// Below this rate a city's week is called out. As the gate's own line where nothing else is configured.
const LOW: f64 = 0.85;

/// Asks for the audit of every tenant where a week has passed since the last; gives how many.
pub async fn schedule(db: &Db, ids: &Ids) -> Result<usize, Error> {
    let until = ids.now();
    // The jobs are put in the transaction in which the week is taken: a crash in between would lose it.
    let mut tx = db.system(Reason::Scheduler).await?;
    let Some(since) = chores::take_in(&mut tx, "evidence audit", TimeDelta::weeks(1), until).await? else {
        return Ok(0);
    };
    let tenants = audits::tenants(&mut tx, since, until).await?;
    for tenant in &tenants {
        let caller = Caller::service(SCHEMA, (*tenant).into(), Trace::start());
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let payload = EvidenceAuditRequested { since: time(since), until: time(until) };
        let fact = Fact {
            kind: REQUESTED,
            resource: ("tenant", caller.tenant.to_string()),
            key: payload.since.clone(),
            payload: &payload,
        };
        jobs::put(&mut tx, &Envelope::new(SCHEMA, &caller, ids, fact)?).await?;
    }
    tx.commit().await?;
    Ok(tenants.len())
}

/// Does the job: a row and a line a city.
pub async fn audit(
    deps: &Deps,
    caller: &Caller,
    job: &Job,
    request: &EvidenceAuditRequested,
) -> Result<(), HandlerError> {
    let time = |text: &str| {
        DateTime::parse_from_rfc3339(text)
            .map(|at| at.with_timezone(&Utc))
            .map_err(|e| HandlerError::Permanent(format!("{text:?} is no time: {e}")))
    };
    let (since, until) = (time(&request.since)?, time(&request.until)?);
    let now = deps.ids.now();
    let mut tx = deps.db.tenant(caller).await?;
    let weeks = audits::weeks(&mut tx, since, until).await?;
    for week in &weeks {
        audits::keep(&mut tx, deps.ids.next::<EventId>().uuid(), week, (since, until), now).await?;
    }
    jobs::finish(&mut tx, job, now).await?;
    tx.commit().await?;
    for week in weeks {
        let (proposed, verified) = (week.claims_proposed, week.claims_verified);
        let ecr = if proposed > 0 { verified as f64 / proposed as f64 } else { 1.0 };
        let (city, runs, failed, rejected) = (week.slug, week.runs, week.failed, week.rejected);
        if ecr < LOW {
            tracing::warn!(
                event = "evidence.audited",
                city,
                ecr,
                runs,
                failed,
                rejected,
                proposed,
                verified,
                "less than usual of a city's week has evidence: look at its sources"
            );
        } else {
            tracing::info!(
                event = "evidence.audited",
                city,
                ecr,
                runs,
                failed,
                rejected,
                proposed,
                verified,
                "a city's week has its evidence"
            );
        }
    }
    Ok(())
}
