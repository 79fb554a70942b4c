//! Agencies.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use crate::{resources::Agency, store::error::StoreError};

/// An agency that takes part, or that left while it was suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgencyInStore {
    /// Its name.
    pub name: String,
    /// Persian title.
    pub title_fa: String,
    /// English title.
    pub title_en: String,
    /// What it does in the exchange, in words.
    pub roles: Vec<String>,
    /// The agency that it is a part of.
    pub part_of: Option<String>,
    /// Why it is suspended. `None`: it is not.
    pub suspension: Option<String>,
    /// Its sidecars that hold a live certificate.
    pub sidecars: u32,
}

/// Whether an agency may take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgencyState {
    /// True: the policy no longer holds it.
    pub removed: bool,
    /// Why it is suspended. `None`: it is not.
    pub suspension: Option<String>,
}

/// Reading agencies.
#[async_trait]
pub trait ReadAgencies {
    /// Whether the policy holds the agency.
    async fn agency_exists(&mut self, name: &str) -> Result<bool, StoreError>;

    /// Whether it may take part. `None`: it was never known.
    async fn agency_state(&mut self, name: &str) -> Result<Option<AgencyState>, StoreError>;

    /// Agencies in the order of their names, those after `after`, at most `limit`.
    async fn agencies(&mut self, after: &str, now: Timestamp, limit: i64) -> Result<Vec<AgencyInStore>, StoreError>;

    /// Why each agency that the policy holds is suspended. `None`: it is not.
    async fn suspension_of_each(&mut self) -> Result<BTreeMap<String, Option<String>>, StoreError>;

    /// Name and reason of all that are suspended, in the order of names.
    async fn suspended_agencies(&mut self) -> Result<Vec<(String, String)>, StoreError>;
}

/// Writing agencies.
#[async_trait]
pub trait WriteAgencies {
    /// Makes the agency known, or known as this; its suspension stays as it is.
    async fn put_agency(&mut self, name: &str, agency: &Agency) -> Result<(), StoreError>;

    /// The policy no longer holds it.
    async fn remove_agency(&mut self, name: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Suspends it from then on, for this reason; `None`: lets it in again.
    async fn set_suspension(&mut self, name: &str, suspension: Option<(Timestamp, &str)>) -> Result<(), StoreError>;
}
