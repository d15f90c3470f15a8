//! An operator's verbs: gRPC calls to the running instance, or to one that runs as long as the command.

use cs_proto::accounts::v1 as accounts;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::common::v1::{self as common, PageInfo, PageRequest};
use cs_proto::meetings::v1 as meetings;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::ops::v1 as ops;
use cs_proto::ops::v1::records_client::RecordsClient;
use cs_proto::ops::v1::runs_client::RunsClient;
use cs_proto::ops::v1::sources_client::SourcesClient;
use serde_json::{Value, json};

use super::local::{Services, told};
use crate::config::{CityVerb, RoleVerb, Settings, SourceVerb, TenantVerb};
use crate::wiring::Role;

/// Rows of a page: as many as a service gives.
const PAGE: u32 = 100;

/// Every row of a list, page by page.
pub(crate) async fn each_page<T>(
    mut ask: impl AsyncFnMut(PageRequest) -> anyhow::Result<(Vec<T>, Option<PageInfo>)>,
) -> anyhow::Result<Vec<T>> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let (page, info) = ask(PageRequest { first: PAGE, after, ..Default::default() }).await?;
        rows.extend(page);
        match info {
            Some(info) if info.has_next_page => after = info.end_cursor,
            _ => return Ok(rows),
        }
    }
}

/// Prints rows: a line each for people, one array for scripts.
pub(crate) fn print(settings: &Settings, rows: Vec<(String, Value)>) -> anyhow::Result<()> {
    if settings.json {
        let values: Vec<Value> = rows.into_iter().map(|(_, value)| value).collect();
        println!("{}", serde_json::to_string_pretty(&values)?);
    } else if rows.is_empty() {
        println!("none");
    } else {
        rows.iter().for_each(|(line, _)| println!("{line}"));
    }
    Ok(())
}

pub(crate) async fn city(settings: Settings, verb: CityVerb) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
    let mut client = MeetingsClient::new(services.channel(Role::Meetings)?);
    let cities = match verb {
        CityVerb::Add { slug, name, time_zone, language } => {
            let request = services.request(meetings::AddCityRequest { slug, name, time_zone, language })?;
            client.add_city(request).await.map_err(told)?.into_inner().city.into_iter().collect()
        }
        CityVerb::List => {
            each_page(async |page| {
                let request = services.request(meetings::ListCitiesRequest { page: Some(page) })?;
                let answer = client.list_cities(request).await.map_err(told)?.into_inner();
                Ok((answer.cities, answer.page_info))
            })
            .await?
        }
    };
    let rows = cities.into_iter().map(|c| {
        let line = format!("{}  {:<20} {} ({})", c.id, c.slug, c.name, c.time_zone);
        (line, json!({ "id": c.id, "slug": c.slug, "name": c.name, "time_zone": c.time_zone, "language": c.language }))
    });
    print(&settings, rows.collect())?;
    Ok(())
    }).await
}

pub(crate) async fn source(settings: Settings, verb: SourceVerb) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
    let mut client = SourcesClient::new(services.channel(Role::Meetings)?);
    let sources = match verb {
        SourceVerb::Add { city, kind, location, schedule } => {
            let request = services.request(ops::AddSourceRequest { city, kind, location, schedule })?;
            client.add_source(request).await.map_err(told)?.into_inner().source.into_iter().collect()
        }
        SourceVerb::Check => {
            let request = services.request(ops::ListSourcesRequest::default())?;
            client.list_sources(request).await.map_err(told)?.into_inner().sources
        }
    };
    let rows = sources.into_iter().map(|s| {
        let status = if s.last_scan_status.is_empty() { "never scanned".to_owned() } else { format!("{} {} {}", s.last_scan_at, s.last_scan_status, s.last_scan_reason) };
        let line = format!("{}  {} {}  {}", s.id, s.kind, s.location, status.trim_end());
        let value = json!({ "id": s.id, "city_id": s.city_id, "kind": s.kind, "location": s.location, "schedule": s.schedule,
            "last_scan_at": s.last_scan_at, "last_scan_status": s.last_scan_status, "last_scan_reason": s.last_scan_reason });
        (line, value)
    });
    print(&settings, rows.collect())?;
    Ok(())
    }).await
}

pub(crate) async fn scan(settings: Settings, city: String) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
        let mut client = SourcesClient::new(services.channel(Role::Meetings)?);
        let request = services.request(ops::ScanCityRequest { city })?;
        let ids = client.scan_city(request).await.map_err(told)?.into_inner().source_ids;
        print(
            &settings,
            ids.into_iter()
                .map(|id| (format!("scan of source {id} requested"), json!({ "source_id": id })))
                .collect(),
        )?;
        services.settle().await?;
        Ok(())
    })
    .await
}

fn run_row(run: ops::Run) -> (String, Value) {
    let line = format!(
        "{}  meeting {}  {:<18} {} of {} claims  {}",
        run.id, run.meeting_id, run.state, run.claims_verified, run.claims_proposed, run.reason
    );
    let value = json!({ "id": run.id, "meeting_id": run.meeting_id, "state": run.state, "reason": run.reason, "trigger": run.trigger,
        "claims_proposed": run.claims_proposed, "claims_verified": run.claims_verified, "ecr": run.ecr,
        "created_at": run.created_at, "updated_at": run.updated_at });
    (line.trim_end().to_owned(), value)
}

pub(crate) async fn rerun(settings: Settings, meeting_id: String) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
        let mut client = RunsClient::new(services.channel(Role::Meetings)?);
        let request =
            services.request(ops::RerunMeetingRequest { meeting_id, idempotency_key: String::new() })?;
        let run = client.rerun_meeting(request).await.map_err(told)?.into_inner().run;
        print(&settings, run.into_iter().map(run_row).collect())?;
        services.settle().await?;
        Ok(())
    })
    .await
}

pub(crate) async fn runs(
    settings: Settings,
    meeting: Option<String>,
    state: Option<String>,
) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
        let mut client = RunsClient::new(services.channel(Role::Meetings)?);
        let (meeting_id, state) = (meeting.unwrap_or_default(), state.unwrap_or_default());
        let runs = each_page(async |page| {
            let request = services.request(ops::ListRunsRequest {
                meeting_id: meeting_id.clone(),
                state: state.clone(),
                page: Some(page),
                ..Default::default()
            })?;
            let answer = client.list_runs(request).await.map_err(told)?.into_inner();
            Ok((answer.runs, answer.page_info))
        })
        .await?;
        print(&settings, runs.into_iter().map(run_row).collect())?;
        Ok(())
    })
    .await
}

pub(crate) async fn tenant(settings: Settings, verb: TenantVerb) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
        let mut client = AccountsClient::new(services.channel(Role::Accounts)?);
        let tenants = match verb {
            TenantVerb::Ensure { slug, name, hosts } => {
                let request = services.request(accounts::EnsureTenantRequest { slug, name, hosts })?;
                client.ensure_tenant(request).await.map_err(told)?.into_inner().tenant.into_iter().collect()
            }
            TenantVerb::List => {
                let request = services.request(accounts::ListTenantsRequest {})?;
                client.list_tenants(request).await.map_err(told)?.into_inner().tenants
            }
        };
        let rows = tenants.into_iter().map(|t| {
            (
                format!("{}  {:<20} {}", t.id, t.slug, t.name),
                json!({ "id": t.id, "slug": t.slug, "name": t.name }),
            )
        });
        print(&settings, rows.collect())?;
        Ok(())
    })
    .await
}

pub(crate) async fn role(settings: Settings, verb: RoleVerb) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
        let mut client = AccountsClient::new(services.channel(Role::Accounts)?);
        let user = match verb {
            RoleVerb::Grant { user, role } => {
                let request = accounts::GrantRoleRequest { user_id: user, role, ..Default::default() };
                client.grant_role(services.request(request)?).await.map_err(told)?.into_inner().user
            }
            RoleVerb::Revoke { user, role } => {
                let request = accounts::RevokeRoleRequest { user_id: user, role, ..Default::default() };
                client.revoke_role(services.request(request)?).await.map_err(told)?.into_inner().user
            }
        };
        let rows = user.into_iter().map(|u| {
            (
                format!("{}  {}: {}", u.id, u.display_name, u.roles.join(", ")),
                json!({ "id": u.id, "roles": u.roles }),
            )
        });
        print(&settings, rows.collect())?;
        Ok(())
    })
    .await
}

pub(crate) async fn withdraw(settings: Settings, meeting_id: String, reason: String) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
        let mut client = RecordsClient::new(services.channel(Role::Meetings)?);
        let request =
            services.request(ops::WithdrawMeetingRequest { meeting_id: meeting_id.clone(), reason })?;
        let changed = client.withdraw_meeting(request).await.map_err(told)?.into_inner().changed;
        let word = if changed { "withdrawn" } else { "was withdrawn already" };
        print(
            &settings,
            vec![(format!("{meeting_id} {word}"), json!({ "id": meeting_id, "changed": changed }))],
        )?;
        Ok(())
    })
    .await
}

pub(crate) async fn visibility(
    settings: Settings,
    artifact_id: String,
    visibility: cs_core::Visibility,
) -> anyhow::Result<()> {
    Services::during(&settings, async |services| {
        let mut client = RecordsClient::new(services.channel(Role::Meetings)?);
        let tag = match visibility {
            cs_core::Visibility::Public => common::Visibility::Public,
            cs_core::Visibility::Member => common::Visibility::Member,
            cs_core::Visibility::Reviewer => common::Visibility::Reviewer,
        };
        let request = services.request(ops::SetArtifactVisibilityRequest {
            artifact_id: artifact_id.clone(),
            visibility: tag.into(),
        })?;
        let changed = client.set_artifact_visibility(request).await.map_err(told)?.into_inner().changed;
        let word = if changed { "is" } else { "was already" };
        let line = format!("{artifact_id} {word} for: {}", visibility.as_str());
        print(&settings, vec![(line, json!({ "id": artifact_id, "changed": changed }))])?;
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_does_not_stop_at_its_first_page() {
        let all: Vec<u32> = (0..250).collect();
        let rows = each_page(async |page| {
            let from: usize = page.after.parse().unwrap_or(0);
            let to = (from + page.first as usize).min(all.len());
            let info =
                PageInfo { has_next_page: to < all.len(), end_cursor: to.to_string(), ..Default::default() };
            Ok((all[from..to].to_vec(), Some(info)))
        });
        assert_eq!(rows.await.unwrap(), all);
    }
}
