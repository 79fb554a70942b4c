//! What sidecars offer, where they are reached, and what is known of each.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use crate::store::error::StoreError;

/// A sidecar's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationRow {
    /// Whose sidecar it is.
    pub agency: String,
    /// host:port; empty for a pure consumer.
    pub address: String,
    /// What it says of itself.
    pub software_version: String,
    /// Consumers that it is reserved for; empty: for everyone with a grant.
    pub reserved_for: BTreeSet<String>,
    /// gRPC service and passport version of what it offers.
    pub services: BTreeSet<(String, String)>,
}

/// Where a provider's sidecar is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointInStore {
    /// The provider.
    pub agency: String,
    /// Identity of the sidecar.
    pub spiffe_id: String,
    /// host:port.
    pub address: String,
    /// gRPC services with a passport in force that it offers.
    pub grpc_services: Vec<String>,
    /// Consumers that it is reserved for; empty: for everyone with a grant.
    pub reserved_for: Vec<String>,
}

/// Reading registrations.
#[async_trait]
pub trait ReadRegistrations {
    /// What the sidecar with this identity offers.
    async fn registration(&mut self, spiffe_id: &str) -> Result<Option<RegistrationRow>, StoreError>;

    /// Sidecars with an address and a service in force, in the order of their identities.
    async fn endpoints(&mut self) -> Result<Vec<EndpointInStore>, StoreError>;

    /// Identities of the agency's sidecars that registered; at most a hundred.
    async fn registered_sidecars_of(&mut self, agency: &str) -> Result<Vec<String>, StoreError>;
}

/// Writing registrations.
#[async_trait]
pub trait WriteRegistrations {
    /// The sidecar with this identity offers this from now on, and nothing else.
    async fn put_registration(
        &mut self,
        spiffe_id: &str,
        registration: &RegistrationRow,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}

/// What is known of a sidecar from its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarRow {
    /// Its identity.
    pub spiffe_id: String,
    /// Whose it is.
    pub agency: String,
    /// When it connected, or left, last.
    pub seen_at: Timestamp,
    /// What it says of itself.
    pub software_version: String,
    /// Revision of the snapshot that it was sent last.
    pub sent_revision: u64,
    /// Distribution revision that it holds.
    pub acknowledged_revision: u64,
    /// Of the policy in the snapshot that it acknowledged last.
    pub policy_version: u64,
    /// Why it refused the last snapshot; empty when it did not.
    pub problem: String,
}

/// Reading sidecars.
#[async_trait]
pub trait ReadSidecars {
    /// Everyone that was ever connected.
    async fn sidecars(&mut self) -> Result<Vec<SidecarRow>, StoreError>;
}

/// Writing sidecars.
#[async_trait]
pub trait WriteSidecars {
    /// What is known of this one is now so.
    async fn put_sidecar(&mut self, sidecar: &SidecarRow) -> Result<(), StoreError>;
}
