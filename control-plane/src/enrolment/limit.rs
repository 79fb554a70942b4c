//! How often one address may fail to enrol. A secret of 256 bits needs no such guard; the audit and the processor do.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use tonic::Code;

use crate::{api::Problem, clock::Clock};

/// Failures of one address within a window before it is turned away unread.
const FAILURES_MAX: u32 = 30;

/// Length of a window, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// Addresses that are remembered: about 1 MiB. When more fail within one window, those that began first are forgotten.
const ADDRESSES_MAX: usize = 10_000;

pub(super) struct FailureLimit {
    clock: Clock,
    windows: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    began_ms: i64,
    failures: u32,
}

impl FailureLimit {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, windows: Mutex::new(HashMap::new()) }
    }

    /// Turns an address away that failed too often.
    pub(super) fn admit(&self, address: IpAddr) -> Result<(), Problem> {
        let now_ms = self.clock.now_ms();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(window) = windows.get(&address) else { return Ok(()) };
        let ends_ms = window.began_ms + WINDOW_MS;
        if window.failures < FAILURES_MAX || ends_ms <= now_ms {
            return Ok(());
        }
        let wait_s = (ends_ms - now_ms + 999) / 1_000;
        let message = format!("{FAILURES_MAX} enrolments from {address} failed within a minute; try again in {wait_s} s");
        Err(Problem::new(Code::ResourceExhausted, "ENROLMENT_LIMITED", message).with("retry_after_s", wait_s.to_string()))
    }

    /// Counts a failure.
    pub(super) fn count(&self, address: IpAddr) {
        let now_ms = self.clock.now_ms();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= ADDRESSES_MAX && !windows.contains_key(&address) {
            make_room(&mut windows, now_ms);
        }
        let window = windows.entry(address).or_insert(Window { began_ms: now_ms, failures: 0 });
        if window.began_ms + WINDOW_MS <= now_ms {
            *window = Window { began_ms: now_ms, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

fn make_room(windows: &mut HashMap<IpAddr, Window>, now_ms: i64) {
    windows.retain(|_, window| window.began_ms + WINDOW_MS > now_ms);
    if windows.len() >= ADDRESSES_MAX {
        let oldest = windows.iter().min_by_key(|(_, window)| window.began_ms).map(|(address, _)| *address);
        oldest.map(|address| windows.remove(&address));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::date_of_ms;

    #[test]
    fn an_address_that_fails_too_often_waits_for_the_window_to_end_and_others_do_not() {
        let clock = Clock::wound(date_of_ms(1_000_000));
        let limit = FailureLimit::new(clock.clone());
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..FAILURES_MAX {
            limit.admit(one).unwrap();
            limit.count(one);
        }
        assert_eq!(limit.admit(one).unwrap_err().reason(), "ENROLMENT_LIMITED");
        limit.admit(other).unwrap();
        clock.advance(Duration::from_secs(60));
        limit.admit(one).unwrap();
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limit = FailureLimit::new(Clock::wound(date_of_ms(1_000_000)));
        for n in 0..(ADDRESSES_MAX as u32 + 10) {
            limit.count(IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(limit.windows.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
