//! The inquiries that passports hold.

use std::{collections::HashMap, ops::DerefMut};

use async_trait::async_trait;
use chapar_core::{passport::Inquiry, time::Timestamp};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing};
use crate::store::{
    error::StoreError,
    seam::{InquiryInStore, OfferedInquiry, PassportState, ReadInquiries, WriteInquiries},
    stored,
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadInquiries for Session<C> {
    async fn inquiries_in_force(&mut self) -> Result<Vec<InquiryInStore>, StoreError> {
        let rows = sqlx::query(
            "SELECT i.agency, i.inquiry, i.grpc_service, i.method, i.kind, i.version, i.title_fa, i.title_en, \
             p.classification, p.base_database, i.subjects FROM passport_inquiries i \
             JOIN passports p ON p.agency = i.agency AND p.grpc_service = i.grpc_service AND p.version = i.version \
             WHERE p.state = 'approved' ORDER BY i.agency, i.inquiry, i.grpc_service",
        )
        .fetch_all(self.conn())
        .await?;
        rows.iter().map(inquiry_of).collect()
    }

    async fn offered_inquiries(&mut self) -> Result<Vec<OfferedInquiry>, StoreError> {
        let rows = sqlx::query(
            "SELECT i.inquiry, i.agency, p.state, p.classification, p.base_database FROM passport_inquiries i \
             JOIN passports p ON p.agency = i.agency AND p.grpc_service = i.grpc_service AND p.version = i.version \
             WHERE p.state IN ('draft', 'submitted', 'approved') ORDER BY i.inquiry, i.agency",
        )
        .fetch_all(self.conn())
        .await?;
        rows.iter().map(offered_of).collect()
    }

    async fn inquiry_homes(&mut self) -> Result<HashMap<String, String>, StoreError> {
        let homes: Vec<(String, String)> =
            sqlx::query_as("SELECT inquiry, provider FROM inquiry_homes").fetch_all(self.conn()).await?;
        Ok(homes.into_iter().collect())
    }

    async fn holder_of_inquiry(&mut self, agency: &str, inquiry: &str, other_than: &str) -> Result<Option<String>, StoreError> {
        let holder = sqlx::query_scalar(
            "SELECT i.grpc_service FROM passport_inquiries i \
             JOIN passports p ON p.agency = i.agency AND p.grpc_service = i.grpc_service AND p.version = i.version \
             WHERE i.agency = $1 AND i.inquiry = $2 AND i.grpc_service <> $3 AND p.state = 'approved' LIMIT 1",
        );
        Ok(holder.bind(agency).bind(inquiry).bind(other_than).fetch_optional(self.conn()).await?)
    }

    async fn passports_without_subjects(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        let unread = sqlx::query_as("SELECT DISTINCT version, grpc_service FROM passport_inquiries WHERE subjects IS NULL");
        Ok(unread.fetch_all(self.conn()).await?)
    }
}

#[async_trait]
impl WriteInquiries for Session<Writing> {
    async fn insert_inquiry(&mut self, passport: (&str, &str, &str), inquiry: &Inquiry) -> Result<(), StoreError> {
        let (agency, grpc_service, version) = passport;
        sqlx::query(
            "INSERT INTO passport_inquiries (agency, grpc_service, version, method, inquiry, kind, title_fa, title_en, subjects) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(agency)
        .bind(grpc_service)
        .bind(version)
        .bind(&inquiry.method)
        .bind(&inquiry.id)
        .bind(inquiry.kind.as_str())
        .bind(&inquiry.title.fa)
        .bind(&inquiry.title.en)
        .bind(stored::subjects_text(inquiry)?)
        .execute(self.conn())
        .await?;
        Ok(())
    }

    async fn set_subjects(&mut self, version: &str, grpc_service: &str, inquiry: &Inquiry) -> Result<(), StoreError> {
        sqlx::query("UPDATE passport_inquiries SET subjects = $1 WHERE version = $2 AND grpc_service = $3 AND method = $4")
            .bind(stored::subjects_text(inquiry)?)
            .bind(version)
            .bind(grpc_service)
            .bind(&inquiry.method)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    async fn settle_inquiry_home(&mut self, inquiry: &str, provider: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO inquiry_homes (inquiry, provider, since_ms) VALUES ($1, $2, $3) ON CONFLICT (inquiry) DO NOTHING",
        )
        .bind(inquiry)
        .bind(provider)
        .bind(now.unix_ms())
        .execute(self.conn())
        .await?;
        Ok(())
    }
}

fn inquiry_of(row: &SqliteRow) -> Result<InquiryInStore, StoreError> {
    Ok(InquiryInStore {
        provider: row.try_get(0)?,
        inquiry: row.try_get(1)?,
        grpc_service: row.try_get(2)?,
        method: row.try_get(3)?,
        kind: stored::inquiry_kind(row.try_get(4)?)?,
        passport_version: row.try_get(5)?,
        title_fa: row.try_get(6)?,
        title_en: row.try_get(7)?,
        classification: stored::classification(row.try_get(8)?)?,
        base_database: row.try_get(9)?,
        subjects: stored::subjects(row.try_get(10)?)?,
    })
}

fn offered_of(row: &SqliteRow) -> Result<OfferedInquiry, StoreError> {
    Ok(OfferedInquiry {
        inquiry: row.try_get(0)?,
        provider: row.try_get(1)?,
        approved: stored::passport_state(row.try_get(2)?)? == PassportState::Approved,
        classification: stored::classification(row.try_get(3)?)?,
        base_database: row.try_get(4)?,
    })
}
