//! A resident's way through GraphQL, with all roles in one process and with each on a port of its own.

use serde_json::{Value, json};

use crate::edge::Edge;
use crate::harness::{Harness, MINUTES, Mode, operator};

const TITLES: &str = "{ meetings(first: 20, filter: {published: true}) { nodes { id title summary { version \
     claims { kind text evidence { excerpt start end artifact { id url } } } } } } }";

async fn a_resident_s_way(name: &str, mode: Mode) {
    let h = Harness::start(name, mode).await;
    h.tenant_called("ours").await;
    let theirs = h.tenant_called("theirs").await;
    let edge = Edge::start(&h).await;
    let ops = operator(theirs);
    let first =
        h.ingest(&ops, "springfield", "first", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    assert!(first.changed);
    h.drain().await;

    // Signed in, the city chosen, before the next meeting is published.
    let cookie = edge.sign_in("resident").await;
    let rosa = Some(cookie.as_str());
    let cities = edge.data(rosa, "{ cities { nodes { id name } } }", Value::Null).await;
    let home = "mutation($id: ID) { setHomeCity(input: {cityId: $id}) { viewer { homeCity { id } } userErrors { message } } }";
    let city = &cities["cities"]["nodes"][0]["id"];
    let set = edge.data(rosa, home, json!({"id": city})).await;
    assert_eq!(&set["setHomeCity"]["viewer"]["homeCity"]["id"], city);
    h.drain().await;
    let text = format!("{MINUTES}\nThe next sitting.\n");
    h.ingest(&ops, "springfield", "second", &[("minutes.txt", "minutes", text.as_bytes())]).await;
    h.drain().await;

    // Every claim stands on words of its document.
    let read = edge.data(rosa, TITLES, Value::Null).await;
    let meetings = read["meetings"]["nodes"].as_array().unwrap();
    assert_eq!(meetings.len(), 2, "{read}");
    for meeting in meetings {
        let claims = meeting["summary"]["claims"].as_array().unwrap();
        assert!(!claims.is_empty(), "{meeting}");
        for evidence in claims.iter().flat_map(|claim| claim["evidence"].as_array().unwrap()) {
            let excerpt = evidence["excerpt"].as_str().unwrap();
            assert!(MINUTES.contains(excerpt), "{excerpt:?} stands nowhere");
            let (status, document) = edge.artifact(rosa, evidence["artifact"]["url"].as_str().unwrap()).await;
            assert!(status == 200 && document.contains(excerpt), "{status}");
        }
    }

    // What was before the body, in its order, with its votes.
    let agenda = "query($id: ID!) { meeting(id: $id) { agendaItems { ordinal title outcome matter { fileNumber title } \
         votes { motion outcome mover votes { yeas nays } } claims { evidence { excerpt } } } } }";
    let agenda = edge.data(rosa, agenda, json!({"id": meetings[0]["id"]})).await;
    let items = agenda["meeting"]["agendaItems"].as_array().unwrap();
    let numbers: Vec<&str> = items.iter().filter_map(|item| item["matter"]["fileNumber"].as_str()).collect();
    assert_eq!(
        items.iter().map(|item| item["ordinal"].as_u64().unwrap()).next_back(),
        Some(items.len() as u64)
    );
    let found = |number: &str| {
        items.iter().find(|item| item["matter"]["fileNumber"].as_str().is_some_and(|n| n.contains(number)))
    };
    let (adopted, divided, deferred) = (found("34,001"), found("M-23-2"), found("34,002"));
    let [adopted, divided, deferred] =
        [adopted, divided, deferred].map(|item| item.unwrap_or_else(|| panic!("{numbers:?}")));
    assert_eq!((&adopted["outcome"], &deferred["outcome"]), (&json!("ADOPTED"), &json!("DEFERRED")));
    assert!(adopted["ordinal"].as_u64() < divided["ordinal"].as_u64(), "{numbers:?}");
    assert_eq!(divided["votes"][0]["votes"]["nays"], json!(["Banks", "Lindqvist"]));
    assert_eq!(
        (&divided["votes"][0]["mover"], &divided["votes"][0]["motion"]),
        (&json!("Moreau"), &Value::Null)
    );
    for item in items {
        let excerpt = item["claims"][0]["evidence"][0]["excerpt"].as_str().unwrap();
        assert!(MINUTES.contains(excerpt), "{item}");
    }

    // Found by a word, told once, and read.
    let find = "{ search(input: {query: \"Riverside\", mode: HYBRID}) { totalCount degraded nodes { passage { text } meeting { id } } } }";
    let found = edge.data(rosa, find, Value::Null).await;
    assert!(found["search"]["totalCount"].as_u64().unwrap() >= 2, "{found}");
    assert_eq!(found["search"]["degraded"], json!([]));
    let inbox = "{ notifications(first: 10) { unreadCount nodes { id title readAt meeting { id } } } }";
    let told = edge.data(rosa, inbox, Value::Null).await;
    let nodes = told["notifications"]["nodes"].as_array().unwrap();
    assert_eq!((nodes.len(), &told["notifications"]["unreadCount"]), (1, &json!(1)), "{told}");
    let mark = "mutation($ids: [ID!]!) { markNotificationsRead(input: {ids: $ids}) { unreadCount userErrors { message } } }";
    let marked = edge.data(rosa, mark, json!({"ids": [nodes[0]["id"]]})).await;
    assert_eq!(marked["markNotificationsRead"]["unreadCount"], 0);

    // Nobody is told anything, and reads what is public.
    assert_eq!(edge.data(None, TITLES, Value::Null).await, read);
    let (_, refused) = edge.post(None, inbox, &Value::Null).await;
    assert!(refused.contains("UNAUTHENTICATED"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process() {
    a_resident_s_way("reader", Mode::Together).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_on_a_port_of_its_own() {
    a_resident_s_way("reader-split", Mode::Split).await;
}
