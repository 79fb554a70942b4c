//! What is known of sidecars, kept over restarts.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::recipients::{Recipients, SidecarStatus};
use crate::{
    problem::WithSources,
    store::{Store, StoreError},
};

/// Pause between two writes of what changed, in milliseconds: acknowledgements of a whole fleet become one write. It is for
/// the admin's list only, so a crash may lose this much.
const SAVE_PAUSE_MS: u64 = 1_000;

/// Writes what changed, now and then, and once more at the end.
pub(crate) async fn run(recipients: Recipients, store: Store, stopping: CancellationToken) {
    loop {
        let last = stopping.run_until_cancelled(sleep(Duration::from_millis(SAVE_PAUSE_MS))).await.is_none();
        let unsaved = recipients.take_unsaved();
        if let Err(error) = save(&store, &unsaved).await {
            tracing::error!(error = %WithSources(&error), "cannot save what is known of sidecars");
            recipients.unsaved(&unsaved);
        }
        if last {
            return;
        }
    }
}

async fn save(store: &Store, statuses: &[SidecarStatus]) -> Result<(), StoreError> {
    if statuses.is_empty() {
        return Ok(());
    }
    let mut tx = store.write().await?;
    for status in statuses {
        tx.put_sidecar(&status.clone().into()).await?;
    }
    tx.commit().await
}
