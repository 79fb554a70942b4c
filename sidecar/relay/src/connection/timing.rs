//! What time does to connections: half-open, idle, silent, slow to write and slow to read.

use std::time::Duration;

use super::{Connection, Phase, Probe};
use crate::{gate::Gate, keys::ConnectionId, limits::Limits, shared::Shared, timer::Timer};

const fn ms(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// Times, in ms since the relay was made.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) timer: Timer,
    pub(crate) timer_ms: u64,
    pub(crate) opened_ms: u64,
    pub(crate) heard_ms: u64,
    /// When the last call ended.
    pub(crate) busy_ms: u64,
    /// When the output last moved.
    pub(crate) moved_ms: u64,
    /// When the frame or block that is under way began.
    pub(crate) begun_ms: u64,
    /// When the PING that is not answered yet was sent.
    pub(crate) pinged_ms: Option<u64>,
}

impl Times {
    pub(super) const fn new(now_ms: u64) -> Self {
        Self {
            timer: Timer::UNSET,
            timer_ms: u64::MAX,
            opened_ms: now_ms,
            heard_ms: now_ms,
            busy_ms: now_ms,
            moved_ms: now_ms,
            begun_ms: now_ms,
            pinged_ms: None,
        }
    }
}

/// What is overdue on a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Overdue {
    Linger,
    Handshake,
    Frame,
    Output,
    Answer,
    Silence,
    Notice,
    Idle,
    Resets,
}

impl<G: Gate> Connection<G> {
    /// All that time can do to it: when, and what.
    fn dues(&self, limits: &Limits, is_kept_open: bool) -> [(Option<u64>, Overdue); 9] {
        let times = &self.times;
        let after = |is: bool, since_ms: u64, time: Duration| is.then(|| since_ms.saturating_add(ms(time)));
        let closing_ms = if let Phase::Closing { since_ms, .. } = self.phase { Some(since_ms) } else { None };
        let lingers_ms = closing_ms.filter(|since_ms| *since_ms < u64::MAX);
        let noticed_ms = if let Phase::Noticed { since_ms } = self.phase { Some(since_ms) } else { None };
        let is_alive = closing_ms.is_none();
        let is_half_open = is_alive && !(self.settings_came && self.settings_acked);
        let has_begun = is_alive && (!self.partial.is_empty() || self.block.is_some());
        let is_probed = is_alive && self.probe == Probe::Ping;
        let pinged_ms = times.pinged_ms.filter(|_| is_probed);
        let is_idle = is_alive && self.streams.is_empty() && self.phase == Phase::Open && !is_kept_open;
        let late = self.late_resets.front().filter(|_| is_alive);
        let resets_ms = late.map(|late| late.due_ms.max(self.heard.free_ms(limits)));
        [
            (lingers_ms.map(|since_ms| since_ms.saturating_add(ms(limits.linger))), Overdue::Linger),
            (after(is_half_open, times.opened_ms, limits.handshake_timeout), Overdue::Handshake),
            (after(has_begun, times.begun_ms, limits.frame_timeout), Overdue::Frame),
            (after(is_alive && !self.output.is_empty(), times.moved_ms, limits.stall_timeout), Overdue::Output),
            (pinged_ms.map(|since_ms| since_ms.saturating_add(ms(limits.keepalive_timeout))), Overdue::Answer),
            (after(is_probed && pinged_ms.is_none(), times.heard_ms, limits.keepalive_interval), Overdue::Silence),
            (noticed_ms.map(|since_ms| since_ms.saturating_add(ms(limits.drain_notice))), Overdue::Notice),
            (after(is_idle, times.busy_ms, limits.idle_timeout), Overdue::Idle),
            (resets_ms, Overdue::Resets),
        ]
    }

    /// Sees to the connection when it is next due.
    pub(crate) fn watch(&mut self, id: ConnectionId, is_kept_open: bool, shared: &mut Shared) {
        let due_ms = self.dues(&shared.limits, is_kept_open).iter().filter_map(|(due_ms, _)| *due_ms).min();
        match due_ms {
            Some(due_ms) => self.set_timer(id, due_ms, &mut shared.wheel),
            None => {
                shared.wheel.unset(&mut self.times.timer);
                self.times.timer_ms = u64::MAX;
            }
        }
    }

    /// The first of what is due.
    pub(crate) fn overdue(&self, is_kept_open: bool, limits: &Limits, now_ms: u64) -> Option<Overdue> {
        let dues = self.dues(limits, is_kept_open);
        dues.into_iter().find(|(due_ms, _)| due_ms.is_some_and(|due_ms| due_ms <= now_ms)).map(|(_, overdue)| overdue)
    }
}
