//! Follows, homes, and who follows a meeting.

use chrono::{DateTime, Utc};
use cs_core::{CityId, FollowId, UserId};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

use crate::follow::Target;
use crate::reason::Matched;
use crate::store::preferences::{Preferences, columns};

/// A resident's interest.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Follow {
    /// Its row.
    pub id: Uuid,
    /// `city`, `body`, `topic` or `saved_search`.
    pub kind: String,
    /// The id of the city or body, the topic's slug, the saved search's match key.
    pub target_id: String,
    /// The saved search that it follows.
    pub saved_search: Option<Uuid>,
    /// Its name.
    pub name: Option<String>,
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
         RETURNING id, kind, target_id, origin, created_at,
             (SELECT s.id FROM saved_searches s WHERE $4 = 'saved_search' AND s.user_id = $3 AND s.match_key = $5) AS saved_search,
             (SELECT s.name FROM saved_searches s WHERE $4 = 'saved_search' AND s.user_id = $3 AND s.match_key = $5) AS name",
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
        "SELECT f.id, f.kind, f.target_id, f.origin, f.created_at, s.id AS saved_search, s.name
         FROM follows f LEFT JOIN saved_searches s
              ON f.kind = 'saved_search' AND s.user_id = f.user_id AND s.match_key = f.target_id
         WHERE f.user_id = $1 ORDER BY f.id",
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
    /// `None`: who never chose has the usual ones.
    pub(crate) preferences: Option<Preferences>,
}

#[derive(sqlx::FromRow)]
struct FollowerRow {
    user_id: Uuid,
    city: bool,
    body: bool,
    topics: Vec<String>,
    searches: Vec<String>,
    home: bool,
    chose: bool,
    #[sqlx(flatten)]
    preferences: Preferences,
}

impl From<FollowerRow> for Follower {
    fn from(row: FollowerRow) -> Self {
        let FollowerRow { city, body, topics, searches, home, .. } = row;
        Self {
            user: row.user_id.into(),
            matched: Matched { home, city, body, topics, searches },
            preferences: row.chose.then_some(row.preferences),
        }
    }
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
    let rows: Vec<FollowerRow> = sqlx::query_as(concat!(
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
         SELECT user_id, city, body, topics, '{}'::text[] AS searches, coalesce(h.city_id = $1, false) AS home,
                p.user_id IS NOT NULL AS chose, ",
        columns!(),
        " FROM people LEFT JOIN homes h USING (user_id) LEFT JOIN preferences p USING (user_id) ORDER BY user_id"
    ))
    .bind(city)
    .bind(body)
    .bind(topics)
    .bind(after.map_or(Uuid::nil(), UserId::uuid))
    .bind(most)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Follower::from).collect())
}

/// The next people who follow a saved search that a notice matches, the same way.
pub(crate) async fn searchers(
    tx: &mut TenantTx,
    notice: Uuid,
    after: Option<UserId>,
    most: i64,
) -> Result<Vec<Follower>, DbError> {
    let rows: Vec<FollowerRow> = sqlx::query_as(concat!(
        "WITH hits AS (
             SELECT f.* FROM search_matches m CROSS JOIN LATERAL (
                 SELECT f.user_id, f.target_id FROM follows f
                 WHERE f.kind = 'saved_search' AND f.target_id = m.match_key AND f.user_id > $2
                 ORDER BY f.user_id LIMIT $3) f
             WHERE m.notice_id = $1
         ), people AS (
             SELECT h.user_id, coalesce(array_agg(s.name ORDER BY s.name) FILTER (WHERE s.name IS NOT NULL), '{}') AS searches
             FROM hits h LEFT JOIN saved_searches s ON s.user_id = h.user_id AND s.match_key = h.target_id
             GROUP BY h.user_id ORDER BY h.user_id LIMIT $3
         )
         SELECT user_id, false AS city, false AS body, '{}'::text[] AS topics, searches, false AS home,
                p.user_id IS NOT NULL AS chose, ",
        columns!(),
        " FROM people LEFT JOIN preferences p USING (user_id) ORDER BY user_id"
    ))
    .bind(notice)
    .bind(after.map_or(Uuid::nil(), UserId::uuid))
    .bind(most)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Follower::from).collect())
}
