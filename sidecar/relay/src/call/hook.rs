//! Showing messages to the gate: a request's first, before or while it goes on; each of a response, to be transformed.

use super::{PREFIX_BYTES, Stream, Way};
use crate::{
    Relay,
    counters::Breach,
    frame::ErrorCode,
    gate::{FirstMessage, Gate, RequestHook, Transformed, Verdict},
};

use super::refuse::Why;

/// A message at the beginning of `bytes`: whether it is compressed, and how long it is without its prefix.
#[inline]
fn prefix(bytes: &[u8]) -> Option<(bool, usize)> {
    let &[flag, a, b, c, d] = bytes.first_chunk::<PREFIX_BYTES>()?;
    Some((flag != 0, u32::from_be_bytes([a, b, c, d]) as usize))
}

/// The message at the beginning of `bytes`, if all of it is there.
#[inline]
fn whole(bytes: &[u8]) -> Option<(bool, &[u8])> {
    let (compressed, length) = prefix(bytes)?;
    Some((compressed, bytes.get(PREFIX_BYTES..PREFIX_BYTES.checked_add(length)?)?))
}

impl<G: Gate> Relay<G> {
    /// Data of a request whose first message the gate wants to see.
    pub(crate) fn deliver_hooked(&mut self, call: u32, bytes: &[u8], end: bool) {
        let Some(held) = self.calls.get(call) else { return };
        let (is_held, near) = (held.request_hook == RequestHook::Hold, held.near);
        let key = self.key_of_call(call);
        if is_held {
            // Not sent on yet, so that the data wait.
            self.send(call, Way::Request, bytes);
        }
        self.look_into(call, bytes, end);
        let Some(call) = self.calls.find(key.slot, key.generation) else {
            if !is_held {
                self.release_connection(near.connection, bytes.len());
            }
            return;
        };
        if is_held { self.go_on(call) } else { self.send(call, Way::Request, bytes) }
    }

    /// Shows the gate the first message, once it is whole or cannot become so.
    pub(crate) fn look_into(&mut self, call: u32, bytes: &[u8], end: bool) {
        let length_max = self.limits.first_message_bytes_max as usize;
        let Some(held) = self.calls.get_mut(call) else { return };
        if held.request_hook == RequestHook::Pass {
            return;
        }
        if held.gathered.is_empty()
            && let Some((compressed, message)) = whole(bytes).filter(|(_, message)| message.len() <= length_max)
        {
            return self.show(call, &FirstMessage::Whole { compressed, message });
        }
        if held.gathered.capacity() == 0 {
            held.gathered = self.large.take();
        }
        let room = (PREFIX_BYTES + length_max).saturating_sub(held.gathered.len());
        held.gathered.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        let is_too_long = prefix(&held.gathered).is_some_and(|(_, length)| length > length_max);
        let is_whole = whole(&held.gathered).is_some();
        if !is_too_long && !is_whole && !end {
            return;
        }
        let gathered = std::mem::take(&mut held.gathered);
        match whole(&gathered) {
            _ if is_too_long => {
                self.counters.breach(Breach::FirstMessage);
                self.show(call, &FirstMessage::TooLong { bytes_max: length_max as u32 });
            }
            Some((compressed, message)) => self.show(call, &FirstMessage::Whole { compressed, message }),
            None if gathered.is_empty() => self.show(call, &FirstMessage::Missing),
            None => self.show(call, &FirstMessage::Torn),
        }
        self.large.give(gathered);
    }

    fn show(&mut self, call: u32, message: &FirstMessage<'_>) {
        let Some(held) = self.calls.get_mut(call) else { return };
        self.reply.clear();
        let verdict = self.gate.first_message(&mut held.own, *message, &mut self.reply);
        let was_held = std::mem::replace(&mut held.request_hook, RequestHook::Pass) == RequestHook::Hold;
        match verdict {
            Verdict::Go => {}
            Verdict::Await => held.awaits_answer |= was_held,
            Verdict::Cut => self.tell(call),
        }
    }

    /// The answer that a call waits for has come. False: it waits for none.
    pub(crate) fn take_answer(&mut self, call: u32, answer: G::Answer) -> bool {
        let Some(held) = self.calls.get_mut(call) else { return false };
        if !held.awaits_answer {
            return false;
        }
        self.reply.clear();
        match self.gate.answered(&mut held.own, answer, &mut self.reply) {
            Verdict::Go => {
                held.awaits_answer = false;
                self.go_on(call);
            }
            Verdict::Await => {}
            Verdict::Cut => self.tell(call),
        }
        true
    }

    /// Data of a response that is transformed message by message.
    pub(crate) fn transform(&mut self, call: u32, bytes: &[u8], end: bool) {
        let key = self.key_of_call(call);
        let Some(held) = self.calls.get_mut(call) else { return };
        held.response.owed_bytes += bytes.len();
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(used) = self.transform_first(call, rest) else { return };
            if self.calls.find(key.slot, key.generation).is_none() {
                return;
            }
            rest = rest.get(used..).unwrap_or_default();
        }
        self.release_owed(call);
        let Some(held) = self.calls.get_mut(call) else { return };
        if !end {
            return;
        }
        if !held.gathered_back.is_empty() {
            return self.malformed_response(call, ErrorCode::PROTOCOL_ERROR);
        }
        held.response.source_ended = true;
        if held.response.queue.is_empty() {
            self.send(call, Way::Response, &[]);
        }
    }

    /// Transforms the first message of `bytes`, or gathers them; so many were used. None: the call is over.
    fn transform_first(&mut self, call: u32, bytes: &[u8]) -> Option<usize> {
        let length_max = self.limits.transformed_message_bytes_max as usize;
        let held = self.calls.get_mut(call)?;
        if held.gathered_back.is_empty()
            && let Some((compressed, message)) = whole(bytes).filter(|(_, message)| message.len() <= length_max)
        {
            let used = PREFIX_BYTES + message.len();
            return self.transform_one(call, compressed, message).then_some(used);
        }
        if held.gathered_back.capacity() == 0 {
            held.gathered_back = self.large.take();
        }
        // The prefix first: it tells how much belongs to the message.
        let needed = prefix(&held.gathered_back).map_or(PREFIX_BYTES, |(_, length)| PREFIX_BYTES + length);
        if needed > PREFIX_BYTES + length_max {
            self.counters.breach(Breach::TransformedMessage);
            self.refuse(call, Why::MessageTooLong);
            return None;
        }
        let used = needed.saturating_sub(held.gathered_back.len()).min(bytes.len());
        held.gathered_back.extend_from_slice(bytes.get(..used).unwrap_or_default());
        if whole(&held.gathered_back).is_none() {
            // The prefix may have become whole just now, and tell of a message that is too long.
            let is_too_long = prefix(&held.gathered_back).is_some_and(|(_, length)| length > length_max);
            if is_too_long {
                self.counters.breach(Breach::TransformedMessage);
                self.refuse(call, Why::MessageTooLong);
                return None;
            }
            return Some(used);
        }
        let mut gathered = std::mem::take(&mut held.gathered_back);
        let goes_on = match whole(&gathered) {
            Some((compressed, message)) => self.transform_one(call, compressed, message),
            None => true,
        };
        gathered.clear();
        self.large.give(gathered);
        goes_on.then_some(used)
    }

    fn transform_one(&mut self, call: u32, compressed: bool, message: &[u8]) -> bool {
        let mut out = std::mem::take(&mut self.scratch.message);
        out.clear();
        out.extend_from_slice(&[0; PREFIX_BYTES]);
        self.reply.clear();
        let Some(held) = self.calls.get_mut(call) else { return false };
        let transformed = self.gate.transform(&mut held.own, compressed, message, &mut out, &mut self.reply);
        let goes_on = match transformed {
            Transformed::Cut => {
                self.tell(call);
                false
            }
            Transformed::Send { compressed } => {
                let length = (out.len() - PREFIX_BYTES.min(out.len())) as u32;
                if let Some(prefix) = out.first_chunk_mut::<PREFIX_BYTES>() {
                    let [a, b, c, d] = length.to_be_bytes();
                    *prefix = [u8::from(compressed), a, b, c, d];
                }
                held.response.meter.count(&out);
                self.send(call, Way::Response, &out);
                true
            }
        };
        self.scratch.message = out;
        goes_on
    }

    /// Where the relay writes a stream's end without a call: a reply in place of an answer.
    pub(crate) fn put_reply(&mut self, near: Stream, as_trailers: bool) {
        let mut block = std::mem::take(&mut self.scratch.written);
        block.clear();
        self.reply.put(&mut block, as_trailers);
        self.put_block(near, &block, true);
        self.scratch.written = block;
    }
}
