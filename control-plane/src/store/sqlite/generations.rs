//! Generations of roots and issuing CAs.

use std::ops::DerefMut;

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing, instant, instant_if_any};
use crate::store::{
    error::StoreError,
    seam::{Generation, GenerationKind, GenerationState, ReadGenerations, RootRotationRow, WriteGenerations},
    stored,
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadGenerations for Session<C> {
    async fn generations(&mut self) -> Result<Vec<Generation>, StoreError> {
        let all = sqlx::query("SELECT * FROM authority_generations ORDER BY kind DESC, number");
        all.fetch_all(self.conn()).await?.iter().map(row_of).collect()
    }

    async fn next_generation_number(&mut self, kind: GenerationKind) -> Result<i64, StoreError> {
        let next = sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) + 1 FROM authority_generations WHERE kind = $1");
        Ok(next.bind(kind.as_str()).fetch_one(self.conn()).await?)
    }

    async fn newest_root_rotation(&mut self) -> Result<Option<RootRotationRow>, StoreError> {
        let newest = sqlx::query("SELECT * FROM root_rotations ORDER BY asked_at_ms DESC, rowid DESC LIMIT 1");
        let row = newest.fetch_optional(self.conn()).await?;
        let read = |row: &SqliteRow| {
            Ok(RootRotationRow {
                root: row.try_get("root")?,
                asked_by: row.try_get("asked_by")?,
                second: row.try_get("second")?,
                reason: row.try_get("reason")?,
                asked_at: instant(row, "asked_at_ms")?,
                revision: row.try_get::<i64, _>("revision")?.unsigned_abs(),
            })
        };
        row.as_ref().map(read).transpose()
    }
}

#[async_trait]
impl WriteGenerations for Session<Writing> {
    async fn insert_generation(&mut self, generation: &Generation, number: i64, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO authority_generations (name, kind, number, state, parent, certificate, cross_certificate, serial, \
             not_before_ms, not_after_ms, created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(&generation.name)
        .bind(generation.kind.as_str())
        .bind(number)
        .bind(generation.state.as_str())
        .bind(&generation.parent)
        .bind(&generation.certificate)
        .bind(&generation.cross_certificate)
        .bind(&generation.serial)
        .bind(generation.not_before.unix_ms())
        .bind(generation.not_after.unix_ms())
        .bind(now.unix_ms())
        .execute(self.conn())
        .await?;
        Ok(())
    }

    async fn supersede_active_generation(&mut self, kind: GenerationKind) -> Result<(), StoreError> {
        sqlx::query("UPDATE authority_generations SET state = 'superseded' WHERE kind = $1 AND state = 'active'")
            .bind(kind.as_str())
            .execute(self.conn())
            .await?;
        Ok(())
    }

    async fn move_generation(&mut self, name: &str, state: GenerationState, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE authority_generations SET state = $2, retired_at_ms = $3 WHERE name = $1")
            .bind(name)
            .bind(state.as_str())
            .bind((state == GenerationState::Retired).then_some(now.unix_ms()))
            .execute(self.conn())
            .await?;
        Ok(())
    }

    async fn explain_revocation(&mut self, name: &str, reason: &str) -> Result<(), StoreError> {
        let explained = sqlx::query("UPDATE authority_generations SET revocation_reason = $2 WHERE name = $1");
        explained.bind(name).bind(reason).execute(self.conn()).await?;
        Ok(())
    }

    async fn insert_root_rotation(&mut self, rotation: &RootRotationRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO root_rotations (root, asked_by, second, reason, asked_at_ms, revision) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&rotation.root)
        .bind(&rotation.asked_by)
        .bind(&rotation.second)
        .bind(&rotation.reason)
        .bind(rotation.asked_at.unix_ms())
        .bind(i64::try_from(rotation.revision).unwrap_or(i64::MAX))
        .execute(self.conn())
        .await?;
        Ok(())
    }
}

fn row_of(row: &SqliteRow) -> Result<Generation, StoreError> {
    Ok(Generation {
        name: row.try_get("name")?,
        kind: stored::generation_kind(row.try_get("kind")?),
        state: stored::generation_state(row.try_get("state")?),
        parent: row.try_get("parent")?,
        certificate: row.try_get("certificate")?,
        cross_certificate: row.try_get("cross_certificate")?,
        serial: row.try_get("serial")?,
        not_before: instant(row, "not_before_ms")?,
        not_after: instant(row, "not_after_ms")?,
        retired_at: instant_if_any(row, "retired_at_ms")?,
        revocation: row.try_get("revocation_reason")?,
    })
}
