//! What an operator's own tools rely on: a token from the program, and servers that say what they serve.

use std::collections::BTreeSet;

use cs_proto::ops::v1::ListRunsRequest;
use cs_proto::ops::v1::runs_client::RunsClient;
use tonic::Request;
use tonic::metadata::MetadataValue;

use crate::harness::{Harness, Mode};
use crate::program::{Up, councilsense, scratch};

/// The services that a server names by one version of the protocol, that protocol aside.
macro_rules! named_by {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version as pb;
        let request = pb::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(pb::server_reflection_request::MessageRequest::ListServices(String::new())),
        };
        let mut client = pb::server_reflection_client::ServerReflectionClient::new($channel);
        let answer = client.server_reflection_info(futures::stream::iter([request])).await.unwrap();
        let Some(pb::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
            answer.into_inner().message().await.unwrap().unwrap().message_response
        else {
            panic!("no list")
        };
        let names = list.service.into_iter().map(|service| service.name);
        names.filter(|name| !name.starts_with("grpc.reflection.")).collect::<BTreeSet<String>>()
    }};
}

async fn named(address: &str) -> BTreeSet<String> {
    let channel = cs_rpc::connect(address).unwrap();
    let (now, before) = (named_by!(v1, channel.clone()), named_by!(v1alpha, channel));
    assert_eq!(now, before);
    now
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_says_what_can_be_asked() {
    let h = Harness::start("reflected", Mode::Split).await;
    for (stack, address) in h.stacks.iter().zip(&h.addresses) {
        let role = stack.roles()[0].name();
        let services = named(address).await;
        let own = format!("councilsense.{role}.v1.");
        for due in [own.as_str(), "councilsense.ops.v1.DeadLetters", "grpc.health.v1.Health"] {
            assert!(services.iter().any(|service| service.starts_with(due)), "{role} names {services:?}");
        }
        let ours = |service: &&String| {
            [own.as_str(), "councilsense.ops.v1.", "grpc.health."].iter().any(|due| service.starts_with(due))
        };
        assert!(services.iter().all(|service| ours(&service)), "what it serves and no more: {services:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_token_opens_what_its_role_may_and_no_more() {
    let dir = scratch();
    let data = dir.path().join("data");
    let (up, said) = {
        let data = data.clone();
        tokio::task::spawn_blocking(move || Up::start(&data)).await.unwrap()
    };
    let note = std::fs::read_to_string(data.join("instance.json")).unwrap();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap();
    let address = note["grpc"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned();
    assert!(named(&address).await.len() > 8, "all roles on one port");
    for (role, code) in [("operator", tonic::Code::Ok), ("resident", tonic::Code::PermissionDenied)] {
        let output = councilsense(&data, &["token", "--role", role]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let token = String::from_utf8(output.stdout).unwrap();
        let mut request = Request::new(ListRunsRequest::default());
        let header = MetadataValue::try_from(format!("Bearer {}", token.trim())).unwrap();
        request.metadata_mut().insert("authorization", header);
        let answer = RunsClient::new(cs_rpc::connect(&address).unwrap()).list_runs(request).await;
        assert_eq!(answer.map_or_else(|refused| refused.code(), |_| tonic::Code::Ok), code, "{role}");
    }
    let unknown = councilsense(&data, &["token", "--role", "mayor"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2), "bad usage");
    tokio::task::spawn_blocking(move || up.stop()).await.unwrap();
}
