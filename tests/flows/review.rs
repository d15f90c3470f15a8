//! What the gate held back is published by a reviewer; what people flag is taken back, everywhere.

use serde_json::{Value, json};
use summaries::gate::GateThresholds;

use crate::edge::Edge;
use crate::harness::{Harness, MINUTES, Mode, operator};

const QUEUE: &str = "query($n: Int, $after: String) { reviewQueue(first: $n, after: $after) { pageInfo { hasNextPage endCursor } \
     nodes { kind since meeting { id title } summary { id version verdict verdictReasons claims { id text evidence { excerpt } } } \
     claim { id text } flags { id reason note } failedClaims { text } } } }";
const APPROVE: &str = "mutation($id: ID!, $why: String!, $key: String) { approveSummary(input: {summaryId: $id, reason: $why, \
     idempotencyKey: $key}) { summary { id version verdict verdictReasons review ecr claims { text } } userErrors { reason } } }";
const FLAG: &str = "mutation($id: ID!, $key: String) { flagClaim(input: {claimId: $id, reason: NOT_IN_SOURCE, note: \" I was there. \", \
     idempotencyKey: $key}) { flag { id claimId reason note } userErrors { reason } } }";
const RETRACT: &str = "mutation($id: ID!, $why: String!) { retractClaim(input: {claimId: $id, reason: $why}) { \
     summary { version verdictReasons review claims { text } } userErrors { reason } } }";
const SUMMARY: &str = "query($id: ID!) { meeting(id: $id) { summary { id version verdict shortSummary ecr claimsProposed claimsVerified \
     claims { id text kind } highlights { id text } history { version verdict review } } } }";
const NODE: &str = "query($id: ID!) { node(id: $id) { __typename } }";
const FOUND: &str =
    "query($q: String!) { search(input: {query: $q, mode: KEYWORD}) { nodes { passage { kind text } } } }";
const INBOX: &str = "{ notifications { nodes { type body } } }";
/// One matter and no more, so that a gate which wants three claims holds it back.
const AGENDA: &[u8] =
    b"AGENDA\n\n1. An Ordinance to build a footbridge over the Otter River at a cost of $40,000.\n";

/// The code of the only error.
fn code(text: &str) -> String {
    let answer: Value = serde_json::from_str(text).unwrap();
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{text}")).to_owned()
}

struct People {
    reviewer: String,
    resident: String,
    elsewhere: String,
}

async fn people(edge: &Edge) -> People {
    People {
        reviewer: edge.sign_in("reviewer").await,
        resident: edge.sign_in("resident").await,
        elsewhere: edge.sign_in("ours").await,
    }
}

async fn queue(edge: &Edge, who: &str) -> Vec<Value> {
    let data = edge.data(Some(who), QUEUE, json!({"n": 20})).await;
    data["reviewQueue"]["nodes"].as_array().unwrap().clone()
}

async fn claims_found(edge: &Edge, who: &str, words: &str) -> Vec<String> {
    let found = edge.data(Some(who), FOUND, json!({"q": words})).await;
    let nodes = found["search"]["nodes"].as_array().unwrap().iter();
    let claims = nodes.filter(|node| node["passage"]["kind"] != "PASSAGE");
    claims.map(|node| node["passage"]["text"].as_str().unwrap().to_owned()).collect()
}

async fn held_back_and_approved(name: &str, mode: Mode) {
    let strict = GateThresholds { least_verified: 3, ..GateThresholds::default() };
    let h = Harness::gated(name, mode, strict).await;
    h.tenant_called("ours").await;
    let ops = operator(h.tenant_called("theirs").await);
    let edge = Edge::start(&h).await;
    let People { reviewer, resident, elsewhere } = people(&edge).await;
    h.ingest(&ops, "springfield", "bridge", &[("agenda.txt", "agenda", AGENDA)]).await;
    h.drain().await;
    let empty = ("nothing.txt", "agenda", &b"AGENDA\n"[..]);
    h.ingest(&ops, "springfield", "empty", &[empty]).await;
    h.drain().await;

    // Only reviewers see that something waits; of another tenant nothing does.
    assert_eq!(code(&edge.post(None, QUEUE, &Value::Null).await.1), "UNAUTHENTICATED");
    assert_eq!(code(&edge.post(Some(&resident), QUEUE, &Value::Null).await.1), "FORBIDDEN");
    assert!(queue(&edge, &elsewhere).await.is_empty());
    let waiting = queue(&edge, &reviewer).await;
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    let (bridge, nothing) = (&waiting[0], &waiting[1]);
    assert_eq!((&bridge["kind"], &bridge["summary"]["verdict"]), (&json!("HELD_BACK"), &json!("REJECT")));
    let text = bridge["summary"]["claims"][0]["text"].as_str().unwrap();
    assert!(text.contains("Otter River"), "{bridge}");
    assert!(bridge["summary"]["claims"][0]["evidence"][0]["excerpt"].is_string());
    // A page at a time, in the same order.
    let first = edge.data(Some(&reviewer), QUEUE, json!({"n": 1})).await;
    let info = &first["reviewQueue"]["pageInfo"];
    assert_eq!((&first["reviewQueue"]["nodes"][0], &info["hasNextPage"]), (bridge, &json!(true)));
    let rest = edge.data(Some(&reviewer), QUEUE, json!({"n": 5, "after": info["endCursor"]})).await;
    assert_eq!(rest["reviewQueue"]["nodes"], json!([nothing]));

    let (meeting, id) = (&bridge["meeting"]["id"], &bridge["summary"]["id"]);
    let unread = edge.data(Some(&resident), SUMMARY, json!({"id": meeting})).await;
    assert_eq!(unread["meeting"]["summary"], Value::Null);
    let approve = |why: &str, key: &str| json!({"id": id, "why": why, "key": key});
    assert_eq!(code(&edge.post(Some(&resident), APPROVE, &approve("x", "r")).await.1), "FORBIDDEN");
    let missing = edge.data(Some(&elsewhere), APPROVE, approve("x", "e")).await;
    assert_eq!(missing["approveSummary"]["userErrors"][0]["reason"], "NOT_FOUND");
    assert_eq!(code(&edge.post(Some(&reviewer), APPROVE, &approve(" ", "w")).await.1), "BAD_USER_INPUT");

    let done = edge.data(Some(&reviewer), APPROVE, approve("read against the agenda", "k")).await;
    let made = &done["approveSummary"]["summary"];
    assert_eq!((&made["version"], &made["verdict"]), (&json!(2), &json!("LIMITED_CONFIDENCE")), "{done}");
    assert_eq!(made["review"], "APPROVE");
    let reasons = made["verdictReasons"].as_array().unwrap();
    assert_eq!(reasons[..reasons.len() - 1], *bridge["summary"]["verdictReasons"].as_array().unwrap());
    assert!(reasons.last().unwrap().as_str().unwrap().contains("reviewer"), "{reasons:?}");
    let again = edge.data(Some(&reviewer), APPROVE, approve("read against the agenda", "k")).await;
    assert_eq!(again, done, "the same key");
    let again = edge.data(Some(&reviewer), APPROVE, approve("once more", "other")).await;
    assert_eq!(again, done, "another key: approved is approved");
    h.drain().await;

    // It is read, and found, by everybody; who may not see what was held back does not see it in the history.
    let read = edge.data(Some(&resident), SUMMARY, json!({"id": meeting})).await;
    let summary = &read["meeting"]["summary"];
    assert_eq!(summary["claims"][0]["text"], text);
    assert_eq!(
        summary["history"],
        json!([{"version": 2, "verdict": "LIMITED_CONFIDENCE", "review": "APPROVE"}])
    );
    assert_eq!(claims_found(&edge, &resident, "footbridge").await, [text]);
    let whole = edge.data(Some(&reviewer), SUMMARY, json!({"id": meeting})).await;
    assert_eq!(
        whole["meeting"]["summary"]["history"][1],
        json!({"version": 1, "verdict": "REJECT", "review": null})
    );

    // What has no evidence is published by nobody.
    let variables = json!({"id": nothing["summary"]["id"], "why": "trust me", "key": "n"});
    let (_, refused) = edge.post(Some(&reviewer), APPROVE, &variables).await;
    assert!(refused.contains("CLAIM_WITHOUT_EVIDENCE") && code(&refused) == "CONFLICT", "{refused}");
    assert_eq!(queue(&edge, &reviewer).await.len(), 1, "it waits on");

    // A newer run makes what was held back before history.
    let text = [AGENDA, b"2. An Ordinance to paint the footbridge over the Otter River green.\n"].concat();
    h.ingest(&ops, "springfield", "empty", &[("agenda.txt", "agenda", &text)]).await;
    h.drain().await;
    let (_, stale) = edge.post(Some(&reviewer), APPROVE, &variables).await;
    assert!(stale.contains("STALE_VERSION"), "{stale}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_back_is_approved() {
    held_back_and_approved("approving", Mode::Together).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_back_is_approved_with_each_role_on_its_own_port() {
    held_back_and_approved("approving-split", Mode::Split).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flagged_claim_is_taken_back_everywhere_and_for_good() {
    let h = Harness::start("retracting", Mode::Together).await;
    h.tenant_called("ours").await;
    let ops = operator(h.tenant_called("theirs").await);
    let edge = Edge::start(&h).await;
    let People { reviewer, resident, elsewhere } = people(&edge).await;
    // The resident follows the city before its minutes come.
    h.ingest(&ops, "springfield", "first", &[("agenda.txt", "agenda", b"AGENDA\n\n1. Call to order\n")])
        .await;
    h.drain().await;
    let cities = edge.data(None, "{ cities { nodes { id } } }", Value::Null).await;
    let follow = "mutation($id: ID!) { follow(input: {cityId: $id}) { userErrors { reason } } }";
    edge.data(Some(&resident), follow, json!({"id": cities["cities"]["nodes"][0]["id"]})).await;
    let taken =
        h.ingest(&ops, "springfield", "minutes", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    h.drain().await;
    let meetings =
        edge.data(None, "{ meetings(filter: {published: true}) { nodes { id } } }", Value::Null).await;
    let meeting = meetings["meetings"]["nodes"][0]["id"].clone();
    let before = edge.data(None, SUMMARY, json!({"id": meeting})).await["meeting"]["summary"].take();
    let mut highlights = before["highlights"].as_array().unwrap().iter();
    let wrong = highlights.find(|claim| claim["text"].as_str().unwrap().contains("Riverside")).unwrap();
    let (id, words) = (&wrong["id"], wrong["text"].as_str().unwrap());
    assert!(claims_found(&edge, &resident, "Riverside").await.contains(&words.to_owned()));
    let told = edge.data(Some(&resident), INBOX, Value::Null).await;
    let body = told["notifications"]["nodes"][0]["body"].as_str().unwrap().to_owned();
    assert!(!body.is_empty() && told["notifications"]["nodes"].as_array().unwrap().len() == 1, "{told}");

    // Anybody who signed in says so, once.
    assert_eq!(code(&edge.post(None, FLAG, &json!({"id": id})).await.1), "UNAUTHENTICATED");
    let missing = edge.data(Some(&elsewhere), FLAG, json!({"id": id})).await;
    assert_eq!(missing["flagClaim"]["userErrors"][0]["reason"], "NOT_FOUND");
    let flagged = edge.data(Some(&resident), FLAG, json!({"id": id, "key": "f"})).await;
    assert_eq!(flagged["flagClaim"]["flag"]["note"], "I was there.", "{flagged}");
    for key in [Some("f"), Some("g"), None] {
        assert_eq!(edge.data(Some(&resident), FLAG, json!({"id": id, "key": key})).await, flagged);
    }
    let waiting: Vec<Value> =
        queue(&edge, &reviewer).await.into_iter().filter(|item| item["kind"] == "FLAGGED").collect();
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0]["claim"]["id"], waiting[0]["flags"].as_array().unwrap().len()), (id, 1));

    let retract = |why: &str| json!({"id": id, "why": why});
    assert_eq!(code(&edge.post(Some(&resident), RETRACT, &retract("x")).await.1), "FORBIDDEN");
    let missing = edge.data(Some(&elsewhere), RETRACT, retract("x")).await;
    assert_eq!(missing["retractClaim"]["userErrors"][0]["reason"], "NOT_FOUND");
    let done = edge.data(Some(&reviewer), RETRACT, retract("the recording says otherwise")).await;
    let made = &done["retractClaim"]["summary"];
    assert_eq!((&made["version"], &made["review"]), (&json!(2), &json!("RETRACT")), "{done}");
    assert_eq!(edge.data(Some(&reviewer), RETRACT, retract("again")).await, done, "retracted is retracted");
    h.drain().await;

    // Gone from the summary, its short form, the search, the claim's own address, and what residents were told.
    let after =
        edge.data(Some(&resident), SUMMARY, json!({"id": meeting})).await["meeting"]["summary"].take();
    let said =
        |summary: &Value| summary["claims"].as_array().unwrap().iter().any(|claim| claim["text"] == words);
    assert!(said(&before) && !said(&after), "{after}");
    assert!(!after["shortSummary"].as_str().unwrap().contains(&words[..40]), "{after}");
    assert!(!after["shortSummary"].as_str().unwrap().is_empty());
    assert!(!claims_found(&edge, &resident, "Riverside").await.contains(&words.to_owned()));
    for who in [&resident, &reviewer] {
        assert_eq!(edge.data(Some(who), NODE, json!({"id": id})).await["node"], Value::Null);
    }
    let kept =
        "query($id: ID!) { node(id: $id) { ... on Summary { version shortSummary claims { text } } } }";
    let old = edge.data(Some(&reviewer), kept, json!({"id": before["id"]})).await;
    assert_eq!(old["node"]["version"], 1, "{old}");
    assert!(!said(&old["node"]) && old["node"]["shortSummary"] == "", "nor in the version it was in");
    let told = edge.data(Some(&resident), INBOX, Value::Null).await;
    assert_eq!(told["notifications"]["nodes"], json!([{"type": "meeting_published", "body": ""}]), "{body}");
    assert!(queue(&edge, &reviewer).await.iter().all(|item| item["kind"] != "FLAGGED"));

    // It counts as proposed and failed.
    let (proposed, verified) = (&before["claimsProposed"], before["claimsVerified"].as_u64().unwrap());
    assert_eq!((&after["claimsProposed"], &after["claimsVerified"]), (proposed, &json!(verified - 1)));
    let rate = (verified - 1) as f64 / proposed.as_f64().unwrap();
    assert!((after["ecr"].as_f64().unwrap() - rate).abs() < 1e-9, "{after}");
    let versions: Vec<_> =
        after["history"].as_array().unwrap().iter().map(|v| (&v["version"], &v["review"])).collect();
    assert_eq!(versions, [(&json!(2), &json!("RETRACT")), (&json!(1), &Value::Null)]);

    // A later run reads the same words in the same minutes, and does not publish them.
    let rerun =
        "mutation($id: ID!) { rerunMeeting(input: {meetingId: $id}) { run { id } userErrors { reason } } }";
    let begun = edge.data(Some(&reviewer), rerun, json!({"id": meeting})).await;
    assert!(begun["rerunMeeting"]["run"]["id"].is_string(), "{begun}");
    h.drain().await;
    let later =
        edge.data(Some(&resident), SUMMARY, json!({"id": meeting})).await["meeting"]["summary"].take();
    assert_eq!((&later["version"], &later["claimsVerified"]), (&json!(3), &json!(verified - 1)));
    assert!(!said(&later), "{later}");
    assert!(later["ecr"] == after["ecr"] && taken.changed);
}
