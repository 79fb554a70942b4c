//! Enrolment tokens.

use std::ops::DerefMut;

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing, instant, instant_if_any};
use crate::store::{
    error::StoreError,
    seam::{ReadTokens, TokenRow, WriteTokens},
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadTokens for Session<C> {
    async fn token(&mut self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        let found = sqlx::query("SELECT * FROM enrolment_tokens WHERE id = $1").bind(id);
        found.fetch_optional(self.conn()).await?.as_ref().map(row_of).transpose()
    }

    async fn token_secret_sha256(&mut self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let kept = sqlx::query_scalar("SELECT secret_sha256 FROM enrolment_tokens WHERE id = $1").bind(id);
        Ok(kept.fetch_optional(self.conn()).await?)
    }

    async fn tokens(&mut self, agency: &str, after: (i64, &str), limit: i64) -> Result<Vec<TokenRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM enrolment_tokens WHERE ($1 = '' OR agency = $1) \
             AND (created_at_ms < $2 OR (created_at_ms = $2 AND id > $3)) ORDER BY created_at_ms DESC, id LIMIT $4",
        )
        .bind(agency)
        .bind(after.0)
        .bind(after.1)
        .bind(limit)
        .fetch_all(self.conn())
        .await?;
        rows.iter().map(row_of).collect()
    }
}

#[async_trait]
impl WriteTokens for Session<Writing> {
    async fn insert_token(&mut self, token: &TokenRow, secret_sha256: &[u8]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO enrolment_tokens (id, agency, sidecar, secret_sha256, created_at_ms, expires_at_ms, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&token.id)
        .bind(&token.agency)
        .bind(&token.sidecar)
        .bind(secret_sha256)
        .bind(token.created_at.unix_ms())
        .bind(token.expires_at.unix_ms())
        .bind(&token.created_by)
        .execute(self.conn())
        .await?;
        Ok(())
    }

    async fn revoke_token(&mut self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let revocation = sqlx::query("UPDATE enrolment_tokens SET revoked_at_ms = $2 WHERE id = $1").bind(id).bind(now.unix_ms());
        revocation.execute(self.conn()).await?;
        Ok(())
    }

    async fn use_token(&mut self, id: &str, serial: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE enrolment_tokens SET used_at_ms = $2, used_for = $3 WHERE id = $1 AND used_at_ms IS NULL")
            .bind(id)
            .bind(now.unix_ms())
            .bind(serial)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    async fn purge_tokens(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM enrolment_tokens WHERE id IN \
             (SELECT id FROM enrolment_tokens WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)",
        )
        .bind(before.unix_ms())
        .bind(limit)
        .execute(self.conn())
        .await?;
        Ok(done.rows_affected())
    }
}

fn row_of(row: &SqliteRow) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: row.try_get("id")?,
        agency: row.try_get("agency")?,
        sidecar: row.try_get("sidecar")?,
        created_at: instant(row, "created_at_ms")?,
        expires_at: instant(row, "expires_at_ms")?,
        created_by: row.try_get("created_by")?,
        used_at: instant_if_any(row, "used_at_ms")?,
        revoked_at: instant_if_any(row, "revoked_at_ms")?,
    })
}
