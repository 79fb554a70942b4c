//! Waiting for something to become true, with an end.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Between two looks. Short, since most waits are for a process on the same machine.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `look` gives a value, at most for `limit`.
///
/// # Errors
/// When the limit passes first; says what was waited for.
pub async fn until<T, F, L>(what: &str, limit: Duration, mut look: L) -> Result<T>
where
    L: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = look().await {
            return Ok(value);
        }
        if Instant::now() >= end {
            bail!("waited {limit:?} in vain for {what}");
        }
        sleep(LOOK_EVERY).await;
    }
}
