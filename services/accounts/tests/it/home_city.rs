//! Moving home, with meetings answering over a real channel.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use accounts::AccountsService;
use cs_core::{Caller, CityId};
use cs_db::Tx;
use cs_proto::accounts::v1::SetHomeCityRequest;
use cs_proto::accounts::v1::accounts_server::Accounts;
use cs_proto::common::v1::BatchGetRequest;
use cs_proto::errors::v1::Reason;
use cs_proto::events::v1::AccountHomeCityChanged;
use cs_proto::meetings::v1::{BatchGetCitiesResponse, City};
use cs_rpc::{Channel, Failure, InMemory};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};

use crate::support::{World, claims};

/// Meetings as far as this service asks it: it knows one city.
#[derive(Clone)]
struct Cities(String);

impl NamedService for Cities {
    const NAME: &'static str = "councilsense.meetings.v1.Meetings";
}

impl UnaryService<BatchGetRequest> for Cities {
    type Response = BatchGetCitiesResponse;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Self::Response>, Status>> + Send>>;

    fn call(&mut self, request: Request<BatchGetRequest>) -> Self::Future {
        let known = self.0.clone();
        Box::pin(async move {
            assert!(request.metadata().contains_key("authorization"), "the call is signed");
            let ids = request.into_inner().ids;
            let cities = ids.into_iter().filter(|id| *id == known).map(|id| City { id, ..City::default() });
            Ok(Response::new(BatchGetCitiesResponse { cities: cities.collect() }))
        })
    }
}

impl tower::Service<http::Request<Body>> for Cities {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let cities = self.clone();
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/councilsense.meetings.v1.Meetings/BatchGetCities");
            let mut grpc = Grpc::new(tonic_prost::ProstCodec::default());
            Ok(grpc.unary(cities, request).await)
        })
    }
}

fn meetings_with(city: CityId) -> (Channel, CancellationToken) {
    let (listener, stop) = (InMemory::default(), CancellationToken::new());
    let channel = listener.channel();
    let routes = tonic::service::Routes::new(Cities(city.to_string()));
    tokio::spawn(cs_rpc::serve(listener.incoming(), routes, stop.clone()));
    (channel, stop)
}

async fn set(service: &AccountsService, caller: &Caller, city: &str) -> Result<String, Failure> {
    let mut request = Request::new(SetHomeCityRequest { city_id: city.to_owned(), ..Default::default() });
    request.extensions_mut().insert(caller.clone());
    let answer = service.set_home_city(request).await.map_err(|status| Failure::from(&status))?;
    Ok(answer.into_inner().user.unwrap_or_default().home_city_id)
}

async fn told(world: &World) -> Vec<AccountHomeCityChanged> {
    let mut tx = world.tx(&world.service()).await;
    let envelopes: Vec<sqlx::types::Json<cs_events::Envelope>> = sqlx::query_scalar(
        "SELECT envelope FROM outbox WHERE type = 'account.home_city_changed' ORDER BY sequence",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    envelopes.iter().map(|e| e.payload().unwrap()).collect()
}

#[tokio::test]
async fn a_move_is_told_once_with_its_version() {
    let world = World::start().await;
    let (user, _) = world.sign_in(&claims("ada")).await;
    let caller = world.person(&user);
    let city: CityId = world.ids.next();
    let (channel, _stop) = meetings_with(city);
    let service = AccountsService::new(world.deps(channel));
    let text = city.to_string();
    for _ in 0..3 {
        assert_eq!(set(&service, &caller, &text).await.unwrap(), text);
    }
    assert_eq!(set(&service, &caller, "").await.unwrap(), "");
    assert_eq!(set(&service, &caller, "").await.unwrap(), "");
    let changed = |city: &str, before: &str, version| AccountHomeCityChanged {
        user_id: user.id.to_string(),
        city_id: city.to_owned(),
        previous_city_id: before.to_owned(),
        version,
    };
    assert_eq!(told(&world).await, [changed(&text, "", 1), changed("", &text, 2)]);
}

#[tokio::test]
async fn a_city_that_does_not_exist_changes_nothing() {
    let world = World::start().await;
    let (user, _) = world.sign_in(&claims("ada")).await;
    let caller = world.person(&user);
    let (channel, _stop) = meetings_with(world.ids.next());
    let service = AccountsService::new(world.deps(channel));
    let unknown = set(&service, &caller, &world.ids.next::<CityId>().to_string()).await.unwrap_err();
    assert_eq!(unknown.reason, Reason::UnknownCity);
    assert_eq!(unknown.fields[0].field, "city_id");
    let malformed = set(&service, &caller, "new-orleans").await.unwrap_err();
    assert_eq!(malformed.reason, Reason::InvalidArgument);
    let anonymous = world.subject(cs_core::Subject::Anonymous, &[]);
    assert_eq!(set(&service, &anonymous, "").await.unwrap_err().reason, Reason::Unauthenticated);
    assert_eq!(told(&world).await, []);
}

#[tokio::test]
async fn without_meetings_it_is_unavailable() {
    let world = World::start().await;
    let (user, _) = world.sign_in(&claims("ada")).await;
    let channel = InMemory::default().channel();
    let service = AccountsService::new(world.deps(channel));
    let failure =
        set(&service, &world.person(&user), &world.ids.next::<CityId>().to_string()).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Unavailable);
    assert!(failure.retryable);
    // No home city at all needs nobody's word.
    assert_eq!(set(&service, &world.person(&user), "").await.unwrap(), "");
}
