//! Finding out that the other end is gone although the connection says nothing.

use std::time::Duration;

use h2::{Ping, PingPong};

/// Returns when a PING is not answered in `timeout`, or cannot be sent; one is sent after each `interval`.
pub(crate) async fn lost(mut pings: PingPong, interval: Duration, timeout: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        match tokio::time::timeout(timeout, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
