//! The policy: every version's resources, and who made it when and why.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use crate::{
    resources::{Kind, PolicySet, ResourceChange, ResourceName, Spec},
    store::error::StoreError,
};

/// Who made a version, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// 1, 2, 3 …; 1 is the regulation's own list of base databases.
    pub version: u64,
    /// In ms since 1970.
    pub created_at: Timestamp,
    /// As in the audit.
    pub created_by: String,
    /// As the admin wrote it.
    pub reason: String,
    /// Resources that it added.
    pub created: u32,
    /// Resources that it changed.
    pub changed: u32,
    /// Resources that it removed.
    pub deleted: u32,
    /// The version whose content it brought back.
    pub rolled_back_to: Option<u64>,
}

/// Reading the policy.
#[async_trait]
pub trait ReadPolicy {
    /// Number of the version in force.
    async fn policy_version(&mut self) -> Result<u64, StoreError>;

    /// Who made this version. `None`: there is none of that number.
    async fn policy_version_of(&mut self, version: u64) -> Result<Option<PolicyVersion>, StoreError>;

    /// Versions before `before`, the newest first.
    async fn policy_versions(&mut self, before: u64, limit: usize) -> Result<Vec<PolicyVersion>, StoreError>;

    /// A digest over all that each version after `after` says, the oldest first: what must never change of it.
    async fn policy_digests(&mut self, after: u64) -> Result<Vec<(u64, [u8; 32])>, StoreError>;

    /// All resources of a version.
    async fn resources_at(&mut self, version: u64) -> Result<PolicySet, StoreError>;

    /// All resources in force.
    async fn resources_now(&mut self) -> Result<PolicySet, StoreError>;

    /// The resources of one kind in force.
    async fn resources_of_kind(&mut self, kind: Kind) -> Result<PolicySet, StoreError>;

    /// One resource in force.
    async fn resource_now(&mut self, name: &ResourceName) -> Result<Option<Arc<Spec>>, StoreError>;
}

/// Writing the policy.
#[async_trait]
pub trait WritePolicy {
    /// Writes these changes as a new version, which this distribution revision carries.
    async fn insert_policy_version(
        &mut self,
        version: &PolicyVersion,
        revision: u64,
        changes: &BTreeMap<ResourceName, ResourceChange>,
    ) -> Result<(), StoreError>;
}
