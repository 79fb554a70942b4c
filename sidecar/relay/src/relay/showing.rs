//! Showing the gate the first message of a request, before or while it goes on, and calls that wait for an answer.

use super::{assigning::go_on, core::Core, flow::send, refusing::tell};
use crate::{
    belief::sure,
    call::PREFIX_BYTES,
    counters::Breach,
    gate::{FirstMessage, Gate, RequestHook, Verdict},
    keys::{CallId, Direction},
};

/// A message at the beginning of `bytes`: whether it is compressed, and how long it is without its prefix.
#[inline]
pub(super) fn prefix(bytes: &[u8]) -> Option<(bool, usize)> {
    let &[flag, a, b, c, d] = bytes.first_chunk::<PREFIX_BYTES>()?;
    Some((flag != 0, u32::from_be_bytes([a, b, c, d]) as usize))
}

/// The message at the beginning of `bytes`, if all of it is there.
#[inline]
pub(super) fn whole(bytes: &[u8]) -> Option<(bool, &[u8])> {
    let (compressed, length) = prefix(bytes)?;
    Some((compressed, bytes.get(PREFIX_BYTES..PREFIX_BYTES.checked_add(length)?)?))
}

/// Data of a request whose first message the gate wants to see.
pub(super) fn deliver_shown<G: Gate>(core: &mut Core<G>, id: CallId, bytes: &[u8], end: bool) {
    let call = sure!(core.calls.get(id));
    let (is_held, near) = (call.request_hook == RequestHook::Hold, sure!(call.near.at));
    let key = core.calls.key_of(id);
    if is_held {
        // At no endpoint yet, so that the data wait.
        send(core, id, Direction::Request, bytes);
    }
    show_data(core, id, bytes, end);
    match core.calls.find(key) {
        Some(id) if is_held => go_on(core, id),
        Some(id) => send(core, id, Direction::Request, bytes),
        // The gate cut it. What was queued by then was given back with the call.
        None if is_held => {}
        None => core.connections.give_back(near.connection, bytes.len(), &mut core.shared),
    }
}

/// Shows the gate the first message, once it is whole or cannot become so. The call may have ended afterwards.
pub(super) fn show_data<G: Gate>(core: &mut Core<G>, id: CallId, bytes: &[u8], end: bool) {
    let length_max = core.shared.limits.first_message_bytes_max as usize;
    let call = sure!(core.calls.get_mut(id));
    if call.request_hook == RequestHook::Pass {
        return;
    }
    if call.gathered.is_empty()
        && let Some((compressed, message)) = whole(bytes).filter(|(_, message)| message.len() <= length_max)
    {
        return show(core, id, &FirstMessage::Whole { compressed, message });
    }
    if call.gathered.capacity() == 0 {
        call.gathered = core.shared.large.take();
    }
    let room = (PREFIX_BYTES + length_max).saturating_sub(call.gathered.len());
    call.gathered.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    let is_too_long = prefix(&call.gathered).is_some_and(|(_, length)| length > length_max);
    if !is_too_long && whole(&call.gathered).is_none() && !end {
        return;
    }
    let gathered = std::mem::take(&mut call.gathered);
    match whole(&gathered) {
        _ if is_too_long => {
            core.shared.counters.breach(Breach::FirstMessage);
            show(core, id, &FirstMessage::TooLong { bytes_max: length_max as u32 });
        }
        Some((compressed, message)) => show(core, id, &FirstMessage::Whole { compressed, message }),
        None if gathered.is_empty() => show(core, id, &FirstMessage::Missing),
        None => show(core, id, &FirstMessage::Torn),
    }
    core.shared.large.give(gathered);
}

fn show<G: Gate>(core: &mut Core<G>, id: CallId, message: &FirstMessage<'_>) {
    let call = sure!(core.calls.get_mut(id));
    core.reply.clear();
    let verdict = core.gate.first_message(&mut call.own, *message, &mut core.reply);
    let was_held = std::mem::replace(&mut call.request_hook, RequestHook::Pass) == RequestHook::Hold;
    match verdict {
        Verdict::Go => {}
        Verdict::Await => call.awaits_answer |= was_held,
        Verdict::Cut => tell(core, id),
    }
}

/// The answer that a call waits for has come. False: it waits for none.
pub(super) fn take_answer<G: Gate>(core: &mut Core<G>, id: CallId, answer: G::Answer) -> bool {
    let call = sure!(core.calls.get_mut(id), false);
    if !call.awaits_answer {
        return false;
    }
    core.reply.clear();
    match core.gate.answered(&mut call.own, answer, &mut core.reply) {
        Verdict::Go => {
            call.awaits_answer = false;
            go_on(core, id);
        }
        Verdict::Await => {}
        Verdict::Cut => tell(core, id),
    }
    true
}
