//! What sidecars offer, and where they are reached.

use std::collections::BTreeSet;

use async_trait::async_trait;

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
    async fn put_registration(&mut self, spiffe_id: &str, registration: &RegistrationRow, now_ms: i64) -> Result<(), StoreError>;
}
