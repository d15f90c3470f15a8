//! Cities and bodies.

use chrono::{DateTime, Utc};
use cs_core::page::{Direction, Page};
use cs_core::{BodyId, CityId};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

/// A row of `cities`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct City {
    pub(crate) id: Uuid,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) time_zone: String,
    pub(crate) language: String,
}

/// A row of `bodies`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Body {
    pub(crate) id: Uuid,
    pub(crate) city_id: Uuid,
    pub(crate) name: String,
}

const CITY: &str = "SELECT id, slug, name, time_zone, language FROM cities";

/// Adds a city, or changes what is known of the one of that slug.
pub(crate) async fn put_city(
    tx: &mut TenantTx,
    id: CityId,
    city: &crate::ingest::NewCity,
    now: DateTime<Utc>,
) -> Result<City, DbError> {
    ensure_city(tx, id, city, now).await?;
    let city: City = sqlx::query_as(
        "UPDATE cities SET name = $2, time_zone = $3, language = $4 WHERE slug = $1
         RETURNING id, slug, name, time_zone, language",
    )
    .bind(&city.slug)
    .bind(&city.name)
    .bind(&city.time_zone)
    .bind(&city.language)
    .fetch_one(tx.conn())
    .await?;
    super::sources::follow_clock(tx, city.id, &city.time_zone, now).await?;
    Ok(city)
}

/// Adds a city, or finds the one of that slug as it is.
pub(crate) async fn ensure_city(
    tx: &mut TenantTx,
    id: CityId,
    city: &crate::ingest::NewCity,
    now: DateTime<Utc>,
) -> Result<City, DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "INSERT INTO cities (id, tenant_id, slug, name, time_zone, language, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT ON CONSTRAINT cities_slug DO NOTHING",
    )
    .bind(id.uuid())
    .bind(tenant)
    .bind(&city.slug)
    .bind(&city.name)
    .bind(&city.time_zone)
    .bind(&city.language)
    .bind(now)
    .execute(tx.conn())
    .await?;
    let sql = format!("{CITY} WHERE slug = $1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(&city.slug).fetch_one(tx.conn()).await?)
}

/// The city of a slug, or of an id in its text.
pub(crate) async fn find_city(tx: &mut TenantTx, slug_or_id: &str) -> Result<Option<City>, DbError> {
    let id = slug_or_id.parse::<CityId>().ok().map(CityId::uuid);
    let sql = format!("{CITY} WHERE slug = $1 OR id = $2");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(slug_or_id).bind(id).fetch_optional(tx.conn()).await?)
}

/// Cities by id.
pub(crate) async fn cities(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<City>, DbError> {
    let sql = format!("{CITY} WHERE id = ANY ($1)");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(ids).fetch_all(tx.conn()).await?)
}

/// One more than a page of cities by name, in the page's direction.
pub(crate) async fn list_cities(
    tx: &mut TenantTx,
    page: &Page<(String, Uuid)>,
) -> Result<Vec<City>, DbError> {
    let (compare, order) = match page.direction {
        Direction::Forward => (">", "name, id"),
        Direction::Backward => ("<", "name DESC, id DESC"),
    };
    let (name, id) = page.cursor.clone().unzip();
    let sql = format!(
        "{CITY} WHERE $1::text IS NULL OR (name, id) {compare} ($1, $2::uuid) ORDER BY {order} LIMIT $3"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(name)
        .bind(id)
        .bind(i64::from(page.size) + 1)
        .fetch_all(tx.conn())
        .await?)
}

/// Adds a body, or finds the one of that name.
pub(crate) async fn ensure_body(
    tx: &mut TenantTx,
    id: BodyId,
    city: Uuid,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Body, DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "INSERT INTO bodies (id, tenant_id, city_id, name, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ON CONSTRAINT bodies_name DO NOTHING",
    )
    .bind(id.uuid())
    .bind(tenant)
    .bind(city)
    .bind(name)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(sqlx::query_as("SELECT id, city_id, name FROM bodies WHERE city_id = $1 AND name = $2")
        .bind(city)
        .bind(name)
        .fetch_one(tx.conn())
        .await?)
}

/// Bodies by id.
pub(crate) async fn bodies(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<Body>, DbError> {
    Ok(sqlx::query_as("SELECT id, city_id, name FROM bodies WHERE id = ANY ($1)")
        .bind(ids)
        .fetch_all(tx.conn())
        .await?)
}
