//! Saved searches, and which of them a notice matches.

use chrono::{DateTime, Utc};
use cs_core::{SavedSearchId, UserId};
use cs_db::{DbError, TenantTx, Tx};
use sqlx::types::Json;
use uuid::Uuid;

use crate::saved_search::Filter;

/// A search that a resident kept.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SavedSearch {
    /// Its row.
    pub id: Uuid,
    /// What the person calls it.
    pub name: String,
    /// What is searched.
    pub query: String,
    /// Where.
    #[sqlx(json)]
    pub filter: Filter,
    /// The same of everybody who searches the same.
    pub match_key: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Whether the person is told of meetings that match.
    pub followed: bool,
}

const COLUMNS: &str = "s.id, s.name, s.query, s.filter, s.match_key, s.created_at,
     EXISTS (SELECT FROM follows f WHERE f.user_id = s.user_id AND f.kind = 'saved_search' AND f.target_id = s.match_key)
         AS followed";

/// Keeps a search; the same one again gets the new name.
pub(crate) async fn put(
    tx: &mut TenantTx,
    id: SavedSearchId,
    user: UserId,
    search: &SavedSearch,
) -> Result<Uuid, DbError> {
    Ok(sqlx::query_scalar(
        "INSERT INTO saved_searches (id, tenant_id, user_id, name, query, filter, match_key, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT ON CONSTRAINT saved_searches_once DO UPDATE SET name = $4 RETURNING id",
    )
    .bind(id.uuid())
    .bind(tx.tenant().uuid())
    .bind(user.uuid())
    .bind(&search.name)
    .bind(&search.query)
    .bind(Json(&search.filter))
    .bind(&search.match_key)
    .bind(search.created_at)
    .fetch_one(tx.conn())
    .await?)
}

/// How many searches a person keeps.
pub(crate) async fn count(tx: &mut TenantTx, user: UserId) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM saved_searches WHERE user_id = $1")
        .bind(user.uuid())
        .fetch_one(tx.conn())
        .await?)
}

/// A person's searches, oldest first.
pub(crate) async fn of(tx: &mut TenantTx, user: UserId) -> Result<Vec<SavedSearch>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM saved_searches s WHERE s.user_id = $1 ORDER BY s.id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(user.uuid()).fetch_all(tx.conn()).await?)
}

/// One of a person's searches.
pub(crate) async fn one(tx: &mut TenantTx, user: UserId, id: Uuid) -> Result<Option<SavedSearch>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM saved_searches s WHERE s.user_id = $1 AND s.id = $2");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(user.uuid()).bind(id).fetch_optional(tx.conn()).await?)
}

/// Ends a search and the follow of it; `false`: the person has no such one.
pub(crate) async fn delete(tx: &mut TenantTx, user: UserId, id: SavedSearchId) -> Result<bool, DbError> {
    let key: Option<String> =
        sqlx::query_scalar("DELETE FROM saved_searches WHERE id = $1 AND user_id = $2 RETURNING match_key")
            .bind(id.uuid())
            .bind(user.uuid())
            .fetch_optional(tx.conn())
            .await?;
    let Some(key) = key else { return Ok(false) };
    sqlx::query("DELETE FROM follows WHERE user_id = $1 AND kind = 'saved_search' AND target_id = $2")
        .bind(user.uuid())
        .bind(key)
        .execute(tx.conn())
        .await?;
    Ok(true)
}

/// Whether anybody follows a saved search.
pub(crate) async fn any_followed(tx: &mut TenantTx) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM follows WHERE kind = 'saved_search')")
        .fetch_one(tx.conn())
        .await?)
}

/// One of the searches that people follow, whoever's it is.
#[derive(sqlx::FromRow)]
pub(crate) struct Followed {
    pub(crate) match_key: String,
    pub(crate) query: String,
    #[sqlx(json)]
    pub(crate) filter: Filter,
}

/// The next searches that people follow, each once, in the order of their keys.
pub(crate) async fn followed(tx: &mut TenantTx, after: &str, most: i64) -> Result<Vec<Followed>, DbError> {
    Ok(sqlx::query_as(
        "SELECT k.match_key, s.query, s.filter
         FROM (SELECT DISTINCT target_id AS match_key FROM follows WHERE kind = 'saved_search' AND target_id > $1
               ORDER BY 1 LIMIT $2) k
         CROSS JOIN LATERAL (SELECT query, filter FROM saved_searches s WHERE s.match_key = k.match_key LIMIT 1) s
         ORDER BY 1",
    )
    .bind(after)
    .bind(most)
    .fetch_all(tx.conn())
    .await?)
}

/// Keeps which searches a notice matches.
pub(crate) async fn keep_matches(tx: &mut TenantTx, notice: Uuid, keys: &[String]) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO search_matches (tenant_id, notice_id, match_key) SELECT $1, $2, k FROM unnest($3::text[]) k
         ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant().uuid())
    .bind(notice)
    .bind(keys)
    .execute(tx.conn())
    .await?;
    Ok(())
}
