//! Issued certificates as admins see them.

use std::collections::BTreeMap;

use chapar_core::identity::SpiffeId;
use sqlx::Row as _;

use super::{Authority, Generation, Kind};
use crate::{page::Page, problem::Problem, store::StoreError};

/// One issued leaf.
#[derive(Clone, Debug)]
pub struct CertificateRow {
    pub serial: String,
    pub spiffe_id: String,
    pub agency: Option<String>,
    pub issuer: String,
    pub fingerprint: String,
    pub not_before_ms: i64,
    pub not_after_ms: i64,
    pub revoked_at_ms: Option<i64>,
    pub revocation_reason: Option<String>,
}

/// How many certificates that are neither expired nor revoked each issuing CA still carries. The control plane's own are left
/// out: it exchanges them by itself, at once.
#[derive(Clone, Debug, Default)]
pub struct LiveCounts(BTreeMap<String, u32>);

impl LiveCounts {
    /// Those of one generation; a root's are those of the issuing CAs under it.
    #[must_use]
    pub fn of(&self, generation: &Generation, all: &[Generation]) -> u32 {
        let issued_by = |name: &str| self.0.get(name).copied().unwrap_or_default();
        match generation.kind {
            Kind::Issuing => issued_by(&generation.name),
            Kind::Root => all
                .iter()
                .filter(|issuing| issuing.kind == Kind::Issuing && issuing.parent.as_deref() == Some(&generation.name))
                .map(|issuing| issued_by(&issuing.name))
                .sum(),
        }
    }
}

impl Authority {
    /// Counts live certificates.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn live_counts(&self) -> Result<LiveCounts, StoreError> {
        let rows = sqlx::query(
            "SELECT issuer, COUNT(*) AS live FROM certificates \
             WHERE revoked_at_ms IS NULL AND not_after_ms > $1 AND spiffe_id <> $2 GROUP BY issuer",
        )
        .bind(self.clock().now_ms())
        .bind(SpiffeId::control_plane(self.trust_domain().clone()).to_string())
        .fetch_all(self.inner.store.read())
        .await?;
        let counted = rows.iter().map(|row| {
            let live: i64 = row.try_get("live")?;
            Ok((row.try_get("issuer")?, u32::try_from(live).unwrap_or(u32::MAX)))
        });
        Ok(LiveCounts(counted.collect::<Result<_, sqlx::Error>>()?))
    }

    /// Issued certificates, newest first. `agency`: empty for all.
    ///
    /// # Errors
    /// `PAGE_TOKEN_MALFORMED`, or when the store cannot be read.
    pub async fn list(&self, agency: &str, include_void: bool, page: &Page) -> Result<(Vec<CertificateRow>, String), Problem> {
        let (after_ms, after_serial) = match &page.after {
            None => (i64::MAX, String::new()),
            Some(key) => key
                .split_once(':')
                .and_then(|(ms, serial)| Some((ms.parse().ok()?, serial.to_owned())))
                .ok_or_else(|| Problem::invalid("PAGE_TOKEN_MALFORMED", "page_token is not one of this list"))?,
        };
        let rows = sqlx::query(
            "SELECT * FROM certificates WHERE ($1 = '' OR agency = $1) \
             AND ($2 = 1 OR (revoked_at_ms IS NULL AND not_after_ms > $3)) \
             AND (not_before_ms < $4 OR (not_before_ms = $4 AND serial > $5)) \
             ORDER BY not_before_ms DESC, serial LIMIT $6",
        )
        .bind(agency)
        .bind(i64::from(include_void))
        .bind(self.clock().now_ms())
        .bind(after_ms)
        .bind(after_serial)
        .bind(page.limit())
        .fetch_all(self.inner.store.read())
        .await?;
        let mut certificates = rows.iter().map(row_of).collect::<Result<Vec<_>, sqlx::Error>>()?;
        let next = page.cut(&mut certificates, |row| format!("{}:{}", row.not_before_ms, row.serial));
        Ok((certificates, next))
    }
}

fn row_of(row: &sqlx::sqlite::SqliteRow) -> Result<CertificateRow, sqlx::Error> {
    Ok(CertificateRow {
        serial: row.try_get("serial")?,
        spiffe_id: row.try_get("spiffe_id")?,
        agency: row.try_get("agency")?,
        issuer: row.try_get("issuer")?,
        fingerprint: row.try_get("fingerprint")?,
        not_before_ms: row.try_get("not_before_ms")?,
        not_after_ms: row.try_get("not_after_ms")?,
        revoked_at_ms: row.try_get("revoked_at_ms")?,
        revocation_reason: row.try_get("revocation_reason")?,
    })
}
