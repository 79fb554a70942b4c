//! What time does to connections: half-open, idle, silent, slow to write and slow to read.

use std::time::Duration;

use super::{CloseReason, Connection, Phase, Probe, Role, control::PROBE};
use crate::{
    Relay,
    counters::Breach,
    frame::{ErrorCode, put_ping},
    gate::Gate,
    timer::Owner,
};

const fn ms(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// What is overdue on a connection.
enum Overdue {
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
    fn dues(&self, limits: &crate::Limits, is_warm: bool) -> [(Option<u64>, Overdue); 9] {
        let times = &self.times;
        let after = |is: bool, since_ms: u64, time: Duration| is.then(|| since_ms.saturating_add(ms(time)));
        let closing_ms = if let Phase::Closing { since_ms, .. } = self.phase { Some(since_ms) } else { None };
        let lingers_ms = closing_ms.filter(|since_ms| *since_ms < u64::MAX);
        let noticed_ms = if let Phase::Noticed { since_ms } = self.phase { Some(since_ms) } else { None };
        let is_alive = closing_ms.is_none();
        let is_half_open = is_alive && !(self.settings_came && self.settings_acked);
        let has_begun = is_alive && (!self.partial.is_empty() || self.block.stream != 0);
        let is_probed = is_alive && self.probe == Probe::Ping;
        let pinged_ms = times.pinged_ms.filter(|_| is_probed);
        let is_idle = is_alive && self.streams.is_empty() && self.phase == Phase::Open && !is_warm;
        [
            (lingers_ms.map(|since_ms| since_ms.saturating_add(ms(limits.linger))), Overdue::Linger),
            (after(is_half_open, times.opened_ms, limits.handshake_timeout), Overdue::Handshake),
            (after(has_begun, times.begun_ms, limits.frame_timeout), Overdue::Frame),
            (after(is_alive && !self.output.is_empty(), times.moved_ms, limits.stall_timeout), Overdue::Output),
            (pinged_ms.map(|since_ms| since_ms.saturating_add(ms(limits.keepalive_timeout))), Overdue::Answer),
            (after(is_probed && pinged_ms.is_none(), times.heard_ms, limits.keepalive_interval), Overdue::Silence),
            (noticed_ms.map(|since_ms| since_ms.saturating_add(ms(limits.drain_notice))), Overdue::Notice),
            (after(is_idle, times.busy_ms, limits.idle_timeout), Overdue::Idle),
            (self.late_resets.front().filter(|_| is_alive).map(|late| late.due_ms), Overdue::Resets),
        ]
    }
}

impl<G: Gate> Relay<G> {
    /// Looks after the connection when it is next due.
    pub(crate) fn watch(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot) else { return };
        let is_warm = self.is_kept_open(connection);
        let due_ms = connection.dues(&self.limits, is_warm).iter().filter_map(|(due_ms, _)| *due_ms).min();
        let Some(connection) = self.connections.get_mut(slot) else { return };
        self.wheel.unset(&mut connection.times.timer);
        connection.times.timer_ms = u64::MAX;
        if let Some(due_ms) = due_ms {
            connection.times.timer = self.wheel.set(Owner::Connection(slot), due_ms);
            connection.times.timer_ms = due_ms;
        }
    }

    /// Looks after the connection not later than `due_ms`.
    pub(crate) fn wake_by(&mut self, slot: u32, due_ms: u64) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if due_ms < connection.times.timer_ms {
            self.wheel.unset(&mut connection.times.timer);
            connection.times.timer = self.wheel.set(Owner::Connection(slot), due_ms);
            connection.times.timer_ms = due_ms;
        }
    }

    /// A link of an endpoint that is kept open is not idle for having no call.
    fn is_kept_open(&self, connection: &Connection<G>) -> bool {
        match connection.role {
            Role::Link { endpoint, .. } => {
                self.endpoints.get(endpoint).is_some_and(|endpoint| endpoint.is_warm && endpoint.links.len() <= 1)
            }
            Role::Accepted(_) => false,
        }
    }

    /// A connection's timer went off.
    pub(crate) fn look_after(&mut self, slot: u32) {
        let now_ms = self.now_ms;
        let Some(connection) = self.connections.get_mut(slot) else { return };
        // The wheel has forgotten the timer.
        connection.times.timer = crate::timer::Timer::UNSET;
        connection.times.timer_ms = u64::MAX;
        if connection.output.is_empty() {
            self.outputs.give(connection.output.take_buffer());
        }
        let Some(connection) = self.connections.get(slot) else { return };
        let is_warm = self.is_kept_open(connection);
        let dues = connection.dues(&self.limits, is_warm);
        let overdue = dues.into_iter().find(|(due_ms, _)| due_ms.is_some_and(|due_ms| due_ms <= now_ms));
        if let Some((_, overdue)) = overdue {
            self.overdue(slot, &overdue);
        }
        self.watch(slot);
    }

    fn overdue(&mut self, slot: u32, overdue: &Overdue) {
        match overdue {
            Overdue::Linger => {
                self.drop_output(slot);
                let key = self.key_of(slot);
                if let Some(connection) = self.connections.get_mut(slot) {
                    // It is on its way out: nothing further is due, but whoever holds the socket must hear of it.
                    connection.phase = match connection.phase {
                        Phase::Closing { why, .. } => Phase::Closing { why, since_ms: u64::MAX },
                        other => other,
                    };
                    connection.is_dirty = true;
                    self.dirty.push_back(key);
                }
            }
            Overdue::Handshake => self.time_out(slot, Breach::HalfOpen, ErrorCode::SETTINGS_TIMEOUT),
            Overdue::Frame => self.time_out(slot, Breach::SlowWriter, ErrorCode::ENHANCE_YOUR_CALM),
            Overdue::Output => {
                self.time_out(slot, Breach::SlowReader, ErrorCode::ENHANCE_YOUR_CALM);
                self.drop_output(slot);
            }
            Overdue::Answer => {
                self.time_out(slot, Breach::Unanswered, ErrorCode::NO_ERROR);
                self.drop_output(slot);
            }
            Overdue::Silence => {
                let now_ms = self.now_ms;
                if let Some(connection) = self.writer(slot) {
                    put_ping(connection.output.buffer(), PROBE, false);
                    connection.times.pinged_ms = Some(now_ms);
                }
            }
            Overdue::Notice => self.retire_connection(slot, CloseReason::Drained),
            Overdue::Resets => self.put_due_resets(slot),
            Overdue::Idle => {
                self.counters.breach(Breach::Idle);
                self.retire_connection(slot, CloseReason::Idle);
            }
        }
    }

    fn time_out(&mut self, slot: u32, breach: Breach, code: ErrorCode) {
        self.counters.breach(breach);
        self.shut(slot, CloseReason::Breach(breach), code, breach.as_str());
    }

    /// Does what is due.
    pub(crate) fn expire(&mut self) {
        while let Some(owner) = self.wheel.expire(self.now_ms) {
            match owner {
                Owner::Connection(slot) => self.look_after(slot),
                Owner::Call(slot) => self.call_due(slot),
                Owner::Endpoint(slot) => self.endpoint_due(slot),
            }
        }
    }
}
