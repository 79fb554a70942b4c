//! Who did, or was refused, what and when: reading the audit, and writing down refusals. Deeds are written with the deed.

mod act;
mod check;
mod repeats;

pub use self::{
    act::Act,
    check::{Checked, Finding, Judge, Witness, check},
    repeats::{Holder, Repeats, run},
};
use crate::{
    page::Page,
    problem::Problem,
    store::{AuditEntry, AuditFilter, AuditLine, Store, StoreError},
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

/// Passes a result on; what was refused is audited with its reason. A failure of the control plane itself is in its log.
///
/// # Errors
/// The problem, as it came.
pub async fn audited<T>(
    store: &Store,
    actor: &str,
    action: &'static str,
    object: &str,
    result: Result<T, Problem>,
) -> Result<T, Problem> {
    if let Err(problem) = &result
        && problem.code() != tonic::Code::Internal
    {
        let entry = AuditEntry::refused(actor, action, object, problem.reason())
            .with(serde_json::json!({ "message": shortened(problem.message()) }));
        // Within an admin's call the gate writes it, and counts what is repeated.
        if let Some(entry) = act::hand_over(entry) {
            store.audit(entry).await?;
        }
    }
    result
}

/// What of a message is kept.
#[must_use]
pub fn shortened(text: &str) -> &str {
    const BYTES_MAX: usize = 1_024;
    &text[..text.floor_char_boundary(BYTES_MAX)]
}
