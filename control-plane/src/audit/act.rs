//! The call of an admin that this task carries out.

use std::sync::{Arc, Mutex, PoisonError};

use crate::store::AuditEntry;

tokio::task_local! {
    static ACT: Act;
}

/// What is known of the call, beside what it is handed. Clones are of the same call.
#[derive(Clone, Debug, Default)]
pub struct Act {
    refusal: Arc<Mutex<Option<AuditEntry>>>,
}

impl Act {
    /// Carries the call out.
    pub async fn carry_out<T>(&self, call: impl Future<Output = T>) -> T {
        ACT.scope(self.clone(), call).await
    }

    /// The refusal that the call handed over, to be written by who carries it out.
    #[must_use]
    pub fn refusal(&self) -> Option<AuditEntry> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Hands a refusal to whoever carries the call out; gives it back where nobody does.
pub(super) fn hand_over(entry: AuditEntry) -> Option<AuditEntry> {
    let mut entry = Some(entry);
    let taken = ACT.try_with(|act| *act.refusal.lock().unwrap_or_else(PoisonError::into_inner) = entry.take());
    if taken.is_ok() { None } else { entry }
}
