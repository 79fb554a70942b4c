//! Stopping without breaking calls: no new ones, the running ones finish, and what is left at the limit is told so.

use std::time::Duration;

use crate::shared::{Phase, Shared};

/// How often it is looked whether the last call has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Time for the last frames to reach the callers after the last call has ended.
const LAST_FRAMES: Duration = Duration::from_millis(100);

/// Drains the workers: readiness goes, listeners close, connections say GOAWAY, and calls that still run after `timeout` are cut
/// as TIMED_OUT. Returns how many had to be cut.
pub(crate) async fn drain(shared: &Shared, timeout: Duration) -> usize {
    let call_metrics = shared.metrics.calls();
    shared.phase.send_replace(Phase::Draining);
    tracing::info!(calls = call_metrics.live(), timeout_s = timeout.as_secs(), "draining");
    let finished = tokio::time::timeout(timeout, ended(shared)).await;
    shared.call_limit.close();
    let cut = call_metrics.live();
    if finished.is_err() && cut > 0 {
        tracing::warn!(calls = cut, "calls that did not finish in time are cut");
        shared.phase.send_replace(Phase::Cutting);
        // Being cut takes a turn of each worker, not more.
        let _ = tokio::time::timeout(LAST_FRAMES, ended(shared)).await;
    }
    tokio::time::sleep(LAST_FRAMES).await;
    cut
}

async fn ended(shared: &Shared) {
    while shared.metrics.calls().live() > 0 {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
