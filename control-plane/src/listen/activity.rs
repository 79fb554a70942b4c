//! Whether anything happens on a connection: silence has an end.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Requests of one connection. Clones are of the same.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Debug)]
struct State {
    open: usize,
    any: bool,
    quiet_since: Instant,
}

/// A request under way; it has ended when this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Activity);

/// Which silence was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// There never was a request; nor a preface, maybe.
    First,
    /// There was none any more.
    Idle,
}

impl Activity {
    /// From now on.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State { open: 0, any: false, quiet_since: Instant::now() })))
    }

    /// A request begins.
    pub(super) fn begins(&self) -> UnderWay {
        self.0.send_modify(|state| {
            state.open += 1;
            state.any = true;
        });
        UnderWay(self.clone())
    }

    /// Returns once there has been no first request for `first`, or none at all for `idle`.
    pub(super) async fn silent(&self, first: Duration, idle: Duration) -> Silence {
        let mut states = self.0.subscribe();
        loop {
            let state = *states.borrow_and_update();
            let until = state.quiet_since + if state.any { idle } else { first };
            let waits = state.open == 0;
            tokio::select! {
                () = sleep_until(until), if waits => return if state.any { Silence::Idle } else { Silence::First },
                // The sender is here.
                _ = states.changed() => {}
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            state.open -= 1;
            state.quiet_since = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn silence_ends_before_the_first_request_and_after_the_last_and_never_beside_one() {
        let began = Instant::now();
        let activity = Activity::new();
        assert_eq!(activity.silent(FIRST, IDLE).await, Silence::First);
        assert_eq!(began.elapsed(), FIRST);
        let request = activity.begins();
        let waits = tokio::time::timeout(Duration::from_secs(3_600), activity.silent(FIRST, IDLE));
        assert!(waits.await.is_err(), "a request is under way");
        let ended = Instant::now();
        drop(request);
        assert_eq!(activity.silent(FIRST, IDLE).await, Silence::Idle);
        assert_eq!(ended.elapsed(), IDLE);
    }
}
