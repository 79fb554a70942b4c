//! The audit.

use std::ops::DerefMut;

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing, instant};
use crate::store::{
    error::StoreError,
    seam::{AuditEntry, AuditFilter, AuditLine, ReadAudit, WriteAudit},
};

/// Longest object or reason that is kept, in bytes: both may hold what a stranger sent.
const TEXT_BYTES_MAX: usize = 512;

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadAudit for Session<C> {
    async fn audit_lines(&mut self, filter: &AuditFilter, before: i64, limit: i64) -> Result<Vec<AuditLine>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM audit WHERE id < $1 AND ($2 = '' OR actor = $2) \
             AND ($3 = '' OR substr(action, 1, length($3)) = $3) AND ($4 = '' OR object = $4) \
             AND at_ms >= $5 AND at_ms < $6 ORDER BY id DESC LIMIT $7",
        )
        .bind(before)
        .bind(&filter.actor)
        .bind(&filter.action_prefix)
        .bind(&filter.object)
        .bind(filter.from.unwrap_or(Timestamp::MIN).unix_ms())
        .bind(filter.until.unwrap_or(Timestamp::MAX).unix_ms())
        .bind(limit)
        .fetch_all(self.conn())
        .await?;
        rows.iter().map(line_of).collect()
    }

    async fn greatest_audit_detail(&mut self, actions: [&str; 2], key: &str) -> Result<Option<i64>, StoreError> {
        let greatest = sqlx::query_scalar(
            "SELECT MAX(CAST(json_extract(details, '$.' || $3) AS BIGINT)) FROM audit WHERE action IN ($1, $2)",
        );
        Ok(greatest.bind(actions[0]).bind(actions[1]).bind(key).fetch_one(self.conn()).await?)
    }
}

#[async_trait]
impl WriteAudit for Session<Writing> {
    async fn append_audit(&mut self, at: Timestamp, entry: &AuditEntry) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit (at_ms, actor, action, object, succeeded, reason, details) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(at.unix_ms())
        .bind(shortened(&entry.actor))
        .bind(entry.action)
        .bind(shortened(&entry.object))
        .bind(i64::from(entry.succeeded))
        .bind(shortened(&entry.reason))
        .bind(entry.details.to_string())
        .execute(self.conn())
        .await?;
        Ok(())
    }
}

fn line_of(row: &SqliteRow) -> Result<AuditLine, StoreError> {
    Ok(AuditLine {
        id: u64::try_from(row.try_get::<i64, _>("id")?).unwrap_or_default(),
        at: instant(row, "at_ms")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        object: row.try_get("object")?,
        succeeded: row.try_get::<i64, _>("succeeded")? != 0,
        reason: row.try_get("reason")?,
        details: row.try_get("details")?,
    })
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}
