//! How often one address did something within a minute: a bounded memory of strangers.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use chapar_core::time::Timestamp;

use crate::clock::Clock;

/// Length of a window, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// Addresses that are remembered: about 1 MiB. When more come within one window, those that began first are forgotten.
const ADDRESSES_MAX: usize = 10_000;

/// Counts by address and window.
#[derive(Debug)]
pub struct AddressWindows {
    clock: Clock,
    windows: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Timestamp,
    count: u32,
}

impl Window {
    const fn ends(&self) -> Timestamp {
        self.began.plus_ms(WINDOW_MS)
    }
}

/// What an address did in its window so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How many in that time.
    pub count: u32,
    /// Seconds until the window ends, rounded up.
    pub left_s: i64,
}

impl AddressWindows {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, windows: Mutex::new(HashMap::new()) }
    }

    /// What the address did in the window that runs.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Count {
        let now = self.clock.now();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        match windows.get(&address) {
            Some(window) if window.ends() > now => {
                Count { count: window.count, left_s: (window.ends().ms_since(now) + 999) / 1_000 }
            }
            Some(_) | None => Count { count: 0, left_s: 0 },
        }
    }

    /// Counts once more; returns the count in the window, this one included.
    pub fn add(&self, address: IpAddr) -> u32 {
        let now = self.clock.now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= ADDRESSES_MAX && !windows.contains_key(&address) {
            make_room(&mut windows, now);
        }
        let window = windows.entry(address).or_insert(Window { began: now, count: 0 });
        if window.ends() <= now {
            *window = Window { began: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        window.count
    }
}

fn make_room(windows: &mut HashMap<IpAddr, Window>, now: Timestamp) {
    windows.retain(|_, window| window.ends() > now);
    if windows.len() >= ADDRESSES_MAX {
        let oldest = windows.iter().min_by_key(|(_, window)| window.began).map(|(address, _)| *address);
        oldest.map(|address| windows.remove(&address));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_address_has_its_own_window_and_begins_anew_after_it() {
        let clock = Clock::wound(Timestamp::from_unix_ms(1_000_000));
        let windows = AddressWindows::new(clock.clone());
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((windows.add(one), windows.add(one), windows.add(other)), (1, 2, 1));
        clock.advance(Duration::from_secs(59));
        assert_eq!(windows.of(one), Count { count: 2, left_s: 1 });
        clock.advance(Duration::from_secs(1));
        assert_eq!(windows.of(one).count, 0);
        assert_eq!(windows.add(one), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let windows = AddressWindows::new(Clock::wound(Timestamp::from_unix_ms(1_000_000)));
        for n in 0..(ADDRESSES_MAX as u32 + 10) {
            windows.add(IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(windows.windows.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
