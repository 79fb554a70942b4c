//! Keys that data subjects' IDs are hashed with.

use std::ops::DerefMut;

use async_trait::async_trait;
use chapar_core::{subject::SubjectKey, time::Timestamp};
use sqlx::SqliteConnection;

use super::{Session, Writing};
use crate::store::{
    error::StoreError,
    seam::{ReadSubjectKeys, WriteSubjectKeys},
    stored,
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadSubjectKeys for Session<C> {
    async fn newest_subject_key(&mut self) -> Result<Option<SubjectKey>, StoreError> {
        let newest: Option<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT id, key FROM subject_keys ORDER BY id DESC LIMIT 1").fetch_optional(self.conn()).await?;
        newest.map(|(id, key)| stored::subject_key(id, key)).transpose()
    }

    async fn newest_subject_key_made_at(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let made = sqlx::query_scalar("SELECT made_at_ms FROM subject_keys ORDER BY id DESC LIMIT 1");
        Ok(made.fetch_optional(self.conn()).await?.map(Timestamp::from_unix_ms))
    }

    async fn subject_keys(&mut self) -> Result<Vec<SubjectKey>, StoreError> {
        let all: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT id, key FROM subject_keys ORDER BY id DESC").fetch_all(self.conn()).await?;
        all.into_iter().map(|(id, key)| stored::subject_key(id, key)).collect()
    }

    async fn subject_keys_succeeded_before(&mut self, before: Timestamp) -> Result<Vec<u32>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT k.id FROM subject_keys k WHERE (SELECT MIN(s.made_at_ms) FROM subject_keys s WHERE s.id > k.id) < $1",
        )
        .bind(before.unix_ms())
        .fetch_all(self.conn())
        .await?;
        Ok(ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect())
    }
}

#[async_trait]
impl WriteSubjectKeys for Session<Writing> {
    async fn insert_subject_key(&mut self, key: &[u8], now: Timestamp) -> Result<u32, StoreError> {
        let id: i64 = sqlx::query_scalar("INSERT INTO subject_keys (key, made_at_ms) VALUES ($1, $2) RETURNING id")
            .bind(key)
            .bind(now.unix_ms())
            .fetch_one(self.conn())
            .await?;
        Ok(u32::try_from(id).unwrap_or(u32::MAX))
    }

    async fn delete_subject_key(&mut self, id: u32) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM subject_keys WHERE id = $1").bind(i64::from(id)).execute(self.conn()).await?;
        Ok(())
    }
}
