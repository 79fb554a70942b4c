//! Waiting longer and longer, and not in step with all the other sidecars.

use std::time::Duration;

use crate::config;

/// The waits between attempts: doubling, each somewhere between half and the whole of its step.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    step: Duration,
}

impl Backoff {
    /// As the configuration says.
    #[must_use]
    pub fn new(config: &config::ControlPlane) -> Self {
        let min = Duration::from_millis(config.retry_ms_min.into());
        Self { min, max: Duration::from_millis(config.retry_ms_max.into()), step: min }
    }

    /// How long to wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.step;
        self.step = step.saturating_mul(2).min(self.max);
        step / 2 + jitter(step / 2)
    }

    /// An attempt succeeded: begin with short waits again.
    pub fn reset(&mut self) {
        self.step = self.min;
    }
}

/// A random time up to `max`, so that many sidecars do not do the same thing at the same moment.
#[must_use]
pub fn jitter(max: Duration) -> Duration {
    let max_us = u64::try_from(max.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rand::random_range(0..=max_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_begin_anew_after_a_success() {
        let mut backoff =
            Backoff { min: Duration::from_millis(100), max: Duration::from_millis(400), step: Duration::from_millis(100) };
        for step_ms in [100, 200, 400, 400] {
            let step = Duration::from_millis(step_ms);
            let wait = backoff.next_wait();
            assert!(wait >= step / 2 && wait <= step, "{wait:?} for {step:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
