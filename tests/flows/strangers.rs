//! Two tenants behind one BFF: an id of the other tenant is answered as an id of nothing, byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use councilsense::wiring::{Role, system_clock};
use cs_core::{Ids, TenantId};
use cs_proto::ops::v1::AddSourceRequest;
use cs_proto::ops::v1::sources_client::SourcesClient;
use serde_json::{Value, json};

use crate::edge::Edge;
use crate::harness::{Harness, MINUTES, Mode, operator};

/// Without the request's name, and with the same word for the id that was asked for.
fn plain((status, text): (u16, String), id: &str) -> (u16, String) {
    let mut parts = text.split("\"requestId\":\"");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest += "\"requestId\":\"…";
        rest += &part[part.find('"').unwrap()..];
    }
    (status, rest.replace(id, "ID"))
}

/// What an id of this kind is asked with, beside `node` and `nodes`, with which each is.
fn asked_with(kind: &str) -> &'static [&'static str] {
    match kind {
        "Meeting" => &[
            "query($id: ID!) { meeting(id: $id) { title summary { id } artifacts { id } } }",
            "query($id: ID!) { runs(meetingId: $id) { nodes { id } } }",
            "query($id: ID!) { search(input: {query: \"Riverside\", filter: {meetingIds: [$id]}}) { totalCount edges { cursor } } }",
            "mutation($id: ID!) { rerunMeeting(input: {meetingId: $id}) { run { state } userErrors { field message reason } } }",
        ],
        "City" => &[
            "query($id: ID!) { city(id: $id) { name meetings(first: 5) { edges { cursor } } } }",
            "query($id: ID!) { meetings(filter: {cityId: $id}) { edges { cursor } pageInfo { hasNextPage endCursor } } }",
            "query($id: ID!) { runs(cityId: $id) { nodes { id } } }",
            "query($id: ID!) { sources(cityId: $id) { id } }",
            "query($id: ID!) { search(input: {query: \"Riverside\", filter: {cityIds: [$id]}}) { totalCount edges { cursor } facets { values { label } } } }",
            "mutation($id: ID!) { follow(input: {cityId: $id}) { follow { kind city { name } } userErrors { field message reason } } }",
            "mutation($id: ID!) { saveSearch(input: {query: \"q\", cityIds: [$id]}) { savedSearch { name } userErrors { field message reason } } }",
            "mutation($id: ID!) { setHomeCity(input: {cityId: $id}) { viewer { homeCity { name } } userErrors { field message reason } } }",
            "mutation($id: ID!) { scanCity(input: {cityId: $id}) { sources { id } userErrors { field message reason } } }",
        ],
        "Body" => &[
            "query($id: ID!) { meetings(filter: {bodyId: $id}) { edges { cursor } } }",
            "mutation($id: ID!) { follow(input: {bodyId: $id}) { follow { kind body { name } } userErrors { field message reason } } }",
        ],
        "Claim" => &[
            "mutation($id: ID!) { flagClaim(input: {claimId: $id, reason: OTHER}) { flag { note } userErrors { field message reason } } }",
            "mutation($id: ID!) { retractClaim(input: {claimId: $id, reason: \"x\"}) { summary { version } userErrors { field message reason } } }",
        ],
        "Summary" => &[
            "mutation($id: ID!) { approveSummary(input: {summaryId: $id, reason: \"x\"}) { summary { version } userErrors { field message reason } } }",
        ],
        "Follow" => {
            &["mutation($id: ID!) { unfollow(input: {id: $id}) { id userErrors { field message reason } } }"]
        }
        "SavedSearch" => &[
            "mutation($id: ID!) { follow(input: {savedSearchId: $id}) { follow { kind savedSearch { name } } userErrors { field message reason } } }",
            "mutation($id: ID!) { deleteSavedSearch(input: {id: $id}) { id userErrors { field message reason } } }",
        ],
        "Session" => &[
            "mutation($id: ID!) { endSession(input: {id: $id}) { id userErrors { field message reason } } }",
        ],
        "Identity" => &[
            "mutation($id: ID!) { unlinkIdentity(input: {id: $id}) { id userErrors { field message reason } } }",
        ],
        "Notification" => &[
            "mutation($id: ID!) { markNotificationsRead(input: {ids: [$id]}) { unreadCount notifications { id } userErrors { field message reason } } }",
        ],
        "PushSubscription" => &[
            "mutation($id: ID!) { removePushSubscription(input: {id: $id}) { id userErrors { field message reason } } }",
        ],
        "Webhook" => &[
            "mutation($id: ID!) { removeWebhook(input: {id: $id}) { id userErrors { field message reason } } }",
        ],
        _ => &[],
    }
}

const NODE: [&str; 2] = [
    "query($id: ID!) { node(id: $id) { __typename id } }",
    "query($id: ID!) { nodes(ids: [$id]) { __typename id } }",
];

/// All that the person of `ours` has and sees.
const ALL: &str = "{ meetings(first: 1) { nodes { id city { id } body { id } artifacts { id url } summary { id claims { id } } } } \
     runs(first: 1) { nodes { id } } sources { id } viewer { id homeCity { id } } sessions { id } identities { id } \
     follows { id } savedSearches { id } webhooks { id } pushing { subscriptions { id } } notifications { nodes { id readAt } } }";

/// Every id in an answer, by kind, one of each.
fn ids(value: &Value, found: &mut std::collections::BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            if let Some(id) = fields.get("id").and_then(Value::as_str) {
                let (kind, _) = opened(id);
                found.entry(kind).or_insert_with(|| id.to_owned());
            }
            fields.values().for_each(|value| ids(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| ids(value, found)),
        _ => {}
    }
}

fn opened(id: &str) -> (String, String) {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).unwrap()).unwrap();
    let (kind, own) = text.split_once(':').unwrap();
    (kind.to_owned(), own.to_owned())
}

/// An id of the same kind that nobody has.
fn of_nothing(id: &str, ids: &Ids) -> String {
    let (kind, own) = opened(id);
    let other = ids.next::<TenantId>();
    // A summary is a meeting's, of a version; sessions have ids of another form.
    let own = match own.split_once('.') {
        Some((_, version)) => format!("{other}.{version}"),
        None if own.contains('-') => other.uuid().to_string(),
        None => other.to_string(),
    };
    URL_SAFE_NO_PAD.encode(format!("{kind}:{own}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_ids_are_answered_as_ids_of_nothing() {
    let h = Harness::start("strangers", Mode::Together).await;
    let ours = h.tenant_called("ours").await;
    h.tenant_called("theirs").await;
    let edge = Edge::start(&h).await;
    let cookie = edge.sign_in("ours").await;
    let own = Some(cookie.as_str());

    // One of everything.
    let ops = operator(ours);
    let minutes = [("minutes.txt", "minutes", MINUTES.as_bytes())];
    h.ingest(&ops, "springfield", "first", &minutes).await;
    let folder = tempfile::tempdir().unwrap();
    let source = AddSourceRequest {
        city: "springfield".to_owned(),
        kind: "folder".to_owned(),
        location: folder.path().display().to_string(),
        schedule: String::new(),
    };
    SourcesClient::new(h.channel(Role::Meetings)).add_source(h.request(&ops, source)).await.unwrap();
    h.drain().await;
    let city =
        edge.data(own, "{ cities { nodes { id } } }", Value::Null).await["cities"]["nodes"][0]["id"].take();
    for change in [
        "mutation($id: ID) { setHomeCity(input: {cityId: $id}) { userErrors { message } } }",
        "mutation($id: ID!) { saveSearch(input: {query: \"streets\", cityIds: [$id]}) { userErrors { message } } }",
        "mutation($id: ID!) { addWebhook(input: {url: \"https://hooks.example.com/council\"}) { userErrors { message } } \
         follow(input: {cityId: $id}) { userErrors { message } } }",
        // Keys as in the example of RFC 8291, §5.
        "mutation($id: ID!) { registerPushSubscription(input: {endpoint: \"https://push.example.com/1\", \
         p256dh: \"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4\", \
         auth: \"BTBZMqHh6r4Tts7J_aSIgg\"}) { userErrors { message } } follow(input: {cityId: $id}) { userErrors { message } } }",
    ] {
        let done = edge.data(own, change, json!({"id": city})).await;
        assert!(!done.to_string().contains("message"), "{change}: {done}");
    }
    h.ingest(
        &ops,
        "springfield",
        "second",
        &[("second.txt", "minutes", format!("{MINUTES}\nEnd.\n").as_bytes())],
    )
    .await;
    h.drain().await;
    let before = edge.data(own, ALL, Value::Null).await;
    let mut known = std::collections::BTreeMap::new();
    ids(&before, &mut known);
    let kinds: Vec<&str> = known.keys().map(String::as_str).collect();
    assert_eq!(
        kinds,
        [
            "Artifact",
            "Body",
            "City",
            "Claim",
            "Follow",
            "Identity",
            "Meeting",
            "Notification",
            "PushSubscription",
            "Run",
            "SavedSearch",
            "Session",
            "Source",
            "Summary",
            "Viewer",
            "Webhook",
        ]
    );

    let fresh = Ids::new(system_clock());
    let (resident, operator) = (edge.sign_in("resident").await, edge.sign_in("operator").await);
    let strangers =
        [("nobody", None), ("a resident", Some(resident.as_str())), ("an operator", Some(operator.as_str()))];
    for (kind, id) in &known {
        for (name, who) in strangers {
            for query in NODE.iter().chain(asked_with(kind)) {
                let nothing = of_nothing(id, &fresh);
                let hidden = plain(edge.post(who, query, &json!({"id": id})).await, id);
                let missing = plain(edge.post(who, query, &json!({"id": nothing})).await, &nothing);
                assert_eq!(hidden, missing, "{kind} by {name}: {query}");
            }
            let hidden = edge.post(who, NODE[0], &json!({"id": id})).await;
            assert_eq!(hidden, (200, "{\"data\":{\"node\":null}}".to_owned()), "{kind} by {name}");
        }
    }
    for kind in
        ["Artifact", "Body", "City", "Claim", "Follow", "Meeting", "Run", "Source", "Summary", "Viewer"]
    {
        let node = edge.data(own, NODE[0], json!({"id": known[kind]})).await;
        assert_eq!(node["node"]["id"], known[kind], "{kind}: whose it is finds it");
    }

    // All of theirs at once: lists that were not asked for by an id.
    for (_, who) in strangers {
        let lists = "{ meetings { edges { cursor } } cities { edges { cursor } } \
                     search(input: {query: \"Riverside\"}) { totalCount edges { cursor } } }";
        let empty = json!({"meetings": {"edges": []}, "cities": {"edges": []}, "search": {"totalCount": 0, "edges": []}});
        assert_eq!(edge.data(who, lists, Value::Null).await, empty);
    }

    let url = before["meetings"]["nodes"][0]["artifacts"][0]["url"].as_str().unwrap();
    assert_eq!(edge.artifact(own, url).await.0, 200);
    let nothing = fresh.next::<TenantId>().to_string();
    for (name, who) in strangers {
        let hidden = plain(edge.artifact(who, url).await, url);
        let missing = plain(edge.artifact(who, &format!("/artifacts/{nothing}")).await, &nothing);
        assert_eq!(hidden, missing, "by {name}");
        assert_eq!(hidden.0, 404);
    }

    assert_eq!(edge.data(own, ALL, Value::Null).await, before, "nothing of ours was touched");

    // Whose they are may take them away.
    for kind in ["PushSubscription", "Webhook"] {
        edge.data(own, asked_with(kind)[0], json!({"id": known[kind]})).await;
    }
    let left = edge.data(own, "{ webhooks { id } pushing { subscriptions { id } } }", Value::Null).await;
    assert_eq!(left, json!({"webhooks": [], "pushing": {"subscriptions": []}}));
}
