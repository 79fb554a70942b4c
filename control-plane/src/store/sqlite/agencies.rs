//! Agencies.

use std::{collections::BTreeMap, ops::DerefMut};

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing};
use crate::{
    resources::Agency,
    store::{
        error::StoreError,
        seam::{AgencyInStore, AgencyState, ReadAgencies, WriteAgencies},
        stored,
    },
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadAgencies for Session<C> {
    async fn agency_exists(&mut self, name: &str) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM agencies WHERE name = $1 AND removed_at_ms IS NULL")
            .bind(name)
            .fetch_optional(self.conn())
            .await?;
        Ok(found.is_some())
    }

    async fn agency_state(&mut self, name: &str) -> Result<Option<AgencyState>, StoreError> {
        let row = sqlx::query("SELECT removed_at_ms, suspended_at_ms, suspension_reason FROM agencies WHERE name = $1")
            .bind(name)
            .fetch_optional(self.conn())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let removed = row.try_get::<Option<i64>, _>("removed_at_ms")?.is_some();
        Ok(Some(AgencyState { removed, suspension: suspension(&row)? }))
    }

    async fn agencies(&mut self, after: &str, now: Timestamp, limit: i64) -> Result<Vec<AgencyInStore>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.*, (SELECT COUNT(DISTINCT c.spiffe_id) FROM certificates c WHERE c.agency = a.name \
             AND c.revoked_at_ms IS NULL AND c.not_after_ms > $1) AS sidecars FROM agencies a \
             WHERE a.name > $2 AND (a.removed_at_ms IS NULL OR a.suspended_at_ms IS NOT NULL) ORDER BY a.name LIMIT $3",
        )
        .bind(now.unix_ms())
        .bind(after)
        .bind(limit)
        .fetch_all(self.conn())
        .await?;
        rows.iter().map(agency_of).collect()
    }

    async fn suspension_of_each(&mut self) -> Result<BTreeMap<String, Option<String>>, StoreError> {
        let rows = sqlx::query("SELECT name, suspended_at_ms, suspension_reason FROM agencies WHERE removed_at_ms IS NULL")
            .fetch_all(self.conn())
            .await?;
        rows.iter().map(|row| Ok((row.try_get("name")?, suspension(row)?))).collect()
    }

    async fn suspended_agencies(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query("SELECT name, suspension_reason FROM agencies WHERE suspended_at_ms IS NOT NULL ORDER BY name")
            .fetch_all(self.conn())
            .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get::<Option<String>, _>(1)?.unwrap_or_default()))).collect()
    }
}

#[async_trait]
impl WriteAgencies for Session<Writing> {
    async fn put_agency(&mut self, name: &str, agency: &Agency) -> Result<(), StoreError> {
        let roles: Vec<&str> = agency.roles.iter().map(|role| role.as_str()).collect();
        sqlx::query(
            "INSERT INTO agencies (name, title_fa, title_en, roles, part_of) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (name) DO UPDATE SET title_fa = excluded.title_fa, title_en = excluded.title_en, \
             roles = excluded.roles, part_of = excluded.part_of, removed_at_ms = NULL",
        )
        .bind(name)
        .bind(&agency.title.fa)
        .bind(&agency.title.en)
        .bind(stored::json("roles of an agency", &roles)?)
        .bind(&agency.part_of)
        .execute(self.conn())
        .await?;
        Ok(())
    }

    async fn remove_agency(&mut self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        let removal = sqlx::query("UPDATE agencies SET removed_at_ms = $2 WHERE name = $1").bind(name).bind(now.unix_ms());
        removal.execute(self.conn()).await?;
        Ok(())
    }

    async fn set_suspension(&mut self, name: &str, suspension: Option<(Timestamp, &str)>) -> Result<(), StoreError> {
        sqlx::query("UPDATE agencies SET suspended_at_ms = $2, suspension_reason = $3 WHERE name = $1")
            .bind(name)
            .bind(suspension.map(|(at, _)| at.unix_ms()))
            .bind(suspension.map(|(_, reason)| reason))
            .execute(self.conn())
            .await?;
        Ok(())
    }
}

fn agency_of(row: &SqliteRow) -> Result<AgencyInStore, StoreError> {
    Ok(AgencyInStore {
        name: row.try_get("name")?,
        title_fa: row.try_get("title_fa")?,
        title_en: row.try_get("title_en")?,
        roles: stored::from_json("roles of an agency", row.try_get("roles")?)?,
        part_of: row.try_get("part_of")?,
        suspension: suspension(row)?,
        sidecars: u32::try_from(row.try_get::<i64, _>("sidecars")?).unwrap_or(u32::MAX),
    })
}

/// Why an agency is suspended; a reason that is lost is an empty one.
fn suspension(row: &SqliteRow) -> Result<Option<String>, StoreError> {
    let suspended = row.try_get::<Option<i64>, _>("suspended_at_ms")?.is_some();
    let reason = row.try_get::<Option<String>, _>("suspension_reason")?;
    Ok(suspended.then(|| reason.unwrap_or_default()))
}
