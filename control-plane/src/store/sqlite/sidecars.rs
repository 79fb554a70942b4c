//! Sidecars that were ever connected.

use std::ops::DerefMut;

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing, column, instant};
use crate::store::{
    error::StoreError,
    seam::{ReadSidecars, SidecarRow, WriteSidecars},
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadSidecars for Session<C> {
    async fn sidecars(&mut self) -> Result<Vec<SidecarRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM sidecars").fetch_all(self.conn()).await?;
        rows.iter().map(row_of).collect()
    }
}

#[async_trait]
impl WriteSidecars for Session<Writing> {
    async fn put_sidecar(&mut self, sidecar: &SidecarRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO sidecars (spiffe_id, agency, seen_at_ms, software_version, sent_revision, \
             acknowledged_revision, policy_version, problem) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (spiffe_id) DO UPDATE SET agency = $2, seen_at_ms = $3, software_version = $4, \
             sent_revision = $5, acknowledged_revision = $6, policy_version = $7, problem = $8",
        )
        .bind(&sidecar.spiffe_id)
        .bind(&sidecar.agency)
        .bind(sidecar.seen_at.unix_ms())
        .bind(&sidecar.software_version)
        .bind(column(sidecar.sent_revision))
        .bind(column(sidecar.acknowledged_revision))
        .bind(column(sidecar.policy_version))
        .bind(&sidecar.problem)
        .execute(self.conn())
        .await?;
        Ok(())
    }
}

fn row_of(row: &SqliteRow) -> Result<SidecarRow, StoreError> {
    let revision = |column| row.try_get::<i64, _>(column).map(|held| u64::try_from(held).unwrap_or_default());
    Ok(SidecarRow {
        spiffe_id: row.try_get("spiffe_id")?,
        agency: row.try_get("agency")?,
        seen_at: instant(row, "seen_at_ms")?,
        software_version: row.try_get("software_version")?,
        sent_revision: revision("sent_revision")?,
        acknowledged_revision: revision("acknowledged_revision")?,
        policy_version: revision("policy_version")?,
        problem: row.try_get("problem")?,
    })
}
