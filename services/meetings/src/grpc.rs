//! `meetings.v1.Meetings`: proto ⇄ use cases, no rules.

use std::pin::Pin;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use chrono::NaiveDate;
use cs_core::page::{Page, Paged, encode_cursor};
use cs_core::{InvalidId, Visibility};
use cs_policy::{Action, allow};
use cs_proto::common::v1::{BatchGetRequest, PageInfo, PageRequest};
use cs_proto::meetings::v1 as pb;
use cs_proto::meetings::v1::meetings_server::Meetings;
use cs_rpc::caller;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::ingest::{NewArtifact, NewCity, NewMeeting, ingest};
use crate::objects::name_of;
use crate::read::{self, Filter, MOST_IDS, MOST_SECTIONS, Order};
use crate::store::places;
use crate::{Deps, Error, messages, watch};

/// Bytes in one message of a streamed artifact.
const CHUNK: usize = 256 * 1024;

/// Most files of one meeting.
const MOST_FILES: u32 = 500;
/// Longest wait for the next part of an upload.
const IDLE: std::time::Duration = std::time::Duration::from_secs(30);

/// The service.
pub struct MeetingsService(Deps);

impl MeetingsService {
    /// Over `deps`.
    pub fn new(deps: Deps) -> Self {
        Self(deps)
    }
}

type Answer<T> = Result<Response<T>, Status>;
type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(crate) fn id<T: FromStr<Err = InvalidId>>(field: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|e: InvalidId| Error::invalid(field, e.to_string()))
}

pub(crate) fn optional_id<T: FromStr<Err = InvalidId>>(field: &str, text: &str) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

pub(crate) fn ids<T: FromStr<Err = InvalidId>>(field: &str, texts: &[String]) -> Result<Vec<T>, Error> {
    if texts.len() > MOST_IDS {
        return Err(Error::invalid(field, format!("at most {MOST_IDS} at once")));
    }
    texts.iter().map(|text| id(field, text)).collect()
}

fn date(field: &str, text: &str) -> Result<Option<NaiveDate>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Error::invalid(field, "must be a date, YYYY-MM-DD"))
}

pub(crate) fn page<K: DeserializeOwned>(request: Option<PageRequest>) -> Result<Page<K>, Error> {
    let r = request.unwrap_or_default();
    Ok(Page::parse(r.first, &r.after, r.last, &r.before)?)
}

/// Cursors and page info of rows keyed by `key`.
pub(crate) fn page_info<T, K: Serialize>(paged: &Paged<T>, key: impl Fn(&T) -> K) -> (Vec<String>, PageInfo) {
    let cursors: Vec<String> = paged.rows.iter().map(|row| encode_cursor(&key(row))).collect();
    let info = PageInfo {
        has_next_page: paged.has_next,
        has_previous_page: paged.has_previous,
        start_cursor: cursors.first().cloned().unwrap_or_default(),
        end_cursor: cursors.last().cloned().unwrap_or_default(),
    };
    (cursors, info)
}

fn uuid_of(ulid: &str) -> Uuid {
    ulid.parse::<cs_core::EventId>().map(cs_core::EventId::uuid).unwrap_or_default()
}

#[tonic::async_trait]
impl Meetings for MeetingsService {
    async fn list_cities(&self, request: Request<pb::ListCitiesRequest>) -> Answer<pb::ListCitiesResponse> {
        let caller = caller(&request)?;
        let page = page(request.into_inner().page)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let paged = read::cities(&mut tx, &page).await?;
        let (cursors, info) = page_info(&paged, |c| (c.name.clone(), uuid_of(&c.id)));
        Ok(Response::new(pb::ListCitiesResponse { cities: paged.rows, cursors, page_info: Some(info) }))
    }

    async fn batch_get_cities(
        &self,
        request: Request<BatchGetRequest>,
    ) -> Answer<pb::BatchGetCitiesResponse> {
        let caller = caller(&request)?;
        let ids: Vec<cs_core::CityId> = ids("ids", &request.get_ref().ids)?;
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let rows = places::cities(&mut tx, &ids).await.map_err(Error::from)?;
        Ok(Response::new(pb::BatchGetCitiesResponse {
            cities: rows.into_iter().map(messages::city).collect(),
        }))
    }

    async fn batch_get_bodies(
        &self,
        request: Request<BatchGetRequest>,
    ) -> Answer<pb::BatchGetBodiesResponse> {
        let caller = caller(&request)?;
        let ids: Vec<cs_core::BodyId> = ids("ids", &request.get_ref().ids)?;
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let rows = places::bodies(&mut tx, &ids).await.map_err(Error::from)?;
        Ok(Response::new(pb::BatchGetBodiesResponse {
            bodies: rows.into_iter().map(messages::body).collect(),
        }))
    }

    async fn list_meetings(
        &self,
        request: Request<pb::ListMeetingsRequest>,
    ) -> Answer<pb::ListMeetingsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let order = match request.order() {
            pb::MeetingOrder::DateAsc => Order::DateAsc,
            pb::MeetingOrder::Unspecified | pb::MeetingOrder::DateDesc => Order::DateDesc,
        };
        let filter = request.filter.unwrap_or_default();
        let filter = Filter {
            city: optional_id("filter.city_id", &filter.city_id)?,
            body: optional_id("filter.body_id", &filter.body_id)?,
            from: date("filter.from", &filter.from)?,
            to: date("filter.to", &filter.to)?,
            status: (!filter.status.is_empty()).then_some(filter.status),
            published: filter.published,
        };
        let page = page(request.page)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let paged = read::meetings(&mut tx, &caller, &filter, order, &page).await?;
        let (cursors, info) = page_info(&paged, |m| (m.date.clone(), uuid_of(&m.id)));
        Ok(Response::new(pb::ListMeetingsResponse { meetings: paged.rows, cursors, page_info: Some(info) }))
    }

    async fn batch_get_meetings(
        &self,
        request: Request<BatchGetRequest>,
    ) -> Answer<pb::BatchGetMeetingsResponse> {
        let caller = caller(&request)?;
        let ids: Vec<_> = ids("ids", &request.get_ref().ids)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let meetings = read::meetings_by_id(&mut tx, &caller, &ids).await?;
        Ok(Response::new(pb::BatchGetMeetingsResponse { meetings }))
    }

    async fn batch_list_artifacts(
        &self,
        request: Request<pb::BatchListArtifactsRequest>,
    ) -> Answer<pb::BatchListArtifactsResponse> {
        let caller = caller(&request)?;
        let ids: Vec<_> = ids("meeting_ids", &request.get_ref().meeting_ids)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let artifacts = read::artifacts_of(&mut tx, &caller, &ids).await?;
        Ok(Response::new(pb::BatchListArtifactsResponse { artifacts }))
    }

    async fn batch_get_artifacts(
        &self,
        request: Request<BatchGetRequest>,
    ) -> Answer<pb::BatchGetArtifactsResponse> {
        let caller = caller(&request)?;
        let ids: Vec<_> = ids("ids", &request.get_ref().ids)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let artifacts = read::artifacts_by_id(&mut tx, &caller, &ids).await?;
        Ok(Response::new(pb::BatchGetArtifactsResponse { artifacts }))
    }

    type ReadArtifactStream = Boxed<pb::ReadArtifactResponse>;

    async fn read_artifact(
        &self,
        request: Request<pb::ReadArtifactRequest>,
    ) -> Answer<Self::ReadArtifactStream> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let found = read::artifacts_by_id(&mut tx, &caller, &[id("id", &request.id)?]).await?.pop();
        drop(tx);
        let artifact = found.ok_or(Error::NotFound("artifact"))?;
        let end = if request.length == 0 {
            artifact.size_bytes
        } else {
            request.offset.saturating_add(request.length).min(artifact.size_bytes)
        };
        if request.offset > artifact.size_bytes {
            return Err(
                Error::invalid("offset", format!("the artifact has {} bytes", artifact.size_bytes)).into()
            );
        }
        let (objects, sha256) = (self.0.objects.clone(), artifact.sha256.clone());
        let head = stream::once(async move {
            Ok(pb::ReadArtifactResponse { artifact: Some(artifact), chunk: Vec::new() })
        });
        let body = stream::try_unfold(request.offset, move |at| {
            let (objects, sha256) = (objects.clone(), sha256.clone());
            async move {
                let length = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
                if length == 0 {
                    return Ok(None);
                }
                let bytes = objects.read(&sha256, at, length).await.map_err(Error::Objects)?;
                if bytes.is_empty() {
                    return Ok(None);
                }
                let next = at + bytes.len() as u64;
                Ok(Some((pb::ReadArtifactResponse { artifact: None, chunk: bytes.to_vec() }, next)))
            }
        });
        Ok(Response::new(Box::pin(head.chain(body))))
    }

    type ListTextVersionsStream = Boxed<pb::TextVersion>;

    async fn list_text_versions(
        &self,
        request: Request<pb::ListTextVersionsRequest>,
    ) -> Answer<Self::ListTextVersionsStream> {
        let caller = caller(&request)?;
        let meeting = id("meeting_id", &request.get_ref().meeting_id)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let texts = read::text_versions(&mut tx, &caller, meeting).await?;
        Ok(Response::new(Box::pin(stream::iter(texts.into_iter().map(Ok)))))
    }

    async fn batch_get_sections(
        &self,
        request: Request<pb::BatchGetSectionsRequest>,
    ) -> Answer<pb::BatchGetSectionsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        if request.refs.len() > MOST_SECTIONS {
            return Err(Error::invalid("refs", format!("at most {MOST_SECTIONS} at once")).into());
        }
        let meeting = id("meeting_id", &request.meeting_id)?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let sections = read::sections(&mut tx, &caller, meeting, &request.refs).await?;
        Ok(Response::new(pb::BatchGetSectionsResponse { sections }))
    }

    type WatchPublishedStream = Boxed<pb::WatchPublishedResponse>;

    async fn watch_published(
        &self,
        request: Request<pb::WatchPublishedRequest>,
    ) -> Answer<Self::WatchPublishedStream> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let city = optional_id("city_id", &request.city_id)?;
        let stream = watch::published(&self.0, caller, city, &request.after).await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn ingest_meeting(
        &self,
        request: Request<Streaming<pb::IngestMeetingRequest>>,
    ) -> Answer<pb::IngestMeetingResponse> {
        let caller = caller(&request)?;
        allow(&caller, Action::Operate).map_err(Error::from)?;
        let (city, meeting) = receive(&self.0, request.into_inner()).await?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let done = ingest(&mut tx, &caller, &self.0.ids, &city, &meeting).await?;
        tx.commit().await.map_err(Error::from)?;
        Ok(Response::new(pb::IngestMeetingResponse {
            meeting_id: done.meeting.to_string(),
            run_id: done.run.map(|r| r.to_string()).unwrap_or_default(),
            changed: done.changed,
        }))
    }

    async fn add_city(&self, request: Request<pb::AddCityRequest>) -> Answer<pb::AddCityResponse> {
        let caller = caller(&request)?;
        allow(&caller, Action::Operate).map_err(Error::from)?;
        let r = request.into_inner();
        let city = NewCity { slug: r.slug, name: r.name, time_zone: r.time_zone, language: r.language };
        city.check()?;
        let mut tx = self.0.db.tenant(&caller).await.map_err(Error::from)?;
        let row = places::put_city(&mut tx, self.0.ids.next(), &city, self.0.ids.now())
            .await
            .map_err(Error::from)?;
        tx.commit().await.map_err(Error::from)?;
        Ok(Response::new(pb::AddCityResponse { city: Some(messages::city(row)) }))
    }
}

/// Reads a meeting from its stream: a header, then each file's header and bytes.
async fn receive(
    deps: &Deps,
    mut parts: Streaming<pb::IngestMeetingRequest>,
) -> Result<(NewCity, NewMeeting), Status> {
    use pb::ingest_meeting_request::Part;
    let Some(Part::Header(header)) = parts.message().await?.and_then(|m| m.part) else {
        return Err(Error::invalid("header", "the first message must carry the header").into());
    };
    if header.file_count > MOST_FILES {
        return Err(Error::invalid("file_count", format!("a meeting has at most {MOST_FILES} files")).into());
    }
    let announced = header.file_count as usize;
    let (city, mut meeting) = from_header(header)?;
    let mut open: Option<(pb::IngestFile, BytesMut)> = None;
    while let Some(message) = next(&mut parts).await? {
        match message.part {
            Some(Part::File(file)) => {
                if meeting.artifacts.len() + usize::from(open.is_some()) == announced {
                    return Err(
                        Error::invalid("file_count", format!("{announced} files were announced")).into()
                    );
                }
                if let Some(done) = open.take() {
                    meeting.artifacts.push(keep(deps, done).await?);
                }
                open = Some((file, BytesMut::new()));
            }
            Some(Part::Chunk(chunk)) => {
                let Some((file, bytes)) = &mut open else {
                    return Err(Error::invalid("chunk", "a file's header must come before its bytes").into());
                };
                if (bytes.len() + chunk.len()) as u64 > deps.max_artifact_bytes {
                    let size_bytes = file.size_bytes.max((bytes.len() + chunk.len()) as u64);
                    let file_name = std::mem::take(&mut file.file_name);
                    return Err(
                        Error::TooLarge { file_name, size_bytes, limit: deps.max_artifact_bytes }.into()
                    );
                }
                bytes.extend_from_slice(&chunk);
            }
            Some(Part::Header(_)) | None => {
                return Err(Error::invalid("part", "must be a file or a chunk").into());
            }
        }
    }
    if let Some(done) = open {
        meeting.artifacts.push(keep(deps, done).await?);
    }
    if meeting.artifacts.len() != announced {
        let rule = format!(
            "{announced} files were announced, {} came: send the meeting again",
            meeting.artifacts.len()
        );
        return Err(Error::invalid("file_count", rule).into());
    }
    Ok((city, meeting))
}

/// The next part; a sender that stops sending does not keep its place.
async fn next(
    parts: &mut Streaming<pb::IngestMeetingRequest>,
) -> Result<Option<pb::IngestMeetingRequest>, Status> {
    tokio::time::timeout(IDLE, parts.message())
        .await
        .map_err(|_| Status::deadline_exceeded("nothing came for a while: send the meeting again"))?
}

fn from_header(h: pb::IngestHeader) -> Result<(NewCity, NewMeeting), Error> {
    let visibility = match h.visibility() {
        cs_proto::common::v1::Visibility::Member => Visibility::Member,
        cs_proto::common::v1::Visibility::Reviewer => Visibility::Reviewer,
        cs_proto::common::v1::Visibility::Public | cs_proto::common::v1::Visibility::Unspecified => {
            Visibility::Public
        }
    };
    let starts_at = match h.starts_at.as_str() {
        "" => None,
        text => Some(
            chrono::DateTime::parse_from_rfc3339(text)
                .map_err(|_| Error::invalid("starts_at", "must be RFC 3339"))?
                .to_utc(),
        ),
    };
    let name = if h.city_name.is_empty() { title_case(&h.city) } else { h.city_name };
    let some = |text: String| (!text.is_empty()).then_some(text);
    let city = NewCity {
        slug: h.city,
        name,
        time_zone: if h.time_zone.is_empty() { "UTC".to_owned() } else { h.time_zone },
        language: if h.language.is_empty() { "en".to_owned() } else { h.language },
    };
    let meeting = NewMeeting {
        meeting_uid: h.meeting_uid,
        title: h.title,
        body: h.body,
        date: date("date", &h.date)?.ok_or_else(|| Error::invalid("date", "must be given"))?,
        starts_at,
        location: some(h.location),
        status: some(h.status),
        visibility,
        derivation: h.derivation,
        artifacts: Vec::new(),
    };
    Ok((city, meeting))
}

fn title_case(slug: &str) -> String {
    let word =
        |w: &str| w.chars().take(1).flat_map(char::to_uppercase).chain(w.chars().skip(1)).collect::<String>();
    slug.split('-').map(word).collect::<Vec<_>>().join(" ")
}

async fn keep(deps: &Deps, (file, bytes): (pb::IngestFile, BytesMut)) -> Result<NewArtifact, Error> {
    let kind = file
        .kind
        .parse()
        .map_err(|e: cs_core::document::UnknownArtifactKind| Error::invalid("kind", e.to_string()))?;
    let bytes: Bytes = bytes.freeze();
    let refused = if !file.error.is_empty() {
        Some(file.error.clone())
    } else if file.size_bytes > deps.max_artifact_bytes {
        let (size, most) = (file.size_bytes >> 20, deps.max_artifact_bytes >> 20);
        Some(format!("too_large: {size} MB, at most {most} MB are taken: split it"))
    } else {
        None
    };
    let (sha256, size_bytes) = if let Some(why) = &refused {
        (name_of(format!("{}|{}|{why}", file.file_name, file.size_bytes).as_bytes()), file.size_bytes)
    } else if file.size_bytes != bytes.len() as u64 {
        let rule = format!(
            "{} bytes of {} were announced, {} came: send it again",
            file.size_bytes,
            file.file_name,
            bytes.len()
        );
        return Err(Error::invalid("size_bytes", rule));
    } else {
        (name_of(&bytes), bytes.len() as u64)
    };
    if refused.is_none() {
        deps.objects.put(&sha256, bytes).await.map_err(Error::Objects)?;
    }
    Ok(NewArtifact {
        kind,
        title: if file.title.is_empty() { file.file_name.clone() } else { file.title },
        file_name: file.file_name,
        source_url: (!file.source_url.is_empty()).then_some(file.source_url),
        sha256,
        size_bytes,
        refused,
    })
}
