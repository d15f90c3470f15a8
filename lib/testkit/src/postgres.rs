//! A PostgreSQL for tests: `DATABASE_URL`, or one server under the build directory that all test programs share.
//!
//! The shared server is left running, since the next test program starts sooner with it; its process number is in
//! `target/test-postgres/pid`, and `kill -INT` stops it. It forgets its data if the machine crashes.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

/// From which tests derive the roles' passwords. Roles belong to the whole server, so all tests use the same.
pub const ROLE_SECRET: &[u8] = b"every test's secret, and nothing else's";

/// The superuser's address of the tests' server; started if need be.
pub fn admin_url() -> Url {
    static URL: OnceLock<Url> = OnceLock::new();
    URL.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
        if let Ok(url) = std::env::var("DATABASE_URL") {
            return url.parse().expect("DATABASE_URL is not an address");
        }
        on_own_runtime(|| async { (shared().await, ()) })
    })
    .clone()
}

/// The address of a new, empty database of this test program, `cs_test_<name>_<process>`; the same for the same name.
/// Databases of programs that ended are dropped.
pub fn database(name: &str) -> Url {
    static MADE: Mutex<Option<HashMap<String, Url>>> = Mutex::new(None);
    let admin = admin_url();
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!("cs_test_{name}_{}", std::process::id());
    made.get_or_insert_default()
        .entry(name.clone())
        .or_insert_with(|| on_own_runtime(|| async move { create(&admin, &name).await }))
        .clone()
}

/// Works within a test's own runtime too. What comes with the address is kept until the process ends.
fn on_own_runtime<F, T>(work: impl FnOnce() -> F + Send + 'static) -> Url
where
    F: Future<Output = (Url, T)>,
{
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (url, _kept) = work().await;
            send.send(url).expect("the test waits");
            std::future::pending::<()>().await;
        });
    });
    receive.recv().expect("PostgreSQL for the tests; the reason is above")
}

async fn shared() -> Url {
    let dir = build_dir().join("test-postgres");
    fs::create_dir_all(&dir).expect("a directory for the tests' PostgreSQL");
    // Test programs that begin at once: one starts the server, the others adopt it.
    let lock = OpenOptions::new().create(true).append(true).open(dir.join("starting")).expect("a lock file");
    lock.lock().expect("the lock");
    let options = cs_pg::Options { durable: false, ..cs_pg::Options::new(&dir) };
    let postgres = cs_pg::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    fs::write(dir.join("pid"), postgres.pid().to_string()).expect("the pid file");
    postgres.url().clone()
}

/// The build directory that this program lies in: Cargo puts tests at `<profile>/deps/<name>`, examples at
/// `<profile>/examples/<name>`. (Its mark, `CACHEDIR.TAG`, is missing where something else made the directory first.)
fn build_dir() -> PathBuf {
    let program = std::env::current_exe().expect("the program's path");
    program.ancestors().nth(3).expect("a build directory").to_owned()
}

/// The open connection says that the database is in use.
async fn create(admin: &Url, name: &str) -> (Url, PgConnection) {
    let mut connection = PgConnection::connect(admin.as_str()).await.expect("the tests' PostgreSQL");
    // Else another program would drop the database between its making and the first connection to it.
    run(&mut connection, "SELECT pg_advisory_lock(hashtext('councilsense test databases'))").await;
    let unused: Vec<String> = sqlx::query_scalar(
        r"SELECT datname::text FROM pg_database d WHERE datname LIKE 'cs\_test\_%'
          AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the databases");
    for old in unused {
        run(&mut connection, &format!("DROP DATABASE IF EXISTS \"{old}\"")).await;
    }
    run(&mut connection, &format!("CREATE DATABASE \"{name}\" TEMPLATE template0")).await;
    let mut url = admin.clone();
    url.set_path(name);
    let kept = PgConnection::connect(url.as_str()).await.expect("the new database");
    connection.close().await.expect("the end of a connection");
    (url, kept)
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_has_databases_of_its_own_on_one_server() {
        let (one, two) = (database("one"), database("two"));
        assert_eq!(one, database("one"));
        assert_eq!((one.host(), one.port()), (two.host(), two.port()));
        let mut connection = PgConnection::connect(one.as_str()).await.unwrap();
        run(&mut connection, "CREATE TABLE mine ()").await;
        let mut connection = PgConnection::connect(two.as_str()).await.unwrap();
        let sql = "SELECT current_database() || ' ' || (to_regclass('mine') IS NULL)";
        let seen: String = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        assert_eq!(seen, format!("cs_test_two_{} true", std::process::id()));

        run(&mut connection, "CREATE DATABASE cs_test_left_behind TEMPLATE template0").await;
        database("three");
        let left = "SELECT count(*) FROM pg_database WHERE datname = 'cs_test_left_behind'";
        assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut connection).await.unwrap(), 0);
    }
}
