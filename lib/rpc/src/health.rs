//! `grpc.health.v1`: what each service of a process says of itself, and what keeps it true.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
pub use tonic_health::server::HealthReporter;

use crate::chain;

/// One miss in a burst of requests is no outage.
const MISSES: u32 = 2;

/// `grpc.health.v1`, with each named service serving; the reporter tells later what changed.
pub async fn health(
    services: &[&str],
) -> (
    HealthReporter,
    tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health>,
) {
    let (reporter, server) = tonic_health::server::health_reporter();
    for service in services {
        reporter.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
    (reporter, server)
}

/// Says of one service whether it serves.
pub async fn set_health(reporter: &HealthReporter, service: &str, serving: bool) {
    use tonic_health::ServingStatus::{NotServing, Serving};
    reporter.set_service_status(service, if serving { Serving } else { NotServing }).await;
}

/// Keeps what is said of `service` true until `stop`: every `tick` it is asked whether `needs`, what it cannot serve
/// without, answers. The process itself serves on: what needs it not is not touched.
pub async fn watch_health<F, E>(
    reporter: HealthReporter,
    (service, needs): (&'static str, &'static str),
    answers: impl Fn() -> F,
    tick: Duration,
    stop: CancellationToken,
) where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error,
{
    let (mut serving, mut missed) = (true, 0);
    while !stop.is_cancelled() {
        let answer = tokio::select! {
            answer = answers() => answer,
            () = stop.cancelled() => return,
        };
        missed = if answer.is_ok() { 0 } else { missed + 1 };
        if serving != (missed < MISSES) {
            serving = !serving;
            match &answer {
                Ok(()) => {
                    tracing::info!(event = "health.changed", service, needs, serving, "it answers again")
                }
                Err(error) => {
                    tracing::error!(event = "health.changed", service, needs, serving, error = %chain(error), "it does not answer");
                }
            }
            set_health(&reporter, service, serving).await;
        }
        tokio::select! {
            () = tokio::time::sleep(tick) => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

    use super::*;

    #[tokio::test]
    async fn a_service_without_its_database_says_so_and_comes_back() {
        let (memory, stop, there) =
            (crate::InMemory::default(), CancellationToken::new(), Arc::new(AtomicBool::new(true)));
        let mut client = HealthClient::new(memory.channel());
        let (reporter, server) = health(&["accounts", "search"]).await;
        let routes = tonic::service::Routes::new(server);
        let serving = tokio::spawn(crate::serve(memory.incoming(), routes, stop.clone()));
        let probe = there.clone();
        let watching = tokio::spawn(watch_health(
            reporter,
            ("accounts", "database"),
            move || {
                let there = probe.load(Ordering::SeqCst);
                async move { if there { Ok(()) } else { Err(Error::from(ErrorKind::ConnectionRefused)) } }
            },
            Duration::from_millis(5),
            stop.clone(),
        ));
        for (alive, expected) in [
            (true, ServingStatus::Serving),
            (false, ServingStatus::NotServing),
            (true, ServingStatus::Serving),
        ] {
            there.store(alive, Ordering::SeqCst);
            let reached = async {
                while asked(&mut client, "accounts").await != expected {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), reached).await.expect("the health follows");
            assert_eq!(
                asked(&mut client, "search").await,
                ServingStatus::Serving,
                "another's is not touched"
            );
        }
        stop.cancel();
        watching.await.unwrap();
        serving.await.unwrap().unwrap();
    }

    async fn asked(client: &mut HealthClient<crate::Channel>, service: &str) -> ServingStatus {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer: HealthCheckResponse = client.check(request).await.unwrap().into_inner();
        answer.status()
    }
}
