//! Issued certificates as admins see them.

use std::collections::BTreeMap;

use chapar_core::identity::SpiffeId;

use super::{Authority, Generation, Kind};
pub use crate::store::CertificateRow;
use crate::{
    page::Page,
    problem::Problem,
    store::{CertificateFilter, StoreError},
};

/// How many certificates that are neither expired nor revoked each issuing CA still carries. The control plane's own are left
/// out: it exchanges them by itself, at once.
#[derive(Clone, Debug, Default)]
pub struct LiveCounts(BTreeMap<String, u32>);

impl LiveCounts {
    /// Those of one generation; a root's are those of the issuing CAs under it.
    #[must_use]
    pub fn on(&self, generation: &Generation, all: &[Generation]) -> u32 {
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
        let own = SpiffeId::control_plane(self.trust_domain().clone()).to_string();
        let mut reader = self.inner.store.reader().await?;
        let live = reader.live_certificates_by_issuer(self.clock().now(), &own).await?;
        Ok(LiveCounts(live.into_iter().collect()))
    }

    /// Issued certificates, newest first. `agency`: empty for all.
    ///
    /// # Errors
    /// `PAGE_TOKEN_MALFORMED`, or when the store cannot be read.
    pub async fn list(&self, agency: &str, include_void: bool, page: &Page) -> Result<(Vec<CertificateRow>, String), Problem> {
        let malformed = || Problem::invalid("PAGE_TOKEN_MALFORMED", "page_token is not one of this list");
        let key = |key: &String| {
            key.split_once(':').and_then(|(ms, serial)| Some((ms.parse().ok()?, serial.to_owned()))).ok_or_else(malformed)
        };
        let after = page.after.as_ref().map(key).transpose()?;
        let filter = CertificateFilter { agency: agency.to_owned(), include_void, after };
        let mut reader = self.inner.store.reader().await?;
        let mut certificates = reader.certificates(&filter, self.clock().now(), page.limit()).await?;
        let next = page.cut(&mut certificates, |row| format!("{}:{}", row.not_before.unix_ms(), row.serial));
        Ok((certificates, next))
    }
}
