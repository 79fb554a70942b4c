//! The clock of calls that are offered at a rate.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::Result;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};

/// When calls are due. A timer of the kernel wakes the thread: the time-out of `epoll` counts in milliseconds.
#[derive(Debug)]
pub(super) struct Pace {
    timer: OwnedFd,
    next: Instant,
    every: Duration,
}

impl Pace {
    /// So many calls a second, from now on.
    pub(super) fn new(per_second: u32) -> Result<Self> {
        let every = Duration::from_secs(1) / per_second.max(1);
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let interval = Timespec { tv_sec: every.as_secs().cast_signed(), tv_nsec: every.subsec_nanos().into() };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: interval, it_value: interval })?;
        Ok(Self { timer, next: Instant::now() + every, every })
    }

    /// What becomes readable when a call is due.
    pub(super) const fn timer(&self) -> &OwnedFd {
        &self.timer
    }

    /// Lets the timer tell anew.
    pub(super) fn heard(&self) {
        // Nothing to read is nothing to hear.
        let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
    }

    /// The next call that is due by now.
    pub(super) fn due(&mut self) -> Option<Instant> {
        let due = self.next;
        (due <= Instant::now()).then(|| {
            self.next += self.every;
            due
        })
    }
}
