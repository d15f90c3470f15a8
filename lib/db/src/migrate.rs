//! Schemas, roles and migrations. The connection needs CREATEROLE and CREATE on the database, nothing more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::migrate::{MigrateError as SqlxMigrateError, Migration, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

/// How often a role is tried again that somebody else was changing.
const MET_ANOTHER: u32 = 20;

/// Migrating failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database was made by a newer version.
    #[error(
        "schema {schema} was made by a newer version of councilsense (it has migration {version}, unknown here): \
         install that version, or use another database or data directory"
    )]
    Newer {
        /// Which schema.
        schema: String,
        /// The unknown migration.
        version: i64,
    },
    /// The database refused a role or a schema.
    #[error(
        "schema {schema} cannot be prepared: {source}. The migrating user needs CREATEROLE, and CREATE on the database"
    )]
    Prepare {
        /// Which schema.
        schema: String,
        /// What the database said.
        source: sqlx::Error,
    },
    /// A migration failed; it was rolled back.
    #[error("schema {schema}: {source}")]
    Migration {
        /// Which schema.
        schema: String,
        /// What failed.
        source: SqlxMigrateError,
    },
    /// The database cannot be reached.
    #[error("the database cannot be reached: {0}")]
    Connect(#[source] sqlx::Error),
}

/// A schema and what is in it.
pub struct SchemaSpec<'a> {
    /// Its name; its login roles are `<name>_app` and `<name>_system`.
    pub name: &'a str,
    /// Applied in order, together; their versions differ.
    pub migrators: &'a [&'a Migrator],
}

/// Brings every schema up to date. Repeating it changes nothing.
pub async fn migrate(
    url: &url::Url,
    role_secret: &[u8],
    schemas: &[SchemaSpec<'_>],
) -> Result<(), MigrateError> {
    let mut connection = connect(url).await.map_err(MigrateError::Connect)?;
    for schema in schemas {
        prepare_patiently(&mut connection, role_secret, schema.name)
            .await
            .map_err(|source| MigrateError::Prepare { schema: schema.name.to_owned(), source })?;
        let migrations: Vec<Migration> = schema.migrators.iter().flat_map(|m| m.iter()).cloned().collect();
        Migrator::with_migrations(migrations).run(&mut connection).await.map_err(|source| match source {
            SqlxMigrateError::VersionMissing(version) => {
                MigrateError::Newer { schema: schema.name.to_owned(), version }
            }
            source => MigrateError::Migration { schema: schema.name.to_owned(), source },
        })?;
    }
    connection.close().await.map_err(MigrateError::Connect)
}

/// Roles belong to the whole server: somebody who prepares another of its databases at the same moment makes
/// PostgreSQL refuse one of the two, and the advisory lock, which is the database's own, cannot prevent it.
async fn prepare_patiently(
    connection: &mut PgConnection,
    secret: &[u8],
    schema: &str,
) -> Result<(), sqlx::Error> {
    for _ in 0..MET_ANOTHER {
        match prepare(connection, secret, schema).await {
            Err(sqlx::Error::Database(e))
                if matches!(e.code().as_deref(), Some("XX000" | "23505" | "42710")) =>
            {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            result => return result,
        }
    }
    prepare(connection, secret, schema).await
}

async fn prepare(connection: &mut PgConnection, secret: &[u8], schema: &str) -> Result<(), sqlx::Error> {
    // Two processes that start at once would race for CREATE ROLE, which has no IF NOT EXISTS.
    sqlx::query("SELECT pg_advisory_lock(hashtext('councilsense roles'))").execute(&mut *connection).await?;
    let quoted = quote(schema);
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {quoted}")))
        .execute(&mut *connection)
        .await?;
    for role in ["app", "system"] {
        let name = format!("{schema}_{role}");
        let user = quote(&name);
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(&name)
            .fetch_one(&mut *connection)
            .await?;
        let create = if exists { String::new() } else { format!("CREATE ROLE {user};") };
        let settings = role_settings(secret, &name, schema);
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{create}{settings}"))).execute(&mut *connection).await?;
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET search_path = {quoted}")))
        .execute(&mut *connection)
        .await?;
    sqlx::query("SELECT pg_advisory_unlock(hashtext('councilsense roles'))").execute(connection).await?;
    Ok(())
}

async fn connect(url: &url::Url) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.as_str().parse()?;
    PgConnection::connect_with(&options).await
}

/// Whether a login role of any of `schemas` is connected to the database.
pub async fn roles_connected(url: &url::Url, schemas: &[&str]) -> Result<bool, sqlx::Error> {
    let names: Vec<String> =
        schemas.iter().flat_map(|s| ["app", "system"].map(|role| format!("{s}_{role}"))).collect();
    let mut connection = connect(url).await?;
    let connected = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND usename::text = ANY ($1))",
    )
    .bind(names)
    .fetch_one(&mut connection)
    .await?;
    Ok(connected)
}

/// The same as [`migrate`], as SQL for somebody else to run. Running it again changes nothing. It holds the roles'
/// passwords: treat it as the secret it is.
pub fn print_sql(role_secret: &[u8], schemas: &[SchemaSpec<'_>]) -> String {
    let mut sql =
        String::from("-- Schemas, roles and migrations. Run it again at will: what is there stays.\n");
    for schema in schemas {
        let quoted = quote(schema.name);
        sql += &format!("\nCREATE SCHEMA IF NOT EXISTS {quoted};\nSET search_path = {quoted};\n");
        for role in ["app", "system"] {
            let name = format!("{}_{role}", schema.name);
            let user = quote(&name);
            sql += &format!(
                "DO $role$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN CREATE ROLE {user}; END IF; END $role$;\n{}",
                role_settings(role_secret, &name, schema.name)
            );
        }
        sql += SQLX_TABLE;
        for migration in schema.migrators.iter().flat_map(|m| m.iter()) {
            let checksum: String = migration.checksum.iter().map(|byte| format!("{byte:02x}")).collect();
            sql += &format!(
                "DO $once$ BEGIN IF NOT EXISTS (SELECT FROM _sqlx_migrations WHERE version = {version}) THEN\nEXECUTE $migration${text}$migration$;\n\
                 INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)\n\
                 VALUES ({version}, '{description}', true, '\\x{checksum}', 0);\nEND IF; END $once$;\n",
                version = migration.version,
                description = migration.description.replace('\'', "''"),
                text = migration.sql.as_str(),
            );
        }
    }
    sql
}

/// What `sqlx` keeps of the migrations it has applied.
const SQLX_TABLE: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, \
    installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);\n";

/// Statements that give a role its password, its schema and its limits. Only a superuser may write NOSUPERUSER, even where
/// it changes nothing; so what a new role is by default is checked instead.
fn role_settings(secret: &[u8], name: &str, schema: &str) -> String {
    let (user, quoted, password) = (quote(name), quote(schema), role_password(secret, name));
    format!(
        "DO $check$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}' AND (rolsuper OR rolbypassrls)) THEN
RAISE EXCEPTION 'the role {name} is a superuser or bypasses row-level security: take that from it'; END IF; END $check$;
ALTER ROLE {user} LOGIN PASSWORD '{password}';
ALTER ROLE {user} SET search_path = {quoted};
ALTER ROLE {user} SET statement_timeout = '30s';
ALTER ROLE {user} SET idle_in_transaction_session_timeout = '60s';
GRANT USAGE ON SCHEMA {quoted} TO {user};
"
    )
}

fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// The password of a login role: HMAC-SHA-256 of its name under the installation's secret, so that no list of
/// passwords has to be kept.
pub fn role_password(secret: &[u8], role: &str) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret)
        .unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(role.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}
