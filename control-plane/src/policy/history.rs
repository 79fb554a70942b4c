//! Versions of the policy: finding one, and writing the next.

use std::collections::BTreeMap;

use super::PolicyError;
use crate::{
    resources::{Kind, ResourceChange, ResourceName, Spec},
    store::{PolicyVersion, Read, StoreError, Transaction},
};

/// What a new version is said to be.
#[derive(Clone, Debug)]
pub(super) struct Authorship<'a> {
    pub(super) actor: &'a str,
    pub(super) reason: &'a str,
    pub(super) rolled_back_to: Option<u64>,
}

/// One version's authorship.
///
/// # Errors
/// [`PolicyError::Unknown`] when there is no such version.
pub async fn version(reader: &mut dyn Read, version: u64) -> Result<PolicyVersion, PolicyError> {
    let unknown = || PolicyError::Unknown { what: "version", name: version.to_string(), hint: String::new() };
    reader.policy_version_of(version).await?.ok_or_else(unknown)
}

/// Writes changes as a new version; answers its number and the distribution revision that carries it.
pub(super) async fn write(
    tx: &mut Transaction,
    changes: &BTreeMap<ResourceName, ResourceChange>,
    authorship: &Authorship<'_>,
) -> Result<(u64, u64), StoreError> {
    let count = |wanted: fn(&ResourceChange) -> bool| {
        u32::try_from(changes.values().filter(|change| wanted(change)).count()).unwrap_or(u32::MAX)
    };
    let revision = tx.next_revision().await?;
    let version = PolicyVersion {
        version: tx.policy_version().await? + 1,
        created_at: tx.now(),
        created_by: authorship.actor.to_owned(),
        reason: authorship.reason.to_owned(),
        created: count(|change| change.before.is_none()),
        changed: count(|change| change.before.is_some() && change.after.is_some()),
        deleted: count(|change| change.after.is_none()),
        rolled_back_to: authorship.rolled_back_to,
    };
    tx.insert_policy_version(&version, revision, changes).await?;
    put_agencies(tx, changes).await?;
    Ok((version.version, revision))
}

/// Brings the list of agencies in line, where enrolment, distribution and the admin look them up.
async fn put_agencies(tx: &mut Transaction, changes: &BTreeMap<ResourceName, ResourceChange>) -> Result<(), StoreError> {
    let now = tx.now();
    for (name, change) in changes.iter().filter(|(name, _)| name.kind == Kind::Agency) {
        match change.after.as_deref() {
            Some(Spec::Agency(agency)) => tx.put_agency(&name.name, agency).await?,
            _ => tx.remove_agency(&name.name, now).await?,
        }
    }
    Ok(())
}
