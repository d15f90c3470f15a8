//! Meetings.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, InputObject, Lookahead, Object, Result, Value};
use cs_proto::common::v1::PageRequest;
use cs_proto::meetings::v1 as pb;
use cs_proto::summaries::v1::ClaimKind;

use super::agenda::AgendaItem;
use super::artifact::Artifact;
use super::city::{Body, City};
use super::summary::Summary;
use super::{page, words};
use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::loaders::View;
use crate::graphql::scalars::{Date, DateTime, text, time};
use crate::graphql::scope::{Scope, read};

words! {
    /// Whether the sitting takes place.
    MeetingStatus { Scheduled = "scheduled", Held = "held", Cancelled = "cancelled", Postponed = "postponed" }
}

words! {
    /// Where the latest run of a meeting stands.
    RunState {
        Requested = "requested",
        Ingested = "ingested",
        Extracted = "extracted",
        Summarized = "summarized",
        Published = "published",
        LimitedConfidence = "limited_confidence",
        Rejected = "rejected",
        Failed = "failed",
    }
}

/// The order of a list of meetings.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MeetingOrder {
    /// The newest first.
    DateDesc,
    /// The oldest first.
    DateAsc,
}

/// Which meetings.
#[derive(InputObject, Default)]
pub(crate) struct MeetingFilter {
    pub(crate) city_id: Option<ID>,
    pub(crate) body_id: Option<ID>,
    /// From this date on, inclusive.
    pub(crate) from: Option<Date>,
    /// Up to this date, inclusive.
    pub(crate) to: Option<Date>,
    pub(crate) status: Option<MeetingStatus>,
    /// Only meetings with a published summary.
    pub(crate) published: Option<bool>,
}

impl MeetingFilter {
    fn message(self) -> Result<pb::MeetingFilter, Fault> {
        let own =
            |kind: Kind, id: Option<ID>, field: &str| id.map_or(Ok(String::new()), |id| kind.own(&id, field));
        Ok(pb::MeetingFilter {
            city_id: own(Kind::City, self.city_id, "filter.cityId")?,
            body_id: own(Kind::Body, self.body_id, "filter.bodyId")?,
            from: self.from.map(|date| date.0).unwrap_or_default(),
            to: self.to.map(|date| date.0).unwrap_or_default(),
            status: self.status.map(|status| status.word().to_owned()).unwrap_or_default(),
            published: self.published.unwrap_or(false),
        })
    }
}

/// A page of meetings: one call, whatever hangs below.
pub(crate) async fn list(
    context: &Context<'_>,
    filter: Option<MeetingFilter>,
    order: Option<MeetingOrder>,
    page: PageRequest,
) -> Result<Connection<String, Meeting>, Fault> {
    let scope = Scope::of(context);
    let order = match order {
        None => pb::MeetingOrder::Unspecified,
        Some(MeetingOrder::DateDesc) => pb::MeetingOrder::DateDesc,
        Some(MeetingOrder::DateAsc) => pb::MeetingOrder::DateAsc,
    };
    let request = pb::ListMeetingsRequest {
        filter: filter.map(MeetingFilter::message).transpose()?,
        order: order.into(),
        page: Some(page),
    };
    let answer = read!(scope.calls, meetings.list_meetings, request)?;
    Ok(page::connection(answer.meetings, answer.cursors, answer.page_info, |meeting| {
        Meeting(Arc::new(meeting))
    }))
}

/// One sitting of a body.
pub(crate) struct Meeting(pub(crate) Arc<pb::Meeting>);

/// One sitting of a body.
#[Object]
impl Meeting {
    pub(crate) async fn id(&self) -> ID {
        Kind::Meeting.id(&self.0.id)
    }

    /// Its identity within its city.
    async fn meeting_uid(&self) -> &str {
        &self.0.meeting_uid
    }

    async fn city(&self, context: &Context<'_>) -> Result<City> {
        let found = Scope::of(context).loaders.cities.load(self.0.city_id.clone()).await?;
        Ok(City(found.ok_or_else(Fault::not_found)?))
    }

    async fn body(&self) -> Body {
        Body { id: self.0.body_id.clone(), name: self.0.body_name.clone() }
    }

    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The local date of the sitting.
    async fn date(&self) -> Date {
        Date(self.0.date.clone())
    }

    /// null: only the date is known.
    async fn starts_at(&self) -> Option<DateTime> {
        time(&self.0.starts_at)
    }

    async fn location(&self) -> Option<&str> {
        text(&self.0.location)
    }

    async fn status(&self) -> Result<MeetingStatus> {
        Ok(MeetingStatus::of(&self.0.status)?)
    }

    /// Where its latest run stands.
    async fn run_state(&self) -> Result<RunState> {
        Ok(RunState::of(&self.0.run_state)?)
    }

    /// Why it stands there, where that needs saying.
    async fn run_reason(&self) -> Option<&str> {
        text(&self.0.run_reason)
    }

    #[graphql(complexity = "5 * child_complexity")]
    async fn artifacts(&self, context: &Context<'_>) -> Result<Vec<Artifact>> {
        let found = Scope::of(context).loaders.artifacts_of.load(self.0.id.clone()).await?;
        Ok(found.map(|list| list.iter().cloned().map(Artifact).collect()).unwrap_or_default())
    }

    /// What was before the body, in the order of the record, as the current summary records it; empty where none is
    /// published (yet).
    #[graphql(complexity = "10 * child_complexity")]
    async fn agenda_items(&self, context: &Context<'_>) -> Result<Vec<AgendaItem>> {
        let found = Scope::of(context).loaders.agendas.load(self.0.id.clone()).await?;
        Ok(found.map(|agenda| AgendaItem::all(&agenda)).unwrap_or_default())
    }

    /// null: no summary is published (yet); runState says why.
    async fn summary(&self, context: &Context<'_>) -> Result<Option<Summary>> {
        let key = (self.0.id.clone(), selected(context.look_ahead()));
        Ok(Scope::of(context).loaders.summaries.load(key).await?.map(Summary))
    }
}

/// What of a summary a selection needs.
pub(crate) fn selected(below: Lookahead<'_>) -> View {
    let mut view = View::default();
    for (field, kind) in
        [("decisions", ClaimKind::Decision), ("actions", ClaimKind::Action), ("topics", ClaimKind::Topic)]
    {
        if below.field(field).exists() {
            view.add(kind);
        }
    }
    // A claim of the short summary can be of any kind.
    if below.field("highlights").exists() {
        view.add_all();
    }
    for claims in below.field("claims").selection_fields() {
        let kind = claims
            .arguments()
            .ok()
            .and_then(|arguments| arguments.into_iter().find(|(name, _)| name == "kind"))
            .and_then(|(_, value)| match value {
                Value::Enum(word) => Some(word.to_string()),
                Value::String(word) => Some(word),
                _ => None,
            });
        match kind.as_deref() {
            Some("DECISION") => view.add(ClaimKind::Decision),
            Some("ACTION") => view.add(ClaimKind::Action),
            Some("TOPIC") => view.add(ClaimKind::Topic),
            Some("FACT") => view.add(ClaimKind::Fact),
            _ => view.add_all(),
        }
    }
    view.evidence = ["decisions", "actions", "topics", "highlights", "claims"]
        .iter()
        .any(|field| below.field(field).field("evidence").exists());
    view
}

/// A summary became current.
pub(crate) struct MeetingPublished {
    pub(crate) meeting: Arc<pb::Meeting>,
    pub(crate) version: u64,
}

/// A summary became current.
#[Object]
impl MeetingPublished {
    async fn meeting(&self) -> Meeting {
        Meeting(self.meeting.clone())
    }

    /// Of the summary.
    async fn version(&self) -> u64 {
        self.version
    }
}
