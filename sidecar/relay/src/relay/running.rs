//! Calls that are under way, as the worker sees them.

use super::{
    ready::settle,
    refusing::{Why, recheck, refuse},
    showing::take_answer,
};
use crate::{Relay, gate::Gate, keys::CallKey};

/// The calls of a relay at an instant.
pub struct CallsAt<'r, G: Gate> {
    relay: &'r mut Relay<G>,
}

impl<G: Gate> std::fmt::Debug for CallsAt<'_, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallsAt").field("calls", &self.relay.core.calls.len()).finish_non_exhaustive()
    }
}

impl<'r, G: Gate> CallsAt<'r, G> {
    pub(super) const fn new(relay: &'r mut Relay<G>) -> Self {
        Self { relay }
    }

    /// The answer that a call waits for has come. False: the call is gone, or waits for none.
    pub fn answer(&mut self, call: CallKey, answer: G::Answer) -> bool {
        let core = &mut self.relay.core;
        let found = core.calls.find(call).is_some_and(|call| take_answer(core, call, answer));
        settle(core);
        found
    }

    /// All are to be asked about again, from the first on.
    pub const fn start_recheck(&mut self) {
        self.relay.recheck_next = 0;
    }

    /// Asks [`Gate::recheck`] about the next `calls_max` of them. True: more are left.
    pub fn continue_recheck(&mut self, calls_max: usize) -> bool {
        let core = &mut self.relay.core;
        let mut left = core.calls.ids().skip(self.relay.recheck_next);
        let mut asked = 0;
        while asked < calls_max
            && let Some(call) = left.next()
        {
            self.relay.recheck_next += 1;
            asked += usize::from(recheck(core, call));
        }
        settle(core);
        left.next().is_some()
    }

    /// Ends all of them, by [`crate::Cause::Draining`].
    pub fn cut_all(&mut self) {
        let core = &mut self.relay.core;
        for call in core.calls.ids() {
            if core.calls.get(call).is_some() {
                refuse(core, call, Why::Draining);
            }
        }
        settle(core);
    }
}
