//! Each role says that it cannot serve while its database is gone, and that it can when it is back.

use std::time::Duration;

use councilsense::wiring::Role;
use cs_rpc::Channel;
use sqlx::{Connection, PgConnection};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Harness, Mode, database};

async fn reaches(channel: Channel, role: Role, expected: ServingStatus) {
    let mut client = HealthClient::new(channel);
    let looking = async {
        loop {
            let request = HealthCheckRequest { service: role.name().to_owned() };
            if client.check(request).await.unwrap().get_ref().status() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(60), looking).await;
    reached.unwrap_or_else(|_| panic!("{} never says {expected:?}", role.name()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_its_database_says_so() {
    let h = Harness::start("health", Mode::Split).await;
    let name = h.database.path().trim_start_matches('/').to_owned();
    let mut admin = PgConnection::connect(database().await.as_str()).await.unwrap();
    let of_database = [Role::Accounts, Role::Meetings, Role::Summaries, Role::Notifications];
    for (open, expected) in [(false, ServingStatus::NotServing), (true, ServingStatus::Serving)] {
        let sql = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {open}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        // Those of the services; the test kit keeps one open, so that nobody takes the database for a forgotten one.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename <> current_user";
        sqlx::query(end).bind(&name).execute(&mut admin).await.unwrap();
        for role in of_database {
            reaches(h.channel(role), role, expected).await;
        }
        reaches(h.channel(Role::Search), Role::Search, ServingStatus::Serving).await;
    }
}
