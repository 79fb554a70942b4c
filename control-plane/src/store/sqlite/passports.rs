//! Technical passports.

use std::ops::DerefMut;

use async_trait::async_trait;
use chapar_core::{passport::ServicePassport, time::Timestamp};
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing, count, instant};
use crate::store::{
    error::StoreError,
    seam::{OpenPassports, PassportFilter, PassportRow, PassportState, ReadPassports, WritePassports},
    stored,
};

/// A query of passports, as [`row_of`] reads them.
macro_rules! select_passports {
    ($tail:literal) => {
        concat!(
            "SELECT agency, grpc_service, version, number, id, state, created_at_ms, changed_at_ms, changed_by, resolution \
             FROM passports ",
            $tail
        )
    };
}

/// A query of services whose passport waits for the working group or is in force, by what it names.
macro_rules! select_services {
    ($column:literal) => {
        concat!(
            "SELECT DISTINCT grpc_service FROM passports WHERE ",
            $column,
            " = $1 AND state IN ('submitted', 'approved') LIMIT 100"
        )
    };
}

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadPassports for Session<C> {
    async fn passports_with_prefix(&mut self, prefix: &str) -> Result<Vec<PassportRow>, StoreError> {
        let rows = sqlx::query(select_passports!("WHERE version >= $1 AND version < $2 ORDER BY version, grpc_service"))
            .bind(prefix)
            // 'g' follows the last hexadecimal digit.
            .bind(format!("{prefix}g"))
            .fetch_all(self.conn())
            .await?;
        rows.iter().map(row_of).collect()
    }

    async fn passport(&mut self, agency: &str, grpc_service: &str, version: &str) -> Result<Option<PassportRow>, StoreError> {
        let row = sqlx::query(select_passports!("WHERE agency = $1 AND grpc_service = $2 AND version = $3"))
            .bind(agency)
            .bind(grpc_service)
            .bind(version)
            .fetch_optional(self.conn())
            .await?;
        row.as_ref().map(row_of).transpose()
    }

    async fn passport_in_force(&mut self, agency: &str, grpc_service: &str) -> Result<Option<PassportRow>, StoreError> {
        let row = sqlx::query(select_passports!("WHERE agency = $1 AND grpc_service = $2 AND state = 'approved'"))
            .bind(agency)
            .bind(grpc_service)
            .fetch_optional(self.conn())
            .await?;
        row.as_ref().map(row_of).transpose()
    }

    async fn passports(&mut self, filter: &PassportFilter, limit: usize) -> Result<Vec<PassportRow>, StoreError> {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(select_passports!("WHERE 1 = 1"));
        if !filter.agency.is_empty() {
            query.push(" AND agency = ").push_bind(&filter.agency);
        }
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
        if let Some((agency, service, version)) = &filter.after {
            query.push(" AND (agency, grpc_service, version) > (").push_bind(agency);
            query.push(", ").push_bind(service).push(", ").push_bind(version).push(")");
        }
        query.push(" ORDER BY agency, grpc_service, version LIMIT ").push_bind(count(limit));
        let rows = query.build().fetch_all(self.conn()).await?;
        rows.iter().map(row_of).collect()
    }

    async fn descriptor_set(&mut self, version: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = sqlx::query_scalar("SELECT bytes FROM descriptor_sets WHERE version = $1").bind(version);
        Ok(bytes.fetch_optional(self.conn()).await?)
    }

    async fn holders_of_services(&mut self, grpc_services: &[&str]) -> Result<Vec<(String, String)>, StoreError> {
        let holders = sqlx::query_as(
            "SELECT DISTINCT grpc_service, agency FROM passports WHERE grpc_service IN (SELECT value FROM json_each($1)) \
             AND state IN ('draft', 'submitted', 'approved') ORDER BY grpc_service, agency LIMIT 10000",
        );
        Ok(holders.bind(serde_json::json!(grpc_services).to_string()).fetch_all(self.conn()).await?)
    }

    async fn open_passports(&mut self, agency: &str) -> Result<OpenPassports, StoreError> {
        // Two services of one set share its bytes.
        let row = sqlx::query(
            "WITH open AS (SELECT DISTINCT agency, version FROM passports WHERE state IN ('draft', 'submitted')), \
             sized AS (SELECT open.agency AS agency, LENGTH(d.bytes) AS bytes FROM open JOIN descriptor_sets d ON d.version = open.version) \
             SELECT (SELECT COUNT(*) FROM passports WHERE agency = $1 AND state = 'draft'), \
             COALESCE(SUM(CASE WHEN agency = $1 THEN bytes END), 0), COALESCE(SUM(bytes), 0) FROM sized",
        )
        .bind(agency)
        .fetch_one(self.conn())
        .await?;
        let number = |at: usize| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(at)?.unsigned_abs());
        Ok(OpenPassports { drafts: number(0)?, bytes: number(1)?, all_bytes: number(2)? })
    }

    async fn approved_system_holder(&mut self, information_system: &str) -> Result<Option<String>, StoreError> {
        let holder = sqlx::query_scalar(
            "SELECT agency FROM passports WHERE information_system = $1 AND state IN ('approved', 'superseded') LIMIT 1",
        );
        Ok(holder.bind(information_system).fetch_optional(self.conn()).await?)
    }

    async fn services_of_agency(&mut self, agency: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(select_services!("agency")).bind(agency).fetch_all(self.conn()).await?)
    }

    async fn services_of_system(&mut self, information_system: &str) -> Result<Vec<String>, StoreError> {
        let services = sqlx::query_scalar(select_services!("information_system")).bind(information_system);
        Ok(services.fetch_all(self.conn()).await?)
    }

    async fn services_of_database(&mut self, base_database: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(select_services!("base_database")).bind(base_database).fetch_all(self.conn()).await?)
    }
}

#[async_trait]
impl WritePassports for Session<Writing> {
    async fn drop_oldest_draft(&mut self, agency: &str, before: Timestamp) -> Result<Option<(String, String)>, StoreError> {
        let oldest: Option<(String, String)> = sqlx::query_as(
            "SELECT grpc_service, version FROM passports p WHERE agency = $1 AND state = 'draft' AND created_at_ms < $2 \
             AND NOT EXISTS (SELECT 1 FROM registered_services s JOIN registrations r ON r.spiffe_id = s.spiffe_id \
             WHERE r.agency = p.agency AND s.grpc_service = p.grpc_service AND s.version = p.version) \
             ORDER BY created_at_ms, grpc_service, version LIMIT 1",
        )
        .bind(agency)
        .bind(before.unix_ms())
        .fetch_optional(self.conn())
        .await?;
        let Some((service, version)) = oldest else { return Ok(None) };
        for statement in [
            "DELETE FROM passport_inquiries WHERE agency = $1 AND grpc_service = $2 AND version = $3",
            "DELETE FROM passports WHERE agency = $1 AND grpc_service = $2 AND version = $3",
        ] {
            sqlx::query(statement).bind(agency).bind(&service).bind(&version).execute(self.conn()).await?;
        }
        sqlx::query("DELETE FROM descriptor_sets WHERE version = $1 AND NOT EXISTS (SELECT 1 FROM passports WHERE version = $1)")
            .bind(&version)
            .execute(self.conn())
            .await?;
        Ok(Some((service, version)))
    }

    async fn insert_draft(
        &mut self,
        row: &PassportRow,
        service: &ServicePassport,
        descriptor_set: &[u8],
    ) -> Result<u32, StoreError> {
        // The column says who brought the bytes first. That makes nobody their owner, and nothing reads it.
        sqlx::query("INSERT INTO descriptor_sets (version, agency, bytes) VALUES ($1, $2, $3) ON CONFLICT (version) DO NOTHING")
            .bind(&row.version)
            .bind(&row.agency)
            .bind(descriptor_set)
            .execute(self.conn())
            .await?;
        let number: i64 =
            sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) + 1 FROM passports WHERE agency = $1 AND grpc_service = $2")
                .bind(&row.agency)
                .bind(&row.grpc_service)
                .fetch_one(self.conn())
                .await?;
        sqlx::query(
            "INSERT INTO passports (agency, grpc_service, version, number, id, state, base_database, information_system, \
             classification, created_at_ms, changed_at_ms, changed_by, resolution) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(&row.agency)
        .bind(&row.grpc_service)
        .bind(&row.version)
        .bind(number)
        .bind(&row.id)
        .bind(row.state.as_str())
        .bind(&service.base_database)
        .bind(&service.information_system)
        .bind(service.classification.as_str())
        .bind(row.created_at.unix_ms())
        .bind(row.changed_at.unix_ms())
        .bind(&row.changed_by)
        .bind(&row.resolution)
        .execute(self.conn())
        .await?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    async fn set_passport_state(&mut self, row: &PassportRow) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE passports SET state = $4, changed_at_ms = $5, changed_by = $6, resolution = $7 \
             WHERE agency = $1 AND grpc_service = $2 AND version = $3",
        )
        .bind(&row.agency)
        .bind(&row.grpc_service)
        .bind(&row.version)
        .bind(row.state.as_str())
        .bind(row.changed_at.unix_ms())
        .bind(&row.changed_by)
        .bind(&row.resolution)
        .execute(self.conn())
        .await?;
        Ok(())
    }
}

fn row_of(row: &SqliteRow) -> Result<PassportRow, StoreError> {
    let state: PassportState = stored::passport_state(row.try_get(5)?)?;
    Ok(PassportRow {
        agency: row.try_get(0)?,
        grpc_service: row.try_get(1)?,
        version: row.try_get(2)?,
        number: u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or(u32::MAX),
        id: row.try_get(4)?,
        state,
        created_at: instant(row, 6)?,
        changed_at: instant(row, 7)?,
        changed_by: row.try_get(8)?,
        resolution: row.try_get(9)?,
    })
}
