//! Follows, homes, and who follows a meeting.

use chrono::{DateTime, Utc};
use cs_core::{CityId, FollowId, UserId};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

use crate::follow::Target;
use crate::reason::Matched;

/// A resident's interest.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Follow {
    /// Its row.
    pub id: Uuid,
    /// `city`, `body` or `topic`.
    pub kind: String,
    /// The id of the city or body, or the topic's slug.
    pub target_id: String,
    /// `home_city`, or `resident` where the person chose it.
    pub origin: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Makes a follow of the resident's own, or makes the one there is theirs.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    id: FollowId,
    user: UserId,
    target: &Target,
    now: DateTime<Utc>,
) -> Result<Follow, DbError> {
    Ok(sqlx::query_as(
        "INSERT INTO follows (id, tenant_id, user_id, kind, target_id, origin, created_at)
         VALUES ($1, $2, $3, $4, $5, 'resident', $6)
         ON CONFLICT ON CONSTRAINT follows_once DO UPDATE SET origin = 'resident'
         RETURNING id, kind, target_id, origin, created_at",
    )
    .bind(id.uuid())
    .bind(tx.tenant().uuid())
    .bind(user.uuid())
    .bind(target.kind())
    .bind(target.id())
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// How many things a person follows.
pub(crate) async fn count(tx: &mut TenantTx, user: UserId) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM follows WHERE user_id = $1")
        .bind(user.uuid())
        .fetch_one(tx.conn())
        .await?)
}

/// A person's follows, oldest first.
pub(crate) async fn of(tx: &mut TenantTx, user: UserId) -> Result<Vec<Follow>, DbError> {
    Ok(sqlx::query_as(
        "SELECT id, kind, target_id, origin, created_at FROM follows WHERE user_id = $1 ORDER BY id",
    )
    .bind(user.uuid())
    .fetch_all(tx.conn())
    .await?)
}

/// Ends a person's follow; `false`: they have no such one.
pub(crate) async fn delete(tx: &mut TenantTx, user: UserId, id: FollowId) -> Result<bool, DbError> {
    let deleted = sqlx::query("DELETE FROM follows WHERE id = $1 AND user_id = $2")
        .bind(id.uuid())
        .bind(user.uuid())
        .execute(tx.conn())
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Keeps the home city of an account's version; `false`: a newer one is known.
pub(crate) async fn move_home(
    tx: &mut TenantTx,
    user: UserId,
    city: Option<CityId>,
    version: i64,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let moved = sqlx::query(
        "INSERT INTO homes (user_id, tenant_id, city_id, version, updated_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id) DO UPDATE SET city_id = EXCLUDED.city_id, version = EXCLUDED.version,
                                             updated_at = EXCLUDED.updated_at
         WHERE homes.version < EXCLUDED.version",
    )
    .bind(user.uuid())
    .bind(tx.tenant().uuid())
    .bind(city.map(|c| c.to_string()))
    .bind(version)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Ends the follow that the home city made.
pub(crate) async fn leave_home(tx: &mut TenantTx, user: UserId) -> Result<(), DbError> {
    sqlx::query("DELETE FROM follows WHERE user_id = $1 AND origin = 'home_city'")
        .bind(user.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Makes the follow of a home city, where the person does not follow it already.
pub(crate) async fn insert_home(
    tx: &mut TenantTx,
    id: FollowId,
    user: UserId,
    city: CityId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO follows (id, tenant_id, user_id, kind, target_id, origin, created_at)
         VALUES ($1, $2, $3, 'city', $4, 'home_city', $5) ON CONFLICT ON CONSTRAINT follows_once DO NOTHING",
    )
    .bind(id.uuid())
    .bind(tx.tenant().uuid())
    .bind(user.uuid())
    .bind(city.to_string())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Somebody whom a meeting concerns.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) user: UserId,
    pub(crate) matched: Matched,
    pub(crate) enabled: bool,
    pub(crate) pause_until: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct FollowerRow {
    user_id: Uuid,
    city: bool,
    body: bool,
    topics: Vec<String>,
    home: bool,
    enabled: bool,
    pause_until: Option<DateTime<Utc>>,
}

/// The next people who follow a meeting's city, body or one of its topics, in the order of their ids.
///
/// Each of the index's ranges is read in that order and no further than `most`: the first `most` people of all are
/// among the first `most` of each. So a batch costs the same at the end of a million followers as at the beginning.
pub(crate) async fn followers(
    tx: &mut TenantTx,
    city: &str,
    body: &str,
    topics: &[String],
    after: Option<UserId>,
    most: i64,
) -> Result<Vec<Follower>, DbError> {
    let rows: Vec<FollowerRow> = sqlx::query_as(
        "WITH wanted (kind, target_id) AS (
             SELECT 'city', $1 UNION SELECT 'body', $2 UNION SELECT 'topic', t FROM unnest($3::text[]) t
         ), hits AS (
             SELECT f.* FROM wanted w CROSS JOIN LATERAL (
                 SELECT f.tenant_id, f.user_id, f.kind, f.target_id FROM follows f
                 WHERE f.kind = w.kind AND f.target_id = w.target_id AND f.user_id > $4
                 ORDER BY f.user_id LIMIT $5) f
         ), people AS (
             SELECT user_id, bool_or(kind = 'city') AS city, bool_or(kind = 'body') AS body,
                    coalesce(array_agg(target_id ORDER BY target_id) FILTER (WHERE kind = 'topic'), '{}') AS topics
             FROM hits GROUP BY user_id ORDER BY user_id LIMIT $5
         )
         SELECT user_id, city, body, topics, coalesce(h.city_id = $1, false) AS home,
                coalesce(p.enabled, true) AS enabled, p.pause_until
         FROM people LEFT JOIN homes h USING (user_id) LEFT JOIN preferences p USING (user_id) ORDER BY user_id",
    )
    .bind(city)
    .bind(body)
    .bind(topics)
    .bind(after.map_or(Uuid::nil(), UserId::uuid))
    .bind(most)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Follower {
            user: row.user_id.into(),
            matched: Matched { home: row.home, city: row.city, body: row.body, topics: row.topics },
            enabled: row.enabled,
            pause_until: row.pause_until,
        })
        .collect())
}
