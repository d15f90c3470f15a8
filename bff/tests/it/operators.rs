//! What operators do with the sessions of others, on the internal listener; over both stores.

use std::time::Duration;

use bff::Store;
use chrono::TimeDelta;
use cs_core::{Caller, Clock, Role, Subject, SystemClock, TenantId, Trace, UserId};
use cs_proto::bff::v1 as pb;
use cs_proto::bff::v1::sessions_client::SessionsClient;
use cs_proto::errors::v1::Reason;
use cs_rpc::Failure;
use futures::StreamExt;
use reqwest::Method;
use serde_json::json;
use tonic::{Code, Request, Status};

use crate::evil::Evil;
use crate::evil::renewal::{is_open, signed_in};
use crate::sockets::{PROTOCOL, connect, hear, published, say};
use crate::stack::Stack;

fn caller(subject: Subject, tenant: TenantId, roles: &[Role]) -> Caller {
    Caller {
        subject,
        roles: roles.iter().copied().collect(),
        ..Caller::service("cli", tenant, Trace::start())
    }
}

fn terminal(tenant: TenantId) -> Caller {
    caller(Subject::Operator("ops".into()), tenant, &[Role::Operator])
}

/// Signed by `issuer` for `audience`.
fn request<T>(stack: &Stack, who: &Caller, audience: &str, message: T) -> Request<T> {
    let issuer = if who.is_service() { "cli" } else { "bff" };
    let life = TimeDelta::seconds(60);
    let token = stack.key.sign(issuer, &[audience], who, SystemClock.now(), life).unwrap();
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn list(stack: &Stack, who: &Caller, user: &str) -> Result<Vec<pb::Session>, Status> {
    let message = pb::ListSessionsRequest { user_id: user.to_owned() };
    let mut client = SessionsClient::new(stack.internal());
    Ok(client.list_sessions(request(stack, who, cs_rpc::BFF, message)).await?.into_inner().sessions)
}

async fn end(stack: &Stack, who: &Caller, user: &str) -> Result<Vec<String>, Status> {
    let message = pb::EndSessionsRequest { user_id: user.to_owned() };
    let mut client = SessionsClient::new(stack.internal());
    Ok(client.end_sessions(request(stack, who, cs_rpc::BFF, message)).await?.into_inner().ids)
}

/// A stack over a store, whose provider counts what is revoked.
async fn over(store: Option<Store>) -> Option<(std::sync::Arc<Evil>, Stack)> {
    let evil = Evil::start().await;
    let provider = evil.config("evil");
    let stack = Stack::build(store, |config| {
        config.providers = vec![provider];
        config.edge.session_memory = Duration::from_secs(2);
    })
    .await?;
    evil.follow(&stack);
    Some((evil, stack))
}

async fn a_person_is_signed_out_everywhere(store: Option<Store>) {
    let Some((evil, stack)) = over(store).await else { return };
    published(&stack);
    let user = stack.user.to_string();
    let ops = terminal(stack.tenant);
    assert_eq!(list(&stack, &ops, &user).await.unwrap(), []);
    let (mut here, mut there) = (signed_in(&stack).await, signed_in(&stack).await);
    let found = list(&stack, &ops, &user).await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|session| session.provider == "evil" && session.created_at < session.ends_at));

    let watch = "subscription { meetingPublished { version } }";
    let own = ("origin", stack.origin.as_str());
    let mut socket = connect(&here, &[PROTOCOL, own]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    hear(&mut socket).await.unwrap();
    say(&mut socket, json!({"type": "subscribe", "id": "1", "payload": {"query": watch}})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "next");
    let events = there.request(Method::POST, "/graphql/stream").header("x-csrf", "1");
    let mut events = there.send(events.json(&json!({"query": watch}))).await.bytes_stream();
    events.next().await.unwrap().unwrap();
    // Both were read a moment ago, and are remembered.
    assert!(is_open(&mut here).await && is_open(&mut there).await);

    // Another tenant's operator finds nobody of that name.
    let elsewhere = terminal(TenantId::of_slug("elsewhere"));
    assert_eq!(list(&stack, &elsewhere, &user).await.unwrap(), []);
    assert_eq!(end(&stack, &elsewhere, &user).await.unwrap(), Vec::<String>::new());
    assert!(is_open(&mut here).await && is_open(&mut there).await);

    let mut ended = end(&stack, &ops, &user).await.unwrap();
    let mut due: Vec<String> = found.into_iter().map(|session| session.id).collect();
    ended.sort();
    due.sort();
    assert_eq!(ended, due);
    assert!(!is_open(&mut here).await && !is_open(&mut there).await, "at once");
    assert_eq!(evil.revoked.lock().unwrap().len(), 2, "each refresh token");
    assert_eq!(hear(&mut socket).await, Err(4401), "within seconds");
    let over = async { while events.next().await.is_some_and(|chunk| chunk.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(15), over).await.expect("within seconds");
    assert_eq!(end(&stack, &ops, &user).await.unwrap(), Vec::<String>::new(), "again");
    assert_eq!(list(&stack, &ops, &user).await.unwrap(), []);
    assert!(is_open(&mut signed_in(&stack).await).await, "the person may sign in again");
}

#[tokio::test]
async fn operators_sign_a_person_out_everywhere() {
    a_person_is_signed_out_everywhere(None).await;
    let Some(redis) = cs_testkit::redis::Redis::start() else { return };
    a_person_is_signed_out_everywhere(Some(Store::Redis { url: redis.url(), prefix: "test:".into() })).await;
}

#[tokio::test]
async fn nobody_else_sees_or_ends_the_sessions_of_others() {
    let Some((_, stack)) = over(None).await else { return };
    let mut browser = signed_in(&stack).await;
    let (user, tenant) = (stack.user.to_string(), stack.tenant);
    let person =
        |roles: &[Role]| caller(Subject::User(UserId::from(uuid::Uuid::from_u128(7))), tenant, roles);
    let refused = [
        (
            "anonymous",
            caller(Subject::Anonymous, tenant, &[]),
            Code::Unauthenticated,
            Reason::Unauthenticated,
        ),
        (
            "forged",
            caller(Subject::Anonymous, tenant, &[Role::Owner]),
            Code::Unauthenticated,
            Reason::Unauthenticated,
        ),
        (
            "the person",
            caller(Subject::User(stack.user), tenant, &[Role::Resident]),
            Code::PermissionDenied,
            Reason::Forbidden,
        ),
        ("a reviewer", person(&[Role::Reviewer]), Code::PermissionDenied, Reason::Forbidden),
        (
            "a service",
            Caller::service("cli", tenant, Trace::start()),
            Code::PermissionDenied,
            Reason::Forbidden,
        ),
    ];
    for (name, who, code, reason) in refused {
        // Whoever may not ask is told so, whatever is asked.
        for asked in [user.as_str(), "", "not an id"] {
            let (listed, ended) =
                (list(&stack, &who, asked).await.unwrap_err(), end(&stack, &who, asked).await.unwrap_err());
            for status in [listed, ended] {
                assert_eq!(
                    (status.code(), Failure::from(&status).reason),
                    (code, reason),
                    "{name} {asked:?}"
                );
            }
        }
    }
    let ops = person(&[Role::Operator]);
    for wrong in ["", "not an id"] {
        let status = end(&stack, &ops, wrong).await.unwrap_err();
        assert_eq!(
            (status.code(), Failure::from(&status).fields[0].field.as_str()),
            (Code::InvalidArgument, "user_id")
        );
    }
    // A token that goes along with a person's request to the services opens nothing here; none at all neither.
    let message = || pb::EndSessionsRequest { user_id: user.clone() };
    let mut client = SessionsClient::new(stack.internal());
    for service in cs_rpc::SERVICES {
        let status = client.end_sessions(request(&stack, &ops, service, message())).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{service}");
    }
    assert_eq!(client.end_sessions(message()).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(is_open(&mut browser).await);

    assert_eq!(list(&stack, &person(&[Role::Owner]), &user).await.unwrap().len(), 1, "an owner");
    assert_eq!(end(&stack, &ops, &user).await.unwrap().len(), 1, "an operator who signed in");
    assert!(!is_open(&mut browser).await);
    // It is not there any more, and that is said so.
    stack.pool.close().await;
    let status = end(&stack, &ops, &user).await.unwrap_err();
    assert_eq!((status.code(), Failure::from(&status).retryable), (Code::Unavailable, true));
}
