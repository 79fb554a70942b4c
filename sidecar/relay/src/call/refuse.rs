//! Ending a call for a reason of ours: the gate says what the caller is told.

use crate::{
    Relay,
    frame::ErrorCode,
    gate::{Cause, Gate},
};

use super::finish::End;

/// As [`Cause`], but with places by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    DeadlineExceeded,
    NoPlace,
    Unreachable(u32),
    Full(u32),
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
        let at = |place: u32| self.places.get(place);
        // A place that was removed meanwhile is none.
        let cause = match why {
            Why::DeadlineExceeded => Some(Cause::DeadlineExceeded),
            Why::NoPlace => Some(Cause::NoPlace),
            Why::Unreachable(place) => at(place).and_then(|place| {
                let error = place.problem.as_ref()?;
                Some(Cause::Unreachable { place: &place.own, error })
            }),
            Why::Full(place) => at(place).map(|place| Cause::Full { place: &place.own }),
            Why::PeerVoid(place) => at(place).map(|place| Cause::PeerVoid { place: &place.own }),
            Why::NotTaken(place) => at(place).map(|place| Cause::NotTaken { place: &place.own }),
            Why::Lost(place) => at(place).map(|place| Cause::Lost { place: &place.own }),
            Why::MalformedResponse(place) => at(place).map(|place| Cause::MalformedResponse { place: &place.own }),
            Why::MessageTooLong => Some(Cause::MessageTooLong),
            Why::Stalled => Some(Cause::Stalled),
            Why::Draining => Some(Cause::Draining),
        };
        self.reply.clear();
        self.gate.refusal(&mut held.own, &cause.unwrap_or(Cause::NoPlace), &mut self.reply);
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
