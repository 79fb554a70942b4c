//! Calls that are under way, as the worker sees them.

use std::time::Instant;

use super::Relay;
use crate::{connection::Connection, gate::Gate, keys::CallKey};

impl<G: Gate> Relay<G> {
    /// The answer that a call waits for has come. False: the call is gone, or waits for none.
    pub fn answer(&mut self, call: CallKey, answer: G::Answer, now: Instant) -> bool {
        self.wind(now);
        let found = self.calls.find(call.slot, call.generation).is_some_and(|call| self.take_answer(call, answer));
        self.settle();
        found
    }

    /// Running calls are to be asked about again, from the first on.
    pub const fn start_recheck(&mut self) {
        self.recheck_next = 0;
    }

    /// Asks [`Gate::recheck`] about the next `calls_max` calls. True: more are left.
    pub fn continue_recheck(&mut self, now: Instant, calls_max: usize) -> bool {
        self.wind(now);
        let mut asked = 0;
        while self.recheck_next < self.calls.slots() && asked < calls_max {
            let call = self.recheck_next;
            self.recheck_next += 1;
            asked += usize::from(self.recheck(call));
        }
        self.settle();
        self.recheck_next < self.calls.slots()
    }

    /// Every connection that came in, and every one to come, is told to go elsewhere, and ends when its calls are over. Until the
    /// peer knows, calls still come: it is the gate who refuses them.
    pub fn drain(&mut self, now: Instant) {
        self.wind(now);
        self.is_draining = true;
        for connection in 0..self.connections.slots() {
            if self.connections.get(connection).is_some_and(Connection::is_accepted) {
                self.notice(connection);
            }
        }
        self.settle();
    }

    /// Ends every call, by [`crate::Cause::Draining`].
    pub fn cut_all(&mut self, now: Instant) {
        self.wind(now);
        for call in 0..self.calls.slots() {
            self.cut_for_drain(call);
        }
        self.settle();
    }
}
