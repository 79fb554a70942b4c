//! The policy as admins see it.

use std::sync::Arc;

use super::{GrantView, PolicyError, grants_view, history};
use crate::{
    page::Page,
    problem::Problem,
    resources::{PolicySet, ResourceName, Spec},
    store::{PolicyVersion, Store},
};

/// The resources in force of that kind and name, and the version that they are of; an empty text leaves none out.
///
/// # Errors
/// When the store cannot be read.
pub async fn resources(store: &Store, kind: &str, name: &str) -> Result<(Vec<(ResourceName, Arc<Spec>)>, u64), PolicyError> {
    let mut reader = store.reader().await?;
    let version = reader.policy_version().await?;
    let all = reader.resources_at(version).await?;
    let wanted = |found: &ResourceName| is_wanted(kind, found.kind.as_str()) && is_wanted(name, &found.name);
    Ok((all.into_iter().filter(|(found, _)| wanted(found)).collect(), version))
}

/// Versions, the newest first, and the token of the next page.
///
/// # Errors
/// `PAGE_TOKEN_MALFORMED`, or when the store cannot be read.
pub async fn versions(store: &Store, page: &Page) -> Result<(Vec<PolicyVersion>, String), Problem> {
    let before = page.after_number()?.map_or(u64::MAX, i64::unsigned_abs);
    let mut versions = store.reader().await?.policy_versions(before, page.size + 1).await?;
    let next = page.cut(&mut versions, |version| version.version.to_string());
    Ok((versions, next))
}

/// A version with its resources; 0: the one in force.
///
/// # Errors
/// [`PolicyError::Unknown`] without such a version.
pub async fn content(store: &Store, version: u64) -> Result<(PolicyVersion, PolicySet), PolicyError> {
    let mut reader = store.reader().await?;
    let number = if version == 0 { reader.policy_version().await? } else { version };
    Ok((history::version(&mut *reader, number).await?, reader.resources_at(number).await?))
}

/// Which grants to list; empty: leaves none out.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// Who may call.
    pub consumer: String,
    /// Who answers.
    pub provider: String,
    /// What is called.
    pub inquiry: String,
    /// What made them.
    pub resolution: String,
}

/// Grants in the order of their names, and the token of the next page.
///
/// # Errors
/// When the store cannot be read.
pub async fn grants(store: &Store, filter: &GrantFilter, page: &Page) -> Result<(Vec<GrantView>, String), PolicyError> {
    let view = grants_view(&mut *store.reader().await?).await?;
    let mut grants: Vec<_> = view
        .grants
        .into_iter()
        .filter(|found| page.after.as_ref().is_none_or(|after| found.grant.name > *after))
        .filter(|found| is_wanted(&filter.consumer, &found.grant.consumer) && is_wanted(&filter.inquiry, &found.grant.inquiry))
        .filter(|found| is_wanted(&filter.provider, found.provider.as_deref().unwrap_or_default()))
        .filter(|found| is_wanted(&filter.resolution, &found.grant.resolution))
        .take(page.size + 1)
        .collect();
    let next = page.cut(&mut grants, |found| found.grant.name.clone());
    Ok((grants, next))
}

/// The grant of this name, with its provider.
///
/// # Errors
/// When the store cannot be read.
pub async fn grant(store: &Store, name: &str) -> Result<Option<GrantView>, PolicyError> {
    let view = grants_view(&mut *store.reader().await?).await?;
    Ok(view.grants.into_iter().find(|found| found.grant.name == name))
}

fn is_wanted(asked: &str, found: &str) -> bool {
    asked.is_empty() || asked == found
}
