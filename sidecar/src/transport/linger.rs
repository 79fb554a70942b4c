//! The end of a connection that the relay closed. A socket that is closed while the other end still sends is reset, and the
//! reset can overtake the last frames, GOAWAY among them: so it is emptied for a moment first.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::wire::Wire;

/// How long the other end is waited for.
const TIME: Duration = Duration::from_secs(1);
/// Bytes that are thrown away at most: more than a socket holds, and nothing to an attacker.
const BYTES_MAX: usize = 1024 * 1024;
/// Bytes at a time.
const PIECE_BYTES: usize = 4 * 1024;

/// Says goodbye on `wire`, and lets go of it.
pub(crate) async fn linger(mut wire: Wire) {
    let mut said = false;
    let mut left = BYTES_MAX;
    let ended = poll_fn(|cx| {
        said = said || wire.poll_finish(cx).is_ready();
        empty(&mut wire, &mut left, cx)
    });
    // Whether it was heard makes no difference.
    let _ = tokio::time::timeout(TIME, ended).await;
}

fn empty(wire: &mut Wire, left: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
    let mut piece = [0; PIECE_BYTES];
    while *left > 0 {
        match ready!(wire.poll_discard(cx, &mut piece)) {
            Ok(len) if len > 0 => *left = left.saturating_sub(len),
            Ok(_) | Err(_) => break,
        }
    }
    Poll::Ready(())
}
