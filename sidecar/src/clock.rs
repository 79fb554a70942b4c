//! What time it is, and waiting until it is later: the machine's clock, or one that a test winds by hand.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use chapar_core::time::Timestamp;
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use tokio::sync::watch;

/// Longest single sleep, so that a step of the machine's clock (NTP, a suspended virtual machine) is noticed soon.
const NAP_MAX: Duration = Duration::from_secs(30);

/// A clock. Cheap to clone; all clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Machine,
    Wound(Arc<watch::Sender<Timestamp>>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn machine() -> Self {
        Self { source: Source::Machine }
    }

    /// A clock that stands still at `start` until it is wound.
    #[must_use]
    pub fn wound(start: Timestamp) -> Self {
        Self { source: Source::Wound(Arc::new(watch::Sender::new(start))) }
    }

    /// Sets a wound clock forward (or back). The machine's clock goes its own way.
    pub fn wind_to(&self, instant: Timestamp) {
        if let Source::Wound(hands) = &self.source {
            hands.send_replace(instant);
        }
    }

    /// The instant it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::Machine => machine_now(),
            Source::Wound(hands) => *hands.borrow(),
        }
    }

    /// Returns once the clock shows `instant` or later.
    pub async fn sleep_until(&self, instant: Timestamp) {
        match &self.source {
            Source::Machine => {
                while let Some(left) = left_until(instant, machine_now()) {
                    tokio::time::sleep(left.min(NAP_MAX)).await;
                }
            }
            Source::Wound(hands) => {
                // The sender lives in `self`, so waiting cannot fail for want of one.
                let _ = hands.subscribe().wait_for(|now| *now >= instant).await;
            }
        }
    }

    /// Returns once this much time has gone by since this call, not since the first look at what it returns.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + '_ {
        self.sleep_until(self.now().saturating_add(time))
    }
}

/// Certificates are judged by the same clock as everything else.
impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.now()))
    }
}

/// `instant` as certificate verification wants it: whole seconds, not before 1970.
#[must_use]
pub fn unix_time(instant: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(instant.unix_s()).unwrap_or(0)))
}

fn machine_now() -> Timestamp {
    // A machine that believes to live before 1970 gets 1970: every certificate is then "not yet valid", which refuses.
    Timestamp::from(SystemTime::now()).max(Timestamp::from_unix_ms(0))
}

fn left_until(instant: Timestamp, now: Timestamp) -> Option<Duration> {
    Some(instant.duration_since(now)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wound_clock_wakes_sleepers_when_it_gets_there_and_not_before() {
        let clock = Clock::wound(Timestamp::from_unix_ms(1_000));
        let sleeper = clock.sleep(Duration::from_millis(500));
        tokio::pin!(sleeper);
        clock.wind_to(Timestamp::from_unix_ms(1_499));
        assert!(futures_util::poll!(&mut sleeper).is_pending());
        clock.wind_to(Timestamp::from_unix_ms(1_500));
        sleeper.await;
        assert_eq!(clock.now(), Timestamp::from_unix_ms(1_500));
    }
}
