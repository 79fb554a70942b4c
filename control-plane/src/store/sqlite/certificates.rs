//! Issued certificates.

use std::{collections::HashMap, ops::DerefMut};

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing, instant, instant_if_any};
use crate::store::{
    error::StoreError,
    seam::{
        CertificateFilter, CertificateRow, CertificateState, Holder, ReadCertificates, RevokedCertificate, WriteCertificates,
    },
};

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadCertificates for Session<C> {
    async fn certificate(&mut self, serial: &str) -> Result<Option<CertificateRow>, StoreError> {
        let found = sqlx::query("SELECT * FROM certificates WHERE serial = $1").bind(serial);
        found.fetch_optional(self.conn()).await?.as_ref().map(row_of).transpose()
    }

    async fn has_live_certificate(&mut self, spiffe_id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let live: i64 = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM certificates WHERE spiffe_id = $1 AND revoked_at_ms IS NULL AND not_after_ms > $2)",
        )
        .bind(spiffe_id)
        .bind(now.unix_ms())
        .fetch_one(self.conn())
        .await?;
        Ok(live != 0)
    }

    async fn certificate_state(&mut self, serial: &str) -> Result<Option<CertificateState>, StoreError> {
        let row = sqlx::query(
            "SELECT c.spiffe_id, c.fingerprint, c.not_after_ms, c.revoked_at_ms, c.revocation_reason, g.state AS issuer_state, \
             a.suspended_at_ms, a.suspension_reason \
             FROM certificates c JOIN authority_generations g ON g.name = c.issuer \
             LEFT JOIN agencies a ON a.name = c.agency WHERE c.serial = $1",
        )
        .bind(serial)
        .fetch_optional(self.conn())
        .await?;
        row.as_ref().map(state_of).transpose()
    }

    async fn certificates(
        &mut self,
        filter: &CertificateFilter,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        let (after_ms, after_serial) = filter.after.clone().unwrap_or((i64::MAX, String::new()));
        let rows = sqlx::query(
            "SELECT * FROM certificates WHERE ($1 = '' OR agency = $1) \
             AND ($2 = 1 OR (revoked_at_ms IS NULL AND not_after_ms > $3)) \
             AND (not_before_ms < $4 OR (not_before_ms = $4 AND serial > $5)) \
             ORDER BY not_before_ms DESC, serial LIMIT $6",
        )
        .bind(&filter.agency)
        .bind(i64::from(filter.include_void))
        .bind(now.unix_ms())
        .bind(after_ms)
        .bind(after_serial)
        .bind(limit)
        .fetch_all(self.conn())
        .await?;
        rows.iter().map(row_of).collect()
    }

    async fn live_certificates_by_issuer(&mut self, now: Timestamp, left_out: &str) -> Result<Vec<(String, u32)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT issuer, COUNT(*) FROM certificates \
             WHERE revoked_at_ms IS NULL AND not_after_ms > $1 AND spiffe_id <> $2 GROUP BY issuer",
        )
        .bind(now.unix_ms())
        .bind(left_out)
        .fetch_all(self.conn())
        .await?;
        Ok(rows.into_iter().map(|(issuer, live)| (issuer, u32::try_from(live).unwrap_or(u32::MAX))).collect())
    }

    async fn holders(
        &mut self,
        issuers: &[String],
        left_out: &str,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<Holder>, StoreError> {
        // The names are our own, and few; a list of them goes as JSON.
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT c.spiffe_id, COUNT(*), EXISTS (SELECT 1 FROM certificates o JOIN authority_generations g ON g.name = o.issuer \
             WHERE o.spiffe_id = c.spiffe_id AND o.revoked_at_ms IS NULL AND o.not_after_ms > $2 AND g.state <> 'retired' \
             AND o.issuer NOT IN (SELECT value FROM json_each($1))) AS renewed \
             FROM certificates c WHERE c.issuer IN (SELECT value FROM json_each($1)) AND c.revoked_at_ms IS NULL \
             AND c.not_after_ms > $2 AND c.spiffe_id <> $3 GROUP BY c.spiffe_id ORDER BY renewed, c.spiffe_id LIMIT $4",
        )
        .bind(serde_json::json!(issuers).to_string())
        .bind(now.unix_ms())
        .bind(left_out)
        .bind(limit)
        .fetch_all(self.conn())
        .await?;
        let holder = |(spiffe_id, live, renewed): (String, i64, i64)| Holder {
            spiffe_id,
            live: u32::try_from(live).unwrap_or(u32::MAX),
            has_renewed: renewed != 0,
        };
        Ok(rows.into_iter().map(holder).collect())
    }

    async fn is_known_identity(&mut self, spiffe_id: &str) -> Result<bool, StoreError> {
        let known = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM certificates WHERE spiffe_id = $1)").bind(spiffe_id);
        Ok(known.fetch_one(self.conn()).await.map(|known: i64| known != 0)?)
    }

    async fn sidecar_revocation(&mut self, spiffe_id: &str) -> Result<Option<(Timestamp, String)>, StoreError> {
        let kept = sqlx::query("SELECT revoked_at_ms, reason FROM revoked_sidecars WHERE spiffe_id = $1").bind(spiffe_id);
        let row = kept.fetch_optional(self.conn()).await?;
        row.as_ref().map(|row| Ok((instant(row, "revoked_at_ms")?, row.try_get("reason")?))).transpose()
    }

    async fn live_certificates_of(&mut self, agency: &str, now: Timestamp) -> Result<u32, StoreError> {
        let live: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM certificates WHERE agency = $1 AND revoked_at_ms IS NULL AND not_after_ms > $2",
        )
        .bind(agency)
        .bind(now.unix_ms())
        .fetch_one(self.conn())
        .await?;
        Ok(u32::try_from(live).unwrap_or(u32::MAX))
    }

    async fn revoked_certificates(&mut self, now: Timestamp) -> Result<Vec<RevokedCertificate>, StoreError> {
        let rows = sqlx::query(
            "SELECT serial, spiffe_id, agency, revoked_at_ms, revocation_reason, not_after_ms FROM certificates \
             WHERE revoked_at_ms IS NOT NULL AND not_after_ms > $1",
        )
        .bind(now.unix_ms())
        .fetch_all(self.conn())
        .await?;
        rows.iter().map(revoked_of).collect()
    }

    async fn certificate_ends(&mut self) -> Result<HashMap<String, Timestamp>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT spiffe_id, MAX(not_after_ms) FROM certificates WHERE revoked_at_ms IS NULL GROUP BY spiffe_id",
        )
        .fetch_all(self.conn())
        .await?;
        Ok(rows.into_iter().map(|(id, ends)| (id, Timestamp::from_unix_ms(ends))).collect())
    }
}

#[async_trait]
impl WriteCertificates for Session<Writing> {
    async fn insert_certificate(&mut self, issued: &CertificateRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO certificates (serial, spiffe_id, agency, issuer, fingerprint, not_before_ms, not_after_ms, \
             revoked_at_ms, revocation_reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&issued.serial)
        .bind(&issued.spiffe_id)
        .bind(&issued.agency)
        .bind(&issued.issuer)
        .bind(&issued.fingerprint)
        .bind(issued.not_before.unix_ms())
        .bind(issued.not_after.unix_ms())
        .bind(issued.revoked_at.map(Timestamp::unix_ms))
        .bind(&issued.revocation_reason)
        .execute(self.conn())
        .await?;
        Ok(())
    }

    async fn revoke_certificate(&mut self, serial: &str, reason: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE certificates SET revoked_at_ms = $2, revocation_reason = $3 WHERE serial = $1")
            .bind(serial)
            .bind(now.unix_ms())
            .bind(reason)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    async fn revoke_certificates_of(&mut self, issuer: &str, reason: &str, now: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE certificates SET revoked_at_ms = $2, revocation_reason = $3 \
             WHERE issuer = $1 AND revoked_at_ms IS NULL AND not_after_ms > $2",
        )
        .bind(issuer)
        .bind(now.unix_ms())
        .bind(reason)
        .execute(self.conn())
        .await?;
        Ok(done.rows_affected())
    }

    async fn revoke_certificates_for(&mut self, spiffe_id: &str, reason: &str, now: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE certificates SET revoked_at_ms = $2, revocation_reason = $3 \
             WHERE spiffe_id = $1 AND revoked_at_ms IS NULL AND not_after_ms > $2",
        )
        .bind(spiffe_id)
        .bind(now.unix_ms())
        .bind(reason)
        .execute(self.conn())
        .await?;
        sqlx::query(
            "INSERT INTO revoked_sidecars (spiffe_id, revoked_at_ms, reason) VALUES ($1, $2, $3) \
             ON CONFLICT (spiffe_id) DO UPDATE SET revoked_at_ms = excluded.revoked_at_ms, reason = excluded.reason",
        )
        .bind(spiffe_id)
        .bind(now.unix_ms())
        .bind(reason)
        .execute(self.conn())
        .await?;
        Ok(done.rows_affected())
    }

    async fn purge_certificates(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM certificates WHERE serial IN \
             (SELECT serial FROM certificates WHERE not_after_ms <= $1 ORDER BY not_after_ms LIMIT $2)",
        )
        .bind(before.unix_ms())
        .bind(limit)
        .execute(self.conn())
        .await?;
        Ok(done.rows_affected())
    }
}

fn row_of(row: &SqliteRow) -> Result<CertificateRow, StoreError> {
    Ok(CertificateRow {
        serial: row.try_get("serial")?,
        spiffe_id: row.try_get("spiffe_id")?,
        agency: row.try_get("agency")?,
        issuer: row.try_get("issuer")?,
        fingerprint: row.try_get("fingerprint")?,
        not_before: instant(row, "not_before_ms")?,
        not_after: instant(row, "not_after_ms")?,
        revoked_at: instant_if_any(row, "revoked_at_ms")?,
        revocation_reason: row.try_get("revocation_reason")?,
    })
}

fn state_of(row: &SqliteRow) -> Result<CertificateState, StoreError> {
    let ended = |at: &str, reason: &str| -> Result<Option<String>, StoreError> {
        let at: Option<i64> = row.try_get(at)?;
        let reason: Option<String> = row.try_get(reason)?;
        Ok(at.map(|_| reason.unwrap_or_default()))
    };
    Ok(CertificateState {
        spiffe_id: row.try_get("spiffe_id")?,
        fingerprint: row.try_get("fingerprint")?,
        not_after: instant(row, "not_after_ms")?,
        revocation: ended("revoked_at_ms", "revocation_reason")?,
        issuer_retired: row.try_get::<String, _>("issuer_state")? == "retired",
        suspension: ended("suspended_at_ms", "suspension_reason")?,
    })
}

fn revoked_of(row: &SqliteRow) -> Result<RevokedCertificate, StoreError> {
    Ok(RevokedCertificate {
        serial: row.try_get("serial")?,
        spiffe_id: row.try_get("spiffe_id")?,
        agency: row.try_get("agency")?,
        revoked_at: instant(row, "revoked_at_ms")?,
        reason: row.try_get::<Option<String>, _>("revocation_reason")?.unwrap_or_default(),
        not_after: instant(row, "not_after_ms")?,
    })
}
