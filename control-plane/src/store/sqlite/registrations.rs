//! What sidecars offer, and where they are reached.

use std::ops::DerefMut;

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::{Row as _, SqliteConnection};

use super::{Session, Writing};
use crate::store::{
    error::StoreError,
    seam::{EndpointInStore, ReadRegistrations, RegistrationRow, WriteRegistrations},
    stored,
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadRegistrations for Session<C> {
    async fn registration(&mut self, spiffe_id: &str) -> Result<Option<RegistrationRow>, StoreError> {
        let row = sqlx::query("SELECT agency, address, software_version, reserved_for FROM registrations WHERE spiffe_id = $1")
            .bind(spiffe_id)
            .fetch_optional(self.conn())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let services: Vec<(String, String)> =
            sqlx::query_as("SELECT grpc_service, version FROM registered_services WHERE spiffe_id = $1")
                .bind(spiffe_id)
                .fetch_all(self.conn())
                .await?;
        Ok(Some(RegistrationRow {
            agency: row.try_get(0)?,
            address: row.try_get(1)?,
            software_version: row.try_get(2)?,
            reserved_for: stored::from_json(&format!("registration of {spiffe_id}"), row.try_get(3)?)?,
            services: services.into_iter().collect(),
        }))
    }

    async fn endpoints(&mut self) -> Result<Vec<EndpointInStore>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.spiffe_id, r.agency, r.address, r.reserved_for, s.grpc_service \
             FROM registrations r JOIN registered_services s ON s.spiffe_id = r.spiffe_id \
             JOIN passports p ON p.agency = r.agency AND p.grpc_service = s.grpc_service AND p.state = 'approved' \
             WHERE r.address <> '' ORDER BY r.spiffe_id, s.grpc_service",
        )
        .fetch_all(self.conn())
        .await?;
        let mut endpoints: Vec<EndpointInStore> = Vec::new();
        for row in rows {
            let (spiffe_id, service): (String, String) = (row.try_get(0)?, row.try_get(4)?);
            if let Some(last) = endpoints.last_mut().filter(|last| last.spiffe_id == spiffe_id) {
                last.grpc_services.push(service);
                continue;
            }
            let reserved_for = stored::from_json(&format!("registration of {spiffe_id}"), row.try_get(3)?)?;
            let (agency, address) = (row.try_get(1)?, row.try_get(2)?);
            endpoints.push(EndpointInStore { agency, spiffe_id, address, grpc_services: vec![service], reserved_for });
        }
        Ok(endpoints)
    }

    async fn registered_sidecars_of(&mut self, agency: &str) -> Result<Vec<String>, StoreError> {
        let sidecars = sqlx::query_scalar("SELECT spiffe_id FROM registrations WHERE agency = $1 LIMIT 100").bind(agency);
        Ok(sidecars.fetch_all(self.conn()).await?)
    }
}

#[async_trait]
impl WriteRegistrations for Session<Writing> {
    async fn put_registration(
        &mut self,
        spiffe_id: &str,
        registration: &RegistrationRow,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO registrations (spiffe_id, agency, address, software_version, reserved_for, registered_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (spiffe_id) DO UPDATE SET agency = excluded.agency, \
             address = excluded.address, software_version = excluded.software_version, \
             reserved_for = excluded.reserved_for, registered_at_ms = excluded.registered_at_ms",
        )
        .bind(spiffe_id)
        .bind(&registration.agency)
        .bind(&registration.address)
        .bind(&registration.software_version)
        .bind(stored::json("registration", &registration.reserved_for)?)
        .bind(now.unix_ms())
        .execute(self.conn())
        .await?;
        sqlx::query("DELETE FROM registered_services WHERE spiffe_id = $1").bind(spiffe_id).execute(self.conn()).await?;
        for (grpc_service, version) in &registration.services {
            sqlx::query("INSERT INTO registered_services (spiffe_id, grpc_service, version) VALUES ($1, $2, $3)")
                .bind(spiffe_id)
                .bind(grpc_service)
                .bind(version)
                .execute(self.conn())
                .await?;
        }
        Ok(())
    }
}
