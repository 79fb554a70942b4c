//! Drafts: what agencies hand in by themselves, each within its share.

use std::sync::Arc;

use chapar_core::passport::ServicePassport;
use tonic::Code;

use super::RegistryError;
use crate::{
    limit::{Rate, RateMetrics},
    problem::Problem,
    store::{PassportRow, PassportState, Transaction},
};

/// How much of the registry one may take.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Drafts of an agency.
    pub drafts_max: u32,
    /// Bytes of its drafts and of what it has submitted.
    pub draft_bytes_max: u64,
    /// The same of all agencies together; one of them has at most as many as it leaves free.
    pub draft_bytes_total_max: u64,
    /// Rows of the audit, and drafts, that a sidecar may cause. `None`: as many as it likes.
    pub audit_rows: Option<Arc<Rate>>,
    /// Counts what was dropped or refused.
    pub spent: Option<RateMetrics>,
}

/// A draft to be.
pub(super) struct Drafted<'a> {
    pub(super) agency: &'a str,
    pub(super) version: &'a str,
    pub(super) descriptor_set: &'a [u8],
    pub(super) service: &'a ServicePassport,
    pub(super) actor: &'a str,
}

impl Bounds {
    /// Lets a sidecar cause one more row of the audit.
    pub(super) fn row(&self, sidecar: &str, agency: &str) -> Result<(), RegistryError> {
        self.audit_rows.as_ref().map_or(Ok(()), |rows| rows.take(sidecar, agency)).map_err(RegistryError::ShareSpent)
    }

    /// Finds the draft of a service, or makes it. Where that needs room, the agency's oldest drafts that no sidecar offers now go.
    pub(super) async fn draft(&self, tx: &mut Transaction, drafted: Drafted<'_>) -> Result<PassportRow, RegistryError> {
        let Drafted { agency, version, descriptor_set, service, actor } = drafted;
        if let Some(found) = tx.passport(agency, &service.grpc_service, version).await? {
            return Ok(found);
        }
        let now = tx.now();
        let mut row = PassportRow {
            agency: agency.to_owned(),
            grpc_service: service.grpc_service.clone(),
            version: version.to_owned(),
            number: 0,
            id: service.id.clone(),
            state: PassportState::Draft,
            created_at: now,
            changed_at: now,
            changed_by: actor.to_owned(),
            resolution: String::new(),
        };
        row.number = tx.insert_draft(&row, service, descriptor_set).await?;
        for inquiry in &service.inquiries {
            tx.insert_inquiry((agency, &service.grpc_service, version), inquiry).await?;
        }
        self.make_room(tx, agency).await?;
        Ok(row)
    }

    async fn make_room(&self, tx: &mut Transaction, agency: &str) -> Result<(), RegistryError> {
        let now = tx.now();
        loop {
            let open = tx.open_passports(agency).await?;
            let free = self.draft_bytes_total_max.saturating_sub(open.all_bytes);
            let bound = if open.drafts > u64::from(self.drafts_max) {
                "shares.draftsMax"
            } else if open.bytes > self.draft_bytes_max {
                "shares.draftBytesMax"
            } else if open.bytes > free {
                "shares.draftBytesTotalMax"
            } else {
                return Ok(());
            };
            self.spent.iter().for_each(|spent| spent.spent("drafts"));
            let Some((service, version)) = tx.drop_oldest_draft(agency, now).await? else {
                let told = format!(
                    "the agency {agency} has spent its share of drafts and submitted passports; the bound is {bound}; have those that wait \
                     approved or retired first"
                );
                let problem = Problem::new(Code::ResourceExhausted, "SHARE_SPENT", told).with("bound", bound);
                return Err(RegistryError::ShareSpent(problem));
            };
            tracing::info!(agency, service, version, bound, "dropped the agency's oldest draft, which no sidecar offers now");
        }
    }
}
