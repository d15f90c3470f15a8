//! Text versions and sections: written once, never changed.

use chrono::{DateTime, Utc};
use cs_core::document::{ExtractedText, Mark, Section};
use cs_db::{DbError, TenantTx, Tx};
use sqlx::types::Json;

/// A row of `sections`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct SectionRow {
    pub(crate) text_sha256: String,
    pub(crate) ordinal: i32,
    pub(crate) heading: Option<String>,
    pub(crate) start_at: i32,
    pub(crate) end_at: i32,
    pub(crate) page: Option<i32>,
    pub(crate) time_ms: Option<i64>,
}

impl From<&SectionRow> for Section {
    fn from(row: &SectionRow) -> Self {
        Self {
            ordinal: row.ordinal.unsigned_abs(),
            heading: row.heading.clone(),
            start: row.start_at.unsigned_abs(),
            end: row.end_at.unsigned_abs(),
            page: row.page.map(i32::unsigned_abs),
            time_ms: row.time_ms.map(i64::unsigned_abs),
        }
    }
}

const SECTION: &str = "SELECT text_sha256, ordinal, heading, start_at, end_at, page, time_ms FROM sections";

/// Keeps a text under its name; one that is there already stays as it is.
pub(crate) async fn put(
    tx: &mut TenantTx,
    sha256: &str,
    extractor: &str,
    text: &ExtractedText,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    let added = sqlx::query(
        "INSERT INTO text_versions (tenant_id, sha256, extractor_version, text, marks, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(tenant)
    .bind(sha256)
    .bind(extractor)
    .bind(&text.text)
    .bind(Json(&text.marks))
    .bind(now)
    .execute(tx.conn())
    .await?;
    if added.rows_affected() == 0 {
        return Ok(());
    }
    let signed = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let column = |f: fn(&Section) -> u32| text.sections.iter().map(|s| signed(f(s))).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO sections (tenant_id, text_sha256, ordinal, heading, start_at, end_at, page, time_ms)
         SELECT $1, $2, * FROM unnest($3::int[], $4::text[], $5::int[], $6::int[], $7::int[], $8::bigint[])",
    )
    .bind(tenant)
    .bind(sha256)
    .bind(column(|s| s.ordinal))
    .bind(text.sections.iter().map(|s| s.heading.clone()).collect::<Vec<_>>())
    .bind(column(|s| s.start))
    .bind(column(|s| s.end))
    .bind(text.sections.iter().map(|s| s.page.map(signed)).collect::<Vec<_>>())
    .bind(text.sections.iter().map(|s| s.time_ms.and_then(|t| i64::try_from(t).ok())).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A text version: its text, its marks and the extractor that made it.
pub(crate) async fn get(
    tx: &mut TenantTx,
    sha256: &str,
) -> Result<Option<(String, Vec<Mark>, String)>, DbError> {
    let row: Option<(String, Json<Vec<Mark>>, String)> =
        sqlx::query_as("SELECT text, marks, extractor_version FROM text_versions WHERE sha256 = $1")
            .bind(sha256)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(|(text, Json(marks), extractor)| (text, marks, extractor)))
}

/// The sections of a text version, in order.
pub(crate) async fn sections_of(tx: &mut TenantTx, sha256: &str) -> Result<Vec<SectionRow>, DbError> {
    let sql = format!("{SECTION} WHERE text_sha256 = $1 ORDER BY ordinal");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(sha256).fetch_all(tx.conn()).await?)
}

/// Sections by (text, ordinal) with their text, of texts that belong to an artifact of `meeting` the caller may see.
pub(crate) async fn cited(
    tx: &mut TenantTx,
    meeting: uuid::Uuid,
    texts: &[String],
    ordinals: &[i32],
    visible: &[&str],
    withdrawn: bool,
) -> Result<Vec<(SectionRow, String)>, DbError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        section: SectionRow,
        body: String,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT s.text_sha256, s.ordinal, s.heading, s.start_at, s.end_at, s.page, s.time_ms,
                substr(t.text, s.start_at + 1, s.end_at - s.start_at) AS body
         FROM (SELECT DISTINCT * FROM unnest($2::text[], $3::int[])) AS want(sha, ordinal)
         JOIN sections s ON s.text_sha256 = want.sha AND s.ordinal = want.ordinal
         JOIN text_versions t ON t.sha256 = s.text_sha256
         WHERE EXISTS (SELECT FROM artifacts a WHERE a.meeting_id = $1 AND a.text_sha256 = s.text_sha256 AND a.visibility = ANY ($4))
           AND ($5 OR NOT EXISTS (SELECT FROM meetings m WHERE m.id = $1 AND m.withdrawn_at IS NOT NULL))
         ORDER BY s.text_sha256, s.ordinal",
    )
    .bind(meeting)
    .bind(texts)
    .bind(ordinals)
    .bind(visible)
    .bind(withdrawn)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|r| (r.section, r.body)).collect())
}
