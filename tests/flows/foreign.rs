//! Every method of every service, asked by another tenant with this one's ids: nothing is read, nothing is changed.
//!
//! The methods come from the contracts themselves, so that one that is added is asked too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Buf, BufMut};
use councilsense::wiring::Role;
use cs_core::{Caller, Subject, TenantId, Trace};
use cs_proto::notifications::v1 as nt;
use cs_proto::notifications::v1::notifications_client::NotificationsClient;
use cs_proto::ops::v1::AddSourceRequest;
use cs_proto::ops::v1::sources_client::SourcesClient;
use cs_proto::summaries::v1::FlagClaimRequest;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use futures::StreamExt;
use prost::Message;
use prost::encoding::{encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use sqlx::{Connection, PgConnection};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

use crate::erasure::{settle, sign_in};
use crate::harness::{Harness, MINUTES, Mode, anonymous, operator};
use crate::pipeline::{meeting, summary};

/// In the documents of the tenant that is asked about, and in nothing that is asked.
const WORD: &str = "Lindqvist";
const SCHEMAS: [&str; 4] = ["accounts", "meetings", "summaries", "notifications"];
/// These are about the whole installation: which tenants it has, and which index it serves.
const OF_ALL_TENANTS: [&str; 5] =
    ["ListTenants", "ResolveTenant", "EnsureTenant", "Reindex", "RollBackIndex"];
/// Fields that say where a page begins: what is no cursor is refused before anything is looked at.
const CURSORS: [&str; 4] = ["after", "before", "cursor", "resume_after"];

/// Bytes as they stand on the wire.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

/// A method: who serves it, its path, the full name of what it takes, and how long it is heard.
struct Method {
    role: Role,
    name: String,
    path: String,
    takes: String,
    heard: Duration,
}

/// The contracts: every message by its full name, and every method.
struct Contracts {
    messages: BTreeMap<String, DescriptorProto>,
    methods: Vec<Method>,
}

impl Contracts {
    fn read() -> Self {
        let files = FileDescriptorSet::decode(cs_proto::FILE_DESCRIPTOR_SET).unwrap().file;
        let (mut messages, mut methods) = (BTreeMap::new(), Vec::new());
        for file in files {
            let package = file.package().to_owned();
            for message in file.message_type {
                messages.insert(format!(".{package}.{}", message.name()), message);
            }
            for service in file.service {
                for method in &service.method {
                    for role in served_by(&package, service.name()) {
                        methods.push(Method {
                            role,
                            name: method.name().to_owned(),
                            path: format!("/{package}.{}/{}", service.name(), method.name()),
                            takes: method.input_type().to_owned(),
                            // Whoever watches hears of what was before at once, and of nothing else until something happens.
                            heard: if method.server_streaming() { MOMENT } else { LONGEST },
                        });
                    }
                }
            }
        }
        Self { messages, methods }
    }

    /// What to ask a method: once with each id, where it takes one of any kind.
    fn messages_of(&self, method: &Method, ids: &BTreeMap<String, String>) -> BTreeSet<Vec<u8>> {
        ids.values().map(|id| self.filled(&method.takes, id, ids, 0)).collect()
    }

    /// A message with something in each field: `id` where an id of any kind may stand, and where its name says which, one of
    /// that kind.
    fn filled(&self, name: &str, id: &str, ids: &BTreeMap<String, String>, depth: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in self.messages.get(name).map(|m| m.field.as_slice()).unwrap_or_default() {
            self.fill(field, id, ids, depth, &mut bytes);
        }
        bytes
    }

    fn fill(
        &self,
        field: &FieldDescriptorProto,
        id: &str,
        ids: &BTreeMap<String, String>,
        depth: usize,
        to: &mut Vec<u8>,
    ) {
        let tag = u32::try_from(field.number()).unwrap();
        let (name, repeated) = (field.name(), field.label() == Label::Repeated);
        let kind = name.trim_end_matches('s').trim_end_matches("_id");
        match field.r#type() {
            Type::String if CURSORS.contains(&name) => {}
            Type::String if name == "ids" && repeated => {
                ids.values().for_each(|id| prost::encoding::string::encode(tag, id, to));
            }
            Type::String => {
                let is_id = name == "id" || name == "ids" || name.ends_with("_id") || name.ends_with("_ids");
                let other = match name {
                    "query" => "Riverside",
                    "time_zone" => "America/Chicago",
                    "url" | "endpoint" => "https://hooks.example.com/council",
                    "city" | "slug" => "springfield",
                    _ => "other",
                };
                let value = if is_id { ids.get(kind).map_or(id, String::as_str) } else { other };
                prost::encoding::string::encode(tag, &value.to_owned(), to);
            }
            Type::Message if depth < 3 => {
                let within = self.filled(field.type_name(), id, ids, depth + 1);
                prost::encoding::bytes::encode(tag, &within, to);
            }
            Type::Bool | Type::Int32 | Type::Int64 | Type::Uint32 | Type::Uint64 | Type::Enum => {
                encode_key(tag, prost::encoding::WireType::Varint, to);
                encode_varint(1, to);
            }
            _ => {}
        }
    }
}

fn served_by(package: &str, service: &str) -> Vec<Role> {
    match (package.split('.').nth(1).unwrap_or_default(), service) {
        ("accounts", _) => vec![Role::Accounts],
        ("meetings", _) | ("ops", "Runs" | "Sources" | "Records") => vec![Role::Meetings],
        ("summaries", _) => vec![Role::Summaries],
        ("notifications", _) => vec![Role::Notifications],
        ("search", _) | ("ops", "Indexes") => vec![Role::Search],
        ("ops", "DeadLetters") => {
            vec![Role::Accounts, Role::Meetings, Role::Summaries, Role::Notifications, Role::Search]
        }
        // Sessions are no tenant's rows; tests/flows/strangers.rs asks the BFF.
        ("bff", _) => Vec::new(),
        (package, service) => panic!("who serves {package} {service}?"),
    }
}

const MOMENT: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(60);

/// What a method answers, of what never ends all that comes within a moment, or how it refuses.
async fn ask(h: &Harness, method: &Method, caller: &Caller, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(h.channel(method.role));
    client.ready().await.unwrap();
    let request = h.request(caller, futures::stream::iter([message]));
    let path = method.path.parse().unwrap();
    let mut answer = client.streaming(request, path, Raw).await?.into_inner();
    let mut all = Vec::new();
    loop {
        match tokio::time::timeout(method.heard, answer.next()).await {
            Ok(Some(part)) => all.extend(part?),
            Ok(None) => return Ok(all),
            Err(_) => {
                assert!(method.heard < LONGEST, "{} does not answer", method.path);
                return Ok(all);
            }
        }
    }
}

/// A tenant's rows, all of them, by table.
async fn rows(admin: &mut PgConnection, tenant: TenantId) -> BTreeMap<String, String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relkind = 'r' AND a.attname = 'tenant_id' AND n.nspname = ANY ($1)",
    )
    .bind(SCHEMAS.map(str::to_owned).to_vec())
    .fetch_all(&mut *admin)
    .await
    .unwrap();
    let mut all = BTreeMap::new();
    for table in tables {
        let sql = format!(
            "SELECT string_agg(t::text, E'\\n' ORDER BY t::text) FROM {table} t WHERE tenant_id = $1"
        );
        let text: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(tenant.uuid())
            .fetch_one(&mut *admin)
            .await
            .unwrap();
        all.insert(table, text.unwrap_or_default());
    }
    all
}

/// An id of each table that has one: by the table's name in the singular.
async fn one_of_each(admin: &mut PgConnection, tenant: TenantId) -> BTreeMap<String, String> {
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         JOIN pg_attribute i ON i.attrelid = c.oid AND i.attname = 'id' AND i.atttypid = 'uuid'::regtype
         WHERE c.relkind = 'r' AND n.nspname = ANY ($1)",
    )
    .bind(SCHEMAS.map(str::to_owned).to_vec())
    .fetch_all(&mut *admin)
    .await
    .unwrap();
    let mut ids = BTreeMap::new();
    for (schema, table) in tables {
        let sql = format!("SELECT id FROM {schema}.{table} WHERE tenant_id = $1 LIMIT 1");
        let id: Option<uuid::Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(tenant.uuid())
            .fetch_optional(&mut *admin)
            .await
            .unwrap();
        let kind =
            table.strip_suffix("ies").map_or(table.trim_end_matches('s').to_owned(), |t| format!("{t}y"));
        ids.extend(id.map(|id| (kind, TenantId::from(id).to_string())));
    }
    ids
}

/// Fills a tenant: documents, a person who follows and is told, a source, a flag, a webhook.
async fn fill(h: &Harness, tenant: TenantId, folder: &std::path::Path) -> Caller {
    let ops = operator(tenant);
    let first =
        h.ingest(&ops, "springfield", "first", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    h.drain().await;
    let reader = anonymous(tenant);
    let city = meeting(h, &reader, &first.meeting_id).await.city_id;
    let person = sign_in(h, tenant, "ada").await;
    settle(h, &person, &city).await;
    let source = AddSourceRequest {
        city: "springfield".into(),
        kind: "folder".into(),
        location: folder.display().to_string(),
        schedule: String::new(),
    };
    SourcesClient::new(h.channel(Role::Meetings)).add_source(h.request(&ops, source)).await.unwrap();
    let claim = summary(h, &reader, &first.meeting_id).await.unwrap().claims.remove(0).id;
    let flag = FlagClaimRequest { claim_id: claim, reason: "other".into(), note: "by ada".into() };
    SummariesClient::new(h.channel(Role::Summaries)).flag_claim(h.request(&person, flag)).await.unwrap();
    let later = format!("{MINUTES}\nLater.\n");
    h.ingest(&ops, "springfield", "second", &[("second.txt", "minutes", later.as_bytes())]).await;
    h.drain().await;
    // Not before: nothing is sent there.
    let mut notifications = NotificationsClient::new(h.channel(Role::Notifications));
    let hook = nt::AddWebhookRequest { url: "https://hooks.example.com/of-ada".into(), ..Default::default() };
    notifications.add_webhook(h.request(&person, hook)).await.unwrap();
    person
}

#[tokio::test(flavor = "multi_thread")]
async fn no_method_reads_or_changes_what_is_another_tenants() {
    let h = Harness::start("foreign", Mode::Together).await;
    let (ours, theirs) = (h.tenant().await, h.tenant().await);
    let folder = tempfile::tempdir().unwrap();
    let ada = fill(&h, ours, folder.path()).await;
    let mut admin = PgConnection::connect(h.database.as_str()).await.unwrap();
    let ids = one_of_each(&mut admin, ours).await;
    for kind in ["meeting", "artifact", "run", "city", "body", "source", "summary", "claim", "user", "follow"]
    {
        assert!(ids.contains_key(kind), "{kind}: {ids:?}");
    }
    let contracts = Contracts::read();
    assert!(contracts.methods.len() > 80, "only {} methods", contracts.methods.len());
    let asked = || contracts.methods.iter().filter(|m| !OF_ALL_TENANTS.contains(&m.name.as_str()));
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    let shows = |bytes: &[u8]| holds(bytes, WORD) || ids.values().any(|id| holds(bytes, id));

    // Whose they are reads them: the ids are those that these methods take.
    let mut read = BTreeSet::new();
    let reads = ["Get", "BatchGet", "BatchList", "List", "Read", "Search"];
    for method in asked().filter(|m| reads.iter().any(|verb| m.name.starts_with(verb))) {
        for caller in [&operator(ours), &ada, &Caller::service("bff", ours, Trace::start())] {
            let messages = contracts.messages_of(method, &ids).into_iter();
            let answers = messages.map(|message| ask(&h, method, caller, message));
            let answers = futures::future::join_all(answers).await;
            if answers.into_iter().flatten().any(|bytes| shows(&bytes)) {
                read.insert(method.path.clone());
            }
        }
    }
    assert!(read.len() >= 20, "{read:?}");

    let stranger = sign_in(&h, theirs, "eve").await;
    // An owner may all that reviewers and operators may.
    let owner = Caller {
        subject: Subject::Operator("test".to_owned()),
        roles: [cs_core::Role::Owner].into(),
        ..Caller::service("test", theirs, Trace::start())
    };
    let strangers = [anonymous(theirs), stranger, owner, Caller::service("bff", theirs, Trace::start())];
    let before = rows(&mut admin, ours).await;
    for method in asked() {
        for caller in &strangers {
            let messages = contracts.messages_of(method, &ids).into_iter();
            let answers = messages.map(|message| ask(&h, method, caller, message));
            for answer in futures::future::join_all(answers).await {
                match answer {
                    Ok(bytes) => {
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        assert!(!shows(&bytes), "{} by {:?}: {text}", method.path, caller.subject);
                    }
                    Err(refused) => {
                        let broken =
                            [Code::Internal, Code::Unknown, Code::Unavailable, Code::DeadlineExceeded];
                        assert!(!broken.contains(&refused.code()), "{}: {refused:?}", method.path);
                        assert!(!refused.message().contains(WORD), "{}: {refused:?}", method.path);
                    }
                }
            }
        }
    }
    h.drain().await;
    let after = rows(&mut admin, ours).await;
    for (table, text) in &before {
        assert_eq!(&after[table], text, "{table} was changed");
    }

    // And rows are what a change shows in.
    let follow = nt::FollowRequest { kind: "topic".into(), target_id: "budget".into(), ..Default::default() };
    NotificationsClient::new(h.channel(Role::Notifications)).follow(h.request(&ada, follow)).await.unwrap();
    assert_ne!(rows(&mut admin, ours).await, before);
}
