//! The bundled city: a few New Orleans meetings, and one more that is published once somebody follows the city, so that
//! a newcomer sees a notification arrive.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cs_core::{Caller, TenantId, Trace};
use cs_events::{Consumer, Envelope, EventHandler, HandlerError, RetryPolicy};
use cs_proto::common::v1::PageRequest;
use cs_proto::events::v1::AccountHomeCityChanged;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::meetings::v1::{AddCityRequest, ListCitiesRequest};
use cs_proto::ops::v1::sources_client::SourcesClient;
use cs_proto::ops::v1::{AddSourceRequest, ScanCityRequest};
use include_dir::{Dir, include_dir};

use crate::commands::{Local, each_page};
use crate::data_dir::DataDir;
use crate::wiring::Role;

static DOCUMENTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../demo/new-orleans");
static LATER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../demo/later");

const SLUG: &str = "new-orleans";
const QUEUE: &str = "demo";
/// So that who has just chosen the city sees its page before the news.
const PAUSE: Duration = Duration::from_secs(4);

/// Loads the city into the default tenant. Repeating it changes nothing.
pub async fn load(local: &Local, dir: &DataDir) -> anyhow::Result<()> {
    let folder = folder(dir);
    unpack(&DOCUMENTS, &folder)?;
    let caller = caller();
    let outbound = local.stack.outbound("meetings");
    let deadline = Duration::from_secs(30);
    let mut meetings = MeetingsClient::new(local.stack.channel(Role::Meetings)?);
    let city = AddCityRequest {
        slug: SLUG.to_owned(),
        name: "New Orleans".to_owned(),
        time_zone: "America/Chicago".to_owned(),
        language: "en".to_owned(),
    };
    meetings.add_city(outbound.request(&caller, city, deadline)?).await?;
    let mut sources = SourcesClient::new(local.stack.channel(Role::Meetings)?);
    let source = AddSourceRequest {
        city: SLUG.to_owned(),
        kind: "folder".to_owned(),
        location: folder.display().to_string(),
        schedule: "15m".to_owned(),
    };
    sources.add_source(outbound.request(&caller, source, deadline)?).await?;
    resume(local, dir).await
}

/// Whether the default tenant has no city yet.
pub async fn nothing_there(local: &Local) -> anyhow::Result<bool> {
    let request = ListCitiesRequest { page: Some(PageRequest { first: 1, ..Default::default() }) };
    let request = local.stack.outbound("meetings").request(&caller(), request, Duration::from_secs(10))?;
    let mut meetings = MeetingsClient::new(local.stack.channel(Role::Meetings)?);
    Ok(meetings.list_cities(request).await?.into_inner().cities.is_empty())
}

/// Waits for the first follower, where the city is loaded and the later meeting is not published yet.
pub async fn resume(local: &Local, dir: &DataDir) -> anyhow::Result<()> {
    if !folder(dir).exists() {
        return Ok(());
    }
    let Some(city) = city_id(local).await? else { return Ok(()) };
    let handler = FirstFollower {
        folder: folder(dir),
        city,
        sources: SourcesClient::new(local.stack.channel(Role::Meetings)?),
        outbound: local.stack.outbound("meetings"),
    };
    let consumer =
        Consumer::new(local.stack.bus(), QUEUE, std::sync::Arc::new(handler), RetryPolicy::STANDARD);
    consumer.subscribe().await?;
    consumer.run(&local.stack.tasks, &local.stack.wakeups, 1);
    Ok(())
}

/// The bundled city's id.
async fn city_id(local: &Local) -> anyhow::Result<Option<String>> {
    let mut meetings = MeetingsClient::new(local.stack.channel(Role::Meetings)?);
    let cities = each_page(async |page| {
        let request = ListCitiesRequest { page: Some(page) };
        let request =
            local.stack.outbound("meetings").request(&caller(), request, Duration::from_secs(10))?;
        let answer = meetings.list_cities(request).await?.into_inner();
        Ok((answer.cities, answer.page_info))
    });
    Ok(cities.await?.into_iter().find(|city| city.slug == SLUG).map(|city| city.id))
}

fn folder(dir: &DataDir) -> PathBuf {
    dir.path().join("demo").join(SLUG)
}

fn caller() -> Caller {
    Caller::service("meetings", TenantId::of_slug("default"), Trace::start())
}

fn unpack(from: &Dir<'_>, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in from.files() {
        let path = to.join(file.path().file_name().unwrap_or_default());
        // A file that is there keeps its time, so that the source looks unchanged.
        if !path.exists() {
            std::fs::write(path, file.contents())?;
        }
    }
    for dir in from.dirs() {
        unpack(dir, &to.join(dir.path().file_name().unwrap_or_default()))?;
    }
    Ok(())
}

struct FirstFollower {
    folder: PathBuf,
    city: String,
    sources: SourcesClient<cs_rpc::Channel>,
    outbound: cs_rpc::Outbound,
}

#[async_trait::async_trait]
impl EventHandler for FirstFollower {
    fn types(&self) -> &'static [&'static str] {
        &["account.home_city_changed"]
    }

    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        let event: AccountHomeCityChanged = envelope.payload()?;
        if !is_first_follower(&event, envelope.tenant_id, &self.city) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
        // Unpacking twice and scanning twice change nothing the second time.
        unpack(&LATER, &self.folder).map_err(|e| HandlerError::Transient(e.to_string()))?;
        let request = self.outbound.request(
            &caller(),
            ScanCityRequest { city: SLUG.to_owned() },
            Duration::from_secs(30),
        )?;
        self.sources.clone().scan_city(request).await?;
        Ok(())
    }
}

/// Whether somebody chose the bundled city as home. Whoever follows another city waits for other news.
fn is_first_follower(event: &AccountHomeCityChanged, tenant: TenantId, city: &str) -> bool {
    event.city_id == city && tenant == TenantId::of_slug("default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bundled_city_is_followed_here() {
        let chosen = |city: &str| AccountHomeCityChanged { city_id: city.to_owned(), ..Default::default() };
        let here = TenantId::of_slug("default");
        assert!(is_first_follower(&chosen("ours"), here, "ours"));
        assert!(!is_first_follower(&chosen("another"), here, "ours"), "another city's resident");
        assert!(!is_first_follower(&chosen(""), here, "ours"), "no home any more");
        assert!(!is_first_follower(&chosen("ours"), TenantId::of_slug("tenant-b"), "ours"));
    }
}
