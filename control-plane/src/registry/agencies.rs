//! Agencies as admins see them.

use crate::{
    page::Page,
    problem::Problem,
    store::{AgencyInStore, Store},
};

/// Agencies by name, those that left the policy while suspended among them, and the token of the next page.
///
/// # Errors
/// When the store cannot be read.
pub async fn agencies(store: &Store, page: &Page) -> Result<(Vec<AgencyInStore>, String), Problem> {
    let after = page.after.as_deref().unwrap_or_default();
    let mut agencies = store.reader().await?.agencies(after, store.clock().now_ms(), page.limit()).await?;
    let next = page.cut(&mut agencies, |agency| agency.name.clone());
    Ok((agencies, next))
}
