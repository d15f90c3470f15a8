//! The surface over the services: how many calls, what they are asked for, what clients are told when they fail.

use cs_proto::common::v1::{BatchGetRequest, PageInfo};
use cs_proto::errors::v1::Reason;
use cs_proto::meetings::v1 as meetings;
use cs_proto::notifications::v1 as notifications;
use cs_proto::search::v1 as search;
use cs_proto::summaries::v1 as summaries;
use cs_rpc::FieldViolation;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stack::Stack;

pub(crate) fn ulid(n: usize) -> String {
    format!("01J{n:023}")
}

fn meeting(n: usize) -> meetings::Meeting {
    meetings::Meeting {
        id: ulid(n),
        city_id: ulid(1000 + n % 3),
        body_id: ulid(2000),
        body_name: "City Council".into(),
        title: format!("Meeting {n}"),
        date: "2023-03-09".into(),
        starts_at: "2023-03-09T16:00:00Z".into(),
        status: "held".into(),
        run_state: "published".into(),
        ..meetings::Meeting::default()
    }
}

fn library(stack: &Stack) {
    let fakes = &stack.fakes;
    fakes.answer("meetings.Meetings/ListMeetings", |_, request: meetings::ListMeetingsRequest| {
        let first = request.page.unwrap_or_default().first.max(1) as usize;
        Ok(meetings::ListMeetingsResponse {
            meetings: (0..first).map(meeting).collect(),
            cursors: (0..first).map(|n| format!("c{n}")).collect(),
            page_info: Some(PageInfo {
                has_next_page: true,
                end_cursor: "last".into(),
                ..PageInfo::default()
            }),
        })
    });
    fakes.answer("meetings.Meetings/BatchGetMeetings", |_, request: BatchGetRequest| {
        let meetings = (0..200).map(meeting).filter(|meeting| request.ids.contains(&meeting.id)).collect();
        Ok(meetings::BatchGetMeetingsResponse { meetings })
    });
    fakes.answer("meetings.Meetings/BatchGetCities", |_, request: BatchGetRequest| {
        let city =
            |id: String| meetings::City { name: format!("City {id}"), id, ..meetings::City::default() };
        Ok(meetings::BatchGetCitiesResponse { cities: request.ids.into_iter().map(city).collect() })
    });
    fakes.answer("meetings.Meetings/BatchGetArtifacts", |_, request: BatchGetRequest| {
        let artifact =
            |id: String| meetings::Artifact { id, kind: "minutes".into(), ..meetings::Artifact::default() };
        Ok(meetings::BatchGetArtifactsResponse { artifacts: request.ids.into_iter().map(artifact).collect() })
    });
    fakes.answer(
        "summaries.Summaries/BatchGetCurrentSummaries",
        |_, request: summaries::BatchGetCurrentSummariesRequest| {
            // Every other meeting has one.
            let ids = request.meeting_ids.iter().filter(|id| id.ends_with(['0', '2', '4', '6', '8']));
            Ok(summaries::BatchGetCurrentSummariesResponse { summaries: ids.map(|id| summary(id)).collect() })
        },
    );
    fakes.answer("meetings.Meetings/BatchGetSections", |_, request: meetings::BatchGetSectionsRequest| {
        let sections = request.refs.into_iter().map(|section| meetings::SectionText {
            text_sha256: section.text_sha256,
            section: Some(meetings::Section {
                ordinal: section.ordinal,
                heading: "Item 1".into(),
                start: 100,
                end: 130,
                text: "Señora Ruiz moved. It carried.".into(),
                ..meetings::Section::default()
            }),
        });
        Ok(meetings::BatchGetSectionsResponse { sections: sections.collect() })
    });
}

fn summary(meeting: &str) -> summaries::Summary {
    let claim = |n: usize, kind: summaries::ClaimKind| summaries::Claim {
        id: ulid(5000 + n),
        kind: kind.into(),
        text: format!("Claim {n}"),
        decision: (kind == summaries::ClaimKind::Decision).then(|| summaries::Decision {
            outcome: "adopted".into(),
            votes: Some(summaries::Votes { yeas: vec!["Ruiz".into()], ..summaries::Votes::default() }),
            ..summaries::Decision::default()
        }),
        evidence: vec![summaries::Evidence {
            artifact_id: ulid(7000),
            text_sha256: "t".into(),
            section: 4,
            start: 107,
            end: 117,
            excerpt: "Ruiz moved".into(),
            ..summaries::Evidence::default()
        }],
        ..summaries::Claim::default()
    };
    summaries::Summary {
        id: ulid(6000),
        meeting_id: meeting.into(),
        version: 2,
        verdict: "pass".into(),
        short_summary: "It carried.".into(),
        claims: vec![claim(1, summaries::ClaimKind::Decision), claim(2, summaries::ClaimKind::Topic)],
        highlighted_claim_ids: vec![ulid(5002)],
        ..summaries::Summary::default()
    }
}

#[tokio::test]
async fn a_page_of_meetings_with_summaries_is_two_calls_at_any_size() {
    let Some(stack) = Stack::start().await else { return };
    library(&stack);
    let mut browser = Browser::new(&stack);
    let query = "query($n: Int) { meetings(first: $n) { edges { cursor node { id title startsAt body { name } \
                 summary { shortSummary decisions { text } } } } pageInfo { hasNextPage endCursor } } }";
    browser.graphql("{ __typename }", Value::Null).await;
    for n in [1, 20, 100] {
        stack.fakes.calls();
        let answer = browser.graphql(query, json!({"n": n})).await;
        let edges = answer["data"]["meetings"]["edges"].as_array().unwrap();
        assert_eq!(edges.len(), n, "{answer}");
        assert_eq!(edges[0]["node"]["summary"]["decisions"], json!([{"text": "Claim 1"}]));
        assert_eq!(edges.get(1).map_or(&Value::Null, |edge| &edge["node"]["summary"]), &Value::Null);
        assert_eq!(
            answer["data"]["meetings"]["pageInfo"],
            json!({"hasNextPage": true, "endCursor": format!("c{}", n - 1)})
        );
        let calls = stack.fakes.calls();
        let methods: Vec<&str> = calls.iter().map(|call| call.method.as_str()).collect();
        assert_eq!(
            methods,
            ["meetings.Meetings/ListMeetings", "summaries.Summaries/BatchGetCurrentSummaries"]
        );
        let request: summaries::BatchGetCurrentSummariesRequest = calls[1].message();
        assert_eq!(request.meeting_ids.len(), n);
        let view = request.view.unwrap();
        assert_eq!(view.kinds, [i32::from(summaries::ClaimKind::Decision)]);
        assert!(view.without_evidence && !view.without_claims);
    }
}

#[tokio::test]
async fn what_hangs_below_a_page_is_a_call_a_kind() {
    let Some(stack) = Stack::start().await else { return };
    library(&stack);
    let mut browser = Browser::new(&stack);
    browser.graphql("{ __typename }", Value::Null).await;
    stack.fakes.calls();
    let query = "{ meetings(first: 20) { nodes { city { name } ...S } } } \
                 fragment S on Meeting { summary { verdict highlights { text } \
                 claims(kind: DECISION) { decision { outcome votes { yeas } } \
                 evidence { url artifact { kind url } context(before: 4, after: 1) { before excerpt after heading } } } } }";
    let answer = browser.graphql(query, Value::Null).await;
    let node = &answer["data"]["meetings"]["nodes"][2];
    assert_eq!(node["summary"]["highlights"], json!([{"text": "Claim 2"}]), "{answer}");
    let claim = &node["summary"]["claims"][0];
    assert_eq!(claim["decision"], json!({"outcome": "ADOPTED", "votes": {"yeas": ["Ruiz"]}}));
    let evidence = &claim["evidence"][0];
    assert_eq!(
        evidence["context"],
        json!({"before": "ora ", "excerpt": "Ruiz moved", "after": ".", "heading": "Item 1"})
    );
    assert_eq!(evidence["artifact"], json!({"kind": "MINUTES", "url": format!("/artifacts/{}", ulid(7000))}));
    let url = evidence["url"].as_str().unwrap();
    assert!(
        url.starts_with("/meetings/")
            && url.contains("/evidence?artifact=")
            && url.ends_with("&start=107&end=117")
    );
    let mut methods = stack.fakes.methods();
    methods.sort();
    let sections = methods.iter().filter(|method| method.ends_with("BatchGetSections")).count();
    assert_eq!(sections, 10, "a meeting decides who reads its sections");
    methods.retain(|method| !method.ends_with("BatchGetSections"));
    assert_eq!(
        methods,
        [
            "meetings.Meetings/BatchGetArtifacts",
            "meetings.Meetings/BatchGetCities",
            "meetings.Meetings/ListMeetings",
            "summaries.Summaries/BatchGetCurrentSummaries"
        ]
    );
}

#[tokio::test]
async fn anything_is_found_by_its_id_or_is_not_there() {
    let Some(stack) = Stack::start().await else { return };
    library(&stack);
    let mut browser = Browser::new(&stack);
    let page = browser.graphql("{ meetings(first: 1) { nodes { id city { id } } } }", Value::Null).await;
    let node = &page["data"]["meetings"]["nodes"][0];
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Meeting { title } } }";
    let missing = "TWVldGluZzowMUowMDAwMDAwMDAwMDAwMDAwMDAwMDk5OQ";
    let ids = json!([node["id"], node["city"]["id"], "rubbish", missing]);
    let answer = browser.graphql(query, json!({"ids": ids})).await;
    let nodes = answer["data"]["nodes"].as_array().unwrap();
    assert_eq!(nodes[0]["title"], "Meeting 0", "{answer}");
    assert_eq!(nodes[1]["__typename"], "City");
    assert_eq!(nodes[2], Value::Null);
    assert_eq!(nodes[3], Value::Null);
    let wrong = browser
        .graphql("query($id: ID!) { meeting(id: $id) { id } }", json!({"id": node["city"]["id"]}))
        .await;
    assert_eq!(wrong["errors"][0]["extensions"]["fields"][0]["field"], "id");
}

#[tokio::test]
async fn a_failed_service_gives_the_rest_and_keeps_its_words() {
    let Some(stack) = Stack::start().await else { return };
    library(&stack);
    stack.fakes.answer(
        "summaries.Summaries/BatchGetCurrentSummaries",
        |_, _: summaries::BatchGetCurrentSummariesRequest| {
            Err::<summaries::BatchGetCurrentSummariesResponse, _>(tonic::Status::unavailable(
                "canary: connection refused",
            ))
        },
    );
    let mut browser = Browser::new(&stack);
    stack.fakes.calls();
    let answer =
        browser.graphql("{ meetings(first: 2) { nodes { title summary { version } } } }", Value::Null).await;
    assert_eq!(answer["data"]["meetings"]["nodes"][1], json!({"title": "Meeting 1", "summary": null}));
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE");
    assert_eq!(error["extensions"]["reason"], "UNAVAILABLE");
    assert_eq!(error["extensions"]["retryable"], true);
    assert_eq!(error["path"], json!(["meetings", "nodes", 0, "summary"]));
    assert!(!answer.to_string().contains("canary"));
    let non_null = "{ a: meetings(first: 1) { nodes { summary { version } } } viewer { id } }";
    let answer = browser.graphql(non_null, Value::Null).await;
    assert_eq!(answer["data"], json!({"a": {"nodes": [{"summary": null}]}, "viewer": null}));
    stack.fakes.calls();
    browser.graphql("{ meetings(first: 2) { nodes { summary { version } } } }", Value::Null).await;
    let tried = stack.fakes.methods().iter().filter(|method| method.ends_with("Summaries")).count();
    assert_eq!(tried, 2, "a read is repeated once");
}

#[tokio::test]
async fn search_answers_with_places_and_facets_with_names() {
    let Some(stack) = Stack::start().await else { return };
    library(&stack);
    stack.fakes.answer("search.Search/Search", |_, request: search::SearchRequest| {
        let passage = search::Passage {
            id: "p".into(),
            meeting_id: ulid(4),
            artifact_id: ulid(7000),
            start: 3,
            end: 9,
            text: request.query,
            kind: "decision".into(),
            ..search::Passage::default()
        };
        let hit =
            search::Hit { passage: Some(passage), score: 1.5, cursor: "h1".into(), ..search::Hit::default() };
        let facet = |name: &str, value: String| search::Facet {
            name: name.into(),
            values: vec![search::FacetValue { value, count: 2 }],
        };
        Ok(search::SearchResponse {
            hits: vec![hit],
            facets: vec![facet("city", ulid(1000)), facet("artifact_kind", "minutes".into())],
            total: 7,
            has_next_page: true,
            ..search::SearchResponse::default()
        })
    });
    let mut browser = Browser::new(&stack);
    let query = "query($input: SearchInput!) { search(input: $input) { totalCount edges { cursor node { score meeting { title } \
                 passage { text kind url artifact { kind } } } } pageInfo { hasNextPage endCursor } \
                 facets { name values { value label count } } } }";
    let input = json!({"query": "zoning", "mode": "KEYWORD", "first": 5, "filter": {"from": "2023-01-01", "kinds": ["DECISION"]}});
    let answer = browser.graphql(query, json!({"input": input})).await;
    let found = &answer["data"]["search"];
    assert_eq!(found["totalCount"], 7, "{answer}");
    let node = &found["edges"][0]["node"];
    assert_eq!(node["meeting"]["title"], "Meeting 4");
    assert_eq!(node["passage"]["kind"], "DECISION");
    assert_eq!(found["pageInfo"], json!({"hasNextPage": true, "endCursor": "h1"}));
    assert_eq!(found["facets"][0]["values"][0]["label"], format!("City {}", ulid(1000)));
    assert_eq!(found["facets"][1]["values"][0]["value"], "MINUTES");
    let call = stack.fakes.calls().into_iter().find(|call| call.method == "search.Search/Search").unwrap();
    let request: search::SearchRequest = call.message();
    assert_eq!((request.first, request.mode()), (5, search::SearchMode::Keyword));
    let filter = request.filter.unwrap();
    assert_eq!((filter.from.as_str(), filter.kinds), ("2023-01-01", vec!["decision".to_owned()]));
    let bad =
        browser.graphql(query, json!({"input": {"query": "x", "filter": {"from": "2023-13-01"}}})).await;
    assert_eq!(bad["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
}

#[tokio::test]
async fn the_same_key_changes_once_and_answers_the_same() {
    let Some(stack) = Stack::start().await else { return };
    library(&stack);
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    stack.fakes.answer("notifications.Notifications/Follow", |_, request: notifications::FollowRequest| {
        let follow = notifications::FollowedInterest {
            id: ulid(8000),
            kind: request.kind,
            target_id: request.target_id,
            origin: "resident".into(),
            created_at: "2024-01-01T00:00:00Z".into(),
            name: String::new(),
        };
        Ok(notifications::FollowResponse { follow: Some(follow) })
    });
    let query = "mutation($input: FollowInput!) { follow(input: $input) { follow { id kind topic } userErrors { reason } } }";
    let key = format!("key-{}", stack.user);
    stack.fakes.calls();
    let first = browser.graphql(query, json!({"input": {"topic": "housing", "idempotencyKey": key}})).await;
    assert_eq!(first["data"]["follow"]["follow"]["topic"], "housing", "{first}");
    let again = browser.graphql(query, json!({"input": {"topic": "housing", "idempotencyKey": key}})).await;
    assert_eq!(first["data"], again["data"]);
    assert_eq!(stack.fakes.methods(), ["notifications.Notifications/Follow"]);
    let other = browser.graphql(query, json!({"input": {"topic": "streets", "idempotencyKey": key}})).await;
    assert_eq!(other["errors"][0]["extensions"]["fields"][0]["field"], "input.idempotencyKey");
    stack.clock.advance(chrono::TimeDelta::hours(11));
    browser.graphql("{ viewer { id } }", Value::Null).await;
    stack.clock.advance(chrono::TimeDelta::hours(11));
    browser.graphql("{ viewer { id } }", Value::Null).await;
    stack.clock.advance(chrono::TimeDelta::hours(3));
    // Tokens are renewed here, which asks accounts for the person's roles.
    browser.graphql("{ viewer { id } }", Value::Null).await;
    stack.fakes.calls();
    browser.graphql(query, json!({"input": {"topic": "streets", "idempotencyKey": key}})).await;
    assert_eq!(stack.fakes.methods(), ["notifications.Notifications/Follow"], "after a day the key is free");
}

#[tokio::test]
async fn a_broken_rule_is_part_of_the_answer_and_an_outage_can_be_repeated() {
    let Some(stack) = Stack::start().await else { return };
    library(&stack);
    let mut browser = Browser::new(&stack);
    let query = "mutation($input: SetHomeCityInput!) { setHomeCity(input: $input) { viewer { id } userErrors { field message reason } } }";
    let nobody = browser.graphql(query, json!({"input": {"cityId": null}})).await;
    assert_eq!(nobody["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!(nobody["data"], Value::Null);
    browser.sign_in("resident").await;
    let page = browser.graphql("{ meetings(first: 1) { nodes { city { id } } } }", Value::Null).await;
    let city = page["data"]["meetings"]["nodes"][0]["city"]["id"].clone();
    let key = format!("home-{}", stack.user);
    let input = json!({"input": {"cityId": city, "idempotencyKey": key}});
    type Answer = cs_proto::accounts::v1::SetHomeCityResponse;
    type Request = cs_proto::accounts::v1::SetHomeCityRequest;
    stack.fakes.answer("accounts.Accounts/SetHomeCity", |_, _: Request| {
        Err::<Answer, _>(cs_rpc::status(Reason::Unavailable, "away", &[]))
    });
    let away = browser.graphql(query, input.clone()).await;
    assert_eq!(away["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    stack.fakes.answer("accounts.Accounts/SetHomeCity", |_, _: Request| {
        let violation = FieldViolation::new("city_id", "names no city");
        Err::<Answer, _>(cs_rpc::status(Reason::UnknownCity, "no city", &[violation]))
    });
    let broken = browser.graphql(query, input).await;
    assert_eq!(
        broken["data"]["setHomeCity"],
        json!({"viewer": null, "userErrors": [{"field": ["cityId"], "message": "names no city", "reason": "UNKNOWN_CITY"}]})
    );
}

#[tokio::test]
async fn who_may_not_learns_nothing_of_the_rules() {
    let Some(stack) = Stack::start().await else { return };
    let (mut nobody, mut resident, mut operator) =
        (Browser::new(&stack), Browser::new(&stack), Browser::new(&stack));
    resident.sign_in("resident").await;
    operator.sign_in("operator").await;
    stack.fakes.calls();
    let code = |answer: &Value| answer["errors"][0]["extensions"]["code"].as_str().map(str::to_owned);
    // Each breaks a rule that is checked here.
    let own = [
        "follow(input: {}) { userErrors { reason } }",
        "unfollow(input: {id: \"x\"}) { userErrors { reason } }",
        "saveSearch(input: {query: \"q\", cityIds: [\"x\"]}) { userErrors { reason } }",
        "deleteSavedSearch(input: {id: \"x\"}) { userErrors { reason } }",
        "removePushSubscription(input: {id: \"x\"}) { userErrors { reason } }",
        "removeWebhook(input: {id: \"x\"}) { userErrors { reason } }",
        "markNotificationsRead(input: {}) { userErrors { reason } }",
        "setHomeCity(input: {cityId: \"x\"}) { userErrors { reason } }",
        "endSession(input: {id: \"x\"}) { userErrors { reason } }",
        "unlinkIdentity(input: {id: \"x\"}) { userErrors { reason } }",
        "linkIdentity(input: {provider: \"x\"}) { userErrors { reason } }",
    ];
    for field in own {
        let mutation = format!("mutation {{ {field} }}");
        let refused = nobody.graphql(&mutation, Value::Null).await;
        assert_eq!(code(&refused).as_deref(), Some("UNAUTHENTICATED"), "{field}");
        let told = resident.graphql(&mutation, Value::Null).await;
        assert_eq!(code(&told).as_deref(), Some("BAD_USER_INPUT"), "{field}");
    }
    let operators = [
        "mutation { rerunMeeting(input: {meetingId: \"x\"}) { userErrors { reason } } }",
        "mutation { scanCity(input: {cityId: \"x\"}) { userErrors { reason } } }",
        "mutation { replayDeadLetter(input: {id: \"x\", service: \"x\"}) { userErrors { reason } } }",
        "{ runs(first: 0) { nodes { id } } }",
        "{ sources(cityId: \"x\") { id } }",
        "{ deadLetters(first: 0) { id } }",
    ];
    for document in operators {
        let refused = nobody.graphql(document, Value::Null).await;
        assert_eq!(code(&refused).as_deref(), Some("UNAUTHENTICATED"), "{document}");
        let refused = resident.graphql(document, Value::Null).await;
        assert_eq!(code(&refused).as_deref(), Some("FORBIDDEN"), "{document}");
        let told = operator.graphql(document, Value::Null).await;
        assert_eq!(code(&told).as_deref(), Some("BAD_USER_INPUT"), "{document}");
    }
    assert!(
        stack.fakes.methods().iter().all(|method| method.ends_with("ResolveTenant")),
        "no service is troubled with what is refused here"
    );
}
