//! Refusals leave a line in the audit as deeds do.

use crate::{
    problem::Problem,
    store::{AuditEntry, Store},
};

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
        store.audit(entry).await?;
    }
    result
}

fn shortened(text: &str) -> &str {
    const BYTES_MAX: usize = 1_024;
    &text[..text.floor_char_boundary(BYTES_MAX)]
}
