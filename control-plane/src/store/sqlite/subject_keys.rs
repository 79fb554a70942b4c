//! Keys that data subjects' IDs are hashed with, and the secrets that they are made of.

use std::ops::DerefMut;

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::SqliteConnection;

use super::{Session, Writing};
use crate::store::{
    error::StoreError,
    seam::{KeptSubjectKey, ReadSubjectKeys, WriteSubjectKeys},
    stored,
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadSubjectKeys for Session<C> {
    async fn subject_keys(&mut self) -> Result<Vec<KeptSubjectKey>, StoreError> {
        let sql = "SELECT id, key, made_at_ms, in_force_from_ms, of_pairs, ended_at_ms FROM subject_keys ORDER BY id";
        let all: Vec<(i64, Vec<u8>, i64, i64, i64, Option<i64>)> = sqlx::query_as(sql).fetch_all(self.conn()).await?;
        all.into_iter().map(stored::subject_key).collect()
    }
}

#[async_trait]
impl WriteSubjectKeys for Session<Writing> {
    async fn insert_subject_key(
        &mut self,
        secret: &[u8],
        made_at: Timestamp,
        in_force_from: Timestamp,
    ) -> Result<u32, StoreError> {
        let sql = "INSERT INTO subject_keys (key, made_at_ms, in_force_from_ms, of_pairs) VALUES ($1, $2, $3, 1) RETURNING id";
        let query = sqlx::query_scalar(sql).bind(secret).bind(made_at.unix_ms()).bind(in_force_from.unix_ms());
        let id: i64 = query.fetch_one(self.conn()).await?;
        Ok(u32::try_from(id).unwrap_or(u32::MAX))
    }

    async fn end_shared_subject_key(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE subject_keys SET ended_at_ms = $1 WHERE of_pairs = 0 AND ended_at_ms IS NULL";
        Ok(sqlx::query(sql).bind(now.unix_ms()).execute(self.conn()).await?.rows_affected() > 0)
    }

    async fn delete_subject_key(&mut self, id: u32) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM subject_keys WHERE id = $1").bind(i64::from(id)).execute(self.conn()).await?;
        Ok(())
    }
}
