//! Stopping without breaking calls: no new ones, the running ones finish, and what is left at the limit is told so.

use std::{sync::Arc, time::Duration};

use crate::relay::Engine;

/// How often it is looked whether the last call has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Time for the last frames to reach the callers after the last call has ended.
const LAST_FRAMES: Duration = Duration::from_millis(100);

/// Drains `engine`: readiness goes, listeners close, connections say GOAWAY, and calls that still run after `timeout` are cut
/// as DRAINING. Returns how many had to be cut.
pub async fn drain(engine: &Arc<Engine>, timeout: Duration) -> usize {
    engine.drain();
    let live = &engine.desk.live;
    tracing::info!(calls = live.count(), timeout_s = timeout.as_secs(), "draining");
    let finished = tokio::time::timeout(timeout, ended(engine)).await;
    live.close();
    let cut = live.count();
    if finished.is_err() && cut > 0 {
        tracing::warn!(calls = cut, "calls that did not finish in time are cut");
        live.cut_all();
        // Being cut takes a turn of each call's task, not more.
        let _ = tokio::time::timeout(LAST_FRAMES, ended(engine)).await;
    }
    tokio::time::sleep(LAST_FRAMES).await;
    cut
}

async fn ended(engine: &Engine) {
    while engine.desk.live.count() > 0 {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
