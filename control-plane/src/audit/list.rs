//! Reading the audit, newest first.

use crate::{
    page::Page,
    problem::Problem,
    store::{AuditFilter, AuditLine, Store, StoreError},
};

/// Entries, newest first.
///
/// # Errors
/// `PAGE_TOKEN_MALFORMED`, or when the store cannot be read.
pub async fn list(store: &Store, filter: &AuditFilter, page: &Page) -> Result<(Vec<AuditLine>, String), Problem> {
    let before = page.after_number()?.unwrap_or(i64::MAX);
    let mut lines = store.reader().await?.audit_lines(filter, before, page.limit()).await?;
    let next = page.cut(&mut lines, |line| line.id.to_string());
    Ok((lines, next))
}

/// The greatest number that the details of one of these two actions hold under this key. `None`: neither was ever done.
///
/// # Errors
/// When the store cannot be read.
pub async fn greatest_detail(store: &Store, actions: [&str; 2], key: &str) -> Result<Option<i64>, StoreError> {
    store.reader().await?.greatest_audit_detail(actions, key).await
}
