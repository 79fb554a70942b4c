//! Changes that wait for a second person.

use std::ops::DerefMut;

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing, column, instant, instant_if_any};
use crate::store::{
    error::StoreError,
    seam::{ChangeRow, ReadChanges, WriteChanges},
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadChanges for Session<C> {
    async fn change(&mut self, id: u64) -> Result<Option<ChangeRow>, StoreError> {
        let found = sqlx::query("SELECT * FROM changes WHERE id = $1").bind(column(id));
        found.fetch_optional(self.conn()).await?.as_ref().map(row_of).transpose()
    }

    async fn changes_open(&mut self, now: Timestamp, limit: i64) -> Result<Vec<ChangeRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM changes WHERE expires_at_ms > $1 AND used_at_ms IS NULL AND (decided_by IS NULL OR approved = 1) \
             ORDER BY id DESC LIMIT $2",
        );
        rows.bind(now.unix_ms()).bind(limit).fetch_all(self.conn()).await?.iter().map(row_of).collect()
    }
}

#[async_trait]
impl WriteChanges for Session<Writing> {
    async fn insert_change(&mut self, change: &ChangeRow) -> Result<u64, StoreError> {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO changes (guard, method, request, digest, proposed_by, proposed_person, proposed_at_ms, expires_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
        )
        .bind(&change.guard)
        .bind(&change.method)
        .bind(&change.request)
        .bind(&change.digest)
        .bind(&change.proposed_by)
        .bind(&change.proposed_person)
        .bind(change.proposed_at.unix_ms())
        .bind(change.expires_at.unix_ms())
        .fetch_one(self.conn())
        .await?;
        Ok(id.unsigned_abs())
    }

    async fn decide_change(&mut self, id: u64, by: &str, approved: bool, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE changes SET decided_by = $2, approved = $3, decided_at_ms = $4 WHERE id = $1 AND decided_by IS NULL")
            .bind(column(id))
            .bind(by)
            .bind(i64::from(approved))
            .bind(now.unix_ms())
            .execute(self.conn())
            .await?;
        Ok(())
    }

    async fn use_change(&mut self, id: u64, at: Option<Timestamp>) -> Result<(), StoreError> {
        sqlx::query("UPDATE changes SET used_at_ms = $2 WHERE id = $1")
            .bind(column(id))
            .bind(at.map(Timestamp::unix_ms))
            .execute(self.conn())
            .await?;
        Ok(())
    }
}

fn row_of(row: &SqliteRow) -> Result<ChangeRow, StoreError> {
    Ok(ChangeRow {
        id: row.try_get::<i64, _>("id")?.unsigned_abs(),
        guard: row.try_get("guard")?,
        method: row.try_get("method")?,
        request: row.try_get("request")?,
        digest: row.try_get("digest")?,
        proposed_by: row.try_get("proposed_by")?,
        proposed_person: row.try_get("proposed_person")?,
        proposed_at: instant(row, "proposed_at_ms")?,
        expires_at: instant(row, "expires_at_ms")?,
        decided_by: row.try_get("decided_by")?,
        approved: row.try_get::<i64, _>("approved")? != 0,
        used_at: instant_if_any(row, "used_at_ms")?,
    })
}
