//! Ending a call for a reason of ours: the gate says what the caller is told.

use crate::{
    Relay,
    frame::ErrorCode,
    gate::{Cause, Gate},
};

use super::finish::End;

/// As [`Cause`], but with endpoints by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    DeadlineExceeded,
    NoEndpoint,
    Unreachable(u32),
    Full(u32),
    TimedOut(u32),
    PeerVoid(u32),
    NotTaken(u32),
    Lost(u32),
    MalformedResponse(u32),
    MessageTooLong,
    Stalled,
    Draining,
}

impl<G: Gate> Relay<G> {
    /// Ends a call for `why`.
    pub(crate) fn refuse(&mut self, call: u32, why: Why) {
        let Some(held) = self.calls.get_mut(call) else { return };
        let at = |endpoint: u32| self.endpoints.get(endpoint);
        // An endpoint that was removed meanwhile is none.
        let cause = match why {
            Why::DeadlineExceeded => Some(Cause::DeadlineExceeded),
            Why::NoEndpoint => Some(Cause::NoEndpoint),
            Why::Unreachable(endpoint) => at(endpoint).and_then(|endpoint| {
                let error = endpoint.problem.as_ref()?;
                Some(Cause::Unreachable { endpoint: &endpoint.own, error })
            }),
            Why::Full(endpoint) => at(endpoint).map(|endpoint| Cause::Full { endpoint: &endpoint.own }),
            Why::TimedOut(endpoint) => at(endpoint).map(|endpoint| Cause::TimedOut { endpoint: &endpoint.own }),
            Why::PeerVoid(endpoint) => at(endpoint).map(|endpoint| Cause::PeerVoid { endpoint: &endpoint.own }),
            Why::NotTaken(endpoint) => at(endpoint).map(|endpoint| Cause::NotTaken { endpoint: &endpoint.own }),
            Why::Lost(endpoint) => at(endpoint).map(|endpoint| Cause::Lost { endpoint: &endpoint.own }),
            Why::MalformedResponse(endpoint) => at(endpoint).map(|endpoint| Cause::MalformedResponse { endpoint: &endpoint.own }),
            Why::MessageTooLong => Some(Cause::MessageTooLong),
            Why::Stalled => Some(Cause::Stalled),
            Why::Draining => Some(Cause::Draining),
        };
        self.reply.clear();
        self.gate.refusal(&mut held.own, &cause.unwrap_or(Cause::NoEndpoint), &mut self.reply);
        self.tell(call);
    }

    /// Ends a call by what the gate wrote in the reply.
    pub(crate) fn tell(&mut self, call: u32) {
        self.tell_and_reset(call, ErrorCode::CANCEL);
    }

    /// As [`Relay::tell`], with a code of its own for the server.
    pub(crate) fn tell_and_reset(&mut self, call: u32, far_code: ErrorCode) {
        let Some(held) = self.calls.get(call) else { return };
        let (near, head_sent) = (held.near, held.head_sent);
        let near_code = (!held.request.source_ended).then_some(ErrorCode::NO_ERROR);
        self.put_reply(near, head_sent);
        self.end_call(call, End::Told, near_code, Some(far_code));
    }

    /// Whether the call exists; asks the gate whether it may go on, and ends it if not.
    pub(crate) fn recheck(&mut self, call: u32) -> bool {
        let Some(held) = self.calls.get_mut(call) else { return false };
        self.reply.clear();
        if !self.gate.recheck(&mut held.own, self.now, &mut self.reply) {
            self.tell(call);
        }
        true
    }

    /// Ends a call since the sidecar goes down.
    pub(crate) fn cut_for_drain(&mut self, call: u32) {
        self.refuse(call, Why::Draining);
    }
}
