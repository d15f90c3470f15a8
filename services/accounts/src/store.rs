//! All SQL of this service.

pub(crate) mod deletion;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use cs_core::{CityId, Role, TenantId, UserId};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Names the person in every service.
    pub id: UserId,
    /// What others see.
    pub display_name: String,
    /// As the provider gave it; never used to find a person.
    pub email: Option<String>,
    /// The city the person calls home.
    pub home_city: Option<CityId>,
    /// A BCP 47 language tag.
    pub locale: Option<String>,
    /// An IANA time zone.
    pub time_zone: Option<String>,
    /// What was granted; everybody here is a resident.
    pub roles: BTreeSet<Role>,
    /// First sign-in.
    pub created_at: DateTime<Utc>,
    /// Of the account: grows with each change that others are told of.
    pub version: i64,
}

#[derive(sqlx::FromRow)]
struct UserRow {
    id: Uuid,
    display_name: String,
    email: Option<String>,
    home_city_id: Option<Uuid>,
    locale: Option<String>,
    time_zone: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    roles: Vec<String>,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        // The table's CHECK lets no other word in.
        let mut roles: BTreeSet<Role> = row.roles.iter().filter_map(|role| role.parse().ok()).collect();
        roles.insert(Role::Resident);
        Self {
            id: row.id.into(),
            display_name: row.display_name,
            email: row.email,
            home_city: row.home_city_id.map(CityId::from),
            locale: row.locale,
            time_zone: row.time_zone,
            roles,
            created_at: row.created_at,
            version: row.version,
        }
    }
}

/// An account at a provider, linked to a person.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Identity {
    /// Its row.
    pub id: Uuid,
    /// The provider.
    pub issuer: String,
    /// The person's name there.
    pub subject: String,
    /// When it was linked.
    pub created_at: DateTime<Utc>,
}

/// An organisation that runs a space of its own.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Tenant {
    /// [`TenantId::of_slug`] of the slug.
    pub id: Uuid,
    /// Its name in addresses and commands.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

/// The people named, in no order; those of other tenants do not exist here.
pub(crate) async fn users(tx: &mut TenantTx, ids: &[UserId]) -> Result<Vec<User>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<UserRow> = sqlx::query_as(
        "SELECT id, display_name, email, home_city_id, locale, time_zone, version, created_at,
                ARRAY(SELECT role FROM role_grants g WHERE g.user_id = u.id) AS roles
         FROM users u WHERE id = ANY ($1)",
    )
    .bind(ids)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// One person as a session sees them that began at a provider: with the roles that it stands for and those of operators,
/// and none that another provider gave.
pub(crate) async fn user_by(tx: &mut TenantTx, id: UserId, issuer: &str) -> Result<Option<User>, DbError> {
    let Some(mut user) = user(tx, id).await? else { return Ok(None) };
    let roles: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT role FROM role_grants WHERE user_id = $1 AND (origin = 'operator' OR issuer = $2)",
    )
    .bind(id.uuid())
    .bind(issuer)
    .fetch_all(tx.conn())
    .await?;
    user.roles = roles.iter().filter_map(|role| role.parse().ok()).chain([Role::Resident]).collect();
    Ok(Some(user))
}

/// One person.
pub(crate) async fn user(tx: &mut TenantTx, id: UserId) -> Result<Option<User>, DbError> {
    Ok(users(tx, &[id]).await?.pop())
}

/// Holds a person's row until the transaction ends: `true` where there is one.
pub(crate) async fn lock_user(tx: &mut TenantTx, id: UserId) -> Result<bool, DbError> {
    let found: Option<(Uuid,)> = sqlx::query_as("SELECT id FROM users WHERE id = $1 FOR UPDATE")
        .bind(id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(found.is_some())
}

/// Lets one transaction at a time resolve an identity, before there is a row to hold.
pub(crate) async fn lock_identity(tx: &mut TenantTx, issuer: &str, subject: &str) -> Result<(), DbError> {
    // 0x1f stands in neither, so two identities share a lock only where their hashes meet, which costs a wait.
    let key = format!("{}\u{1f}{issuer}\u{1f}{subject}", tx.tenant());
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind(key).execute(tx.conn()).await?;
    Ok(())
}

/// The person behind an identity.
pub(crate) async fn user_of_identity(
    tx: &mut TenantTx,
    issuer: &str,
    subject: &str,
) -> Result<Option<UserId>, DbError> {
    let found: Option<(Uuid,)> =
        sqlx::query_as("SELECT user_id FROM identities WHERE issuer = $1 AND subject = $2")
            .bind(issuer)
            .bind(subject)
            .fetch_optional(tx.conn())
            .await?;
    Ok(found.map(|(id,)| id.into()))
}

/// Makes a person.
pub(crate) async fn insert_user(
    tx: &mut TenantTx,
    id: UserId,
    display_name: &str,
    email: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO users (id, tenant_id, display_name, email, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)",
    )
    .bind(id.uuid())
    .bind(tx.tenant().uuid())
    .bind(display_name)
    .bind(email)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Links an identity to a person.
pub(crate) async fn insert_identity(
    tx: &mut TenantTx,
    id: Uuid,
    user: UserId,
    (issuer, subject): (&str, &str),
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO identities (id, tenant_id, user_id, issuer, subject, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(tx.tenant().uuid())
    .bind(user.uuid())
    .bind(issuer)
    .bind(subject)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Keeps the address that the provider gives now.
pub(crate) async fn set_email(
    tx: &mut TenantTx,
    id: UserId,
    email: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query("UPDATE users SET email = $2, updated_at = $3 WHERE id = $1 AND email IS DISTINCT FROM $2")
        .bind(id.uuid())
        .bind(email)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Writes what a person chose to be called and shown. `None` leaves a field; an empty text clears it.
pub(crate) async fn set_profile(
    tx: &mut TenantTx,
    id: UserId,
    display_name: Option<&str>,
    locale: Option<&str>,
    time_zone: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE users SET display_name = coalesce($2, display_name), locale = nullif(coalesce($3, locale), ''),
                          time_zone = nullif(coalesce($4, time_zone), ''), updated_at = $5 WHERE id = $1",
    )
    .bind(id.uuid())
    .bind(display_name)
    .bind(locale)
    .bind(time_zone)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Moves a person's home; gives the account's new version.
pub(crate) async fn set_home_city(
    tx: &mut TenantTx,
    id: UserId,
    city: Option<CityId>,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar(
        "UPDATE users SET home_city_id = $2, version = version + 1, updated_at = $3 WHERE id = $1 RETURNING version",
    )
    .bind(id.uuid())
    .bind(city.map(CityId::uuid))
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// A person's identities, oldest first.
pub(crate) async fn identities(tx: &mut TenantTx, user: UserId) -> Result<Vec<Identity>, DbError> {
    Ok(sqlx::query_as(
        "SELECT id, issuer, subject, created_at FROM identities WHERE user_id = $1 ORDER BY id",
    )
    .bind(user.uuid())
    .fetch_all(tx.conn())
    .await?)
}

/// Unlinks an identity.
pub(crate) async fn delete_identity(tx: &mut TenantTx, id: Uuid) -> Result<(), DbError> {
    sqlx::query("DELETE FROM identities WHERE id = $1").bind(id).execute(tx.conn()).await?;
    Ok(())
}

/// Takes the roles back that a provider gave.
pub(crate) async fn drop_roles_of(tx: &mut TenantTx, user: UserId, issuer: &str) -> Result<(), DbError> {
    sqlx::query("DELETE FROM role_grants WHERE user_id = $1 AND origin = 'provider' AND issuer = $2")
        .bind(user.uuid())
        .bind(issuer)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Where a grant comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    Operator,
    Provider,
}

/// Grants roles that are not granted yet.
pub(crate) async fn grant(
    tx: &mut TenantTx,
    user: UserId,
    roles: &BTreeSet<Role>,
    origin: Origin,
    granted_by: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO role_grants (tenant_id, user_id, role, origin, granted_by, created_at)
         SELECT $1, $2, role, $4, $5, $6 FROM unnest($3::text[]) role ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant().uuid())
    .bind(user.uuid())
    .bind(words(roles))
    .bind(match origin {
        Origin::Operator => "operator",
        Origin::Provider => "provider",
    })
    .bind(granted_by)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes back the roles that a provider no longer gives. What others gave stays.
pub(crate) async fn keep_provider_roles(
    tx: &mut TenantTx,
    user: UserId,
    issuer: &str,
    roles: &BTreeSet<Role>,
) -> Result<(), DbError> {
    sqlx::query(
        "DELETE FROM role_grants
         WHERE user_id = $1 AND origin = 'provider' AND issuer = $2 AND NOT role = ANY ($3)",
    )
    .bind(user.uuid())
    .bind(issuer)
    .bind(words(roles))
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes back what an operator granted. `false`: nothing was granted.
pub(crate) async fn revoke(tx: &mut TenantTx, user: UserId, role: Role) -> Result<bool, DbError> {
    let gone =
        sqlx::query("DELETE FROM role_grants WHERE user_id = $1 AND role = $2 AND origin = 'operator'")
            .bind(user.uuid())
            .bind(role.as_str())
            .execute(tx.conn())
            .await?;
    Ok(gone.rows_affected() > 0)
}

/// Whether anybody of the tenant has a role.
pub(crate) async fn anybody_has(tx: &mut TenantTx, role: Role) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM role_grants WHERE role = $1)")
        .bind(role.as_str())
        .fetch_one(tx.conn())
        .await?)
}

fn words(roles: &BTreeSet<Role>) -> Vec<&'static str> {
    roles.iter().map(|role| role.as_str()).collect()
}

/// Makes a tenant, or gives it another name; an empty name leaves what there is.
pub(crate) async fn ensure_tenant(
    tx: &mut TenantTx,
    slug: &str,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Tenant, DbError> {
    Ok(sqlx::query_as(
        "INSERT INTO tenants (id, slug, name, created_at) VALUES ($1, $2, coalesce(nullif($3, ''), $2), $4)
         ON CONFLICT ON CONSTRAINT tenants_slug DO UPDATE SET name = coalesce(nullif($3, ''), tenants.name)
         RETURNING id, slug, name",
    )
    .bind(TenantId::of_slug(slug).uuid())
    .bind(slug)
    .bind(name)
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// Makes a host name lead to a tenant; gives the tenant it leads to.
pub(crate) async fn ensure_host(tx: &mut TenantTx, host: &str, tenant: Uuid) -> Result<Uuid, DbError> {
    sqlx::query("INSERT INTO tenant_hosts (host, tenant) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(host)
        .bind(tenant)
        .execute(tx.conn())
        .await?;
    Ok(sqlx::query_scalar("SELECT tenant FROM tenant_hosts WHERE host = $1")
        .bind(host)
        .fetch_one(tx.conn())
        .await?)
}

/// Every tenant, or one.
pub(crate) async fn tenants(tx: &mut TenantTx, only: Option<TenantId>) -> Result<Vec<Tenant>, DbError> {
    Ok(sqlx::query_as("SELECT id, slug, name FROM tenants WHERE $1::uuid IS NULL OR id = $1 ORDER BY slug")
        .bind(only.map(TenantId::uuid))
        .fetch_all(tx.conn())
        .await?)
}

/// The tenant that a host name leads to.
pub(crate) async fn tenant_of_host(tx: &mut TenantTx, host: &str) -> Result<Option<Tenant>, DbError> {
    Ok(sqlx::query_as(
        "SELECT t.id, t.slug, t.name FROM tenant_hosts h JOIN tenants t ON t.id = h.tenant WHERE h.host = $1",
    )
    .bind(host)
    .fetch_optional(tx.conn())
    .await?)
}
