//! Having the gate transform each message of a response.

use super::{
    core::Core,
    flow::{release_owed, send},
    refusing::{Why, malformed_response, refuse, tell},
    showing::{prefix, whole},
};
use crate::{
    belief::sure,
    call::PREFIX_BYTES,
    counters::Breach,
    frame::ErrorCode,
    gate::{Gate, Transformed},
    keys::{CallId, Direction},
};

/// Data of a response that is transformed message by message.
pub(super) fn transform<G: Gate>(core: &mut Core<G>, id: CallId, bytes: &[u8], end: bool) {
    let key = core.calls.key_of(id);
    sure!(core.calls.get_mut(id)).response.owed_bytes += bytes.len();
    let mut rest = bytes;
    while !rest.is_empty() {
        // The gate cut the call, or the message is too long.
        let Some(used) = transform_first(core, id, rest) else { return };
        // Sending the message may have ended the call.
        if core.calls.find(key).is_none() {
            return;
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    release_owed(core, id);
    if !end {
        return;
    }
    let call = sure!(core.calls.get_mut(id));
    if !call.gathered_back.is_empty() {
        return malformed_response(core, id, ErrorCode::PROTOCOL_ERROR);
    }
    call.source_ends(Direction::Response);
    if call.response.queue.is_empty() {
        send(core, id, Direction::Response, &[]);
    }
}

/// Transforms the first message of `bytes`, or gathers them; so many were used. None: the call is over.
fn transform_first<G: Gate>(core: &mut Core<G>, id: CallId, bytes: &[u8]) -> Option<usize> {
    let length_max = core.shared.limits.transformed_message_bytes_max as usize;
    let call = sure!(core.calls.get_mut(id), None);
    let gathered = &mut call.gathered_back;
    if gathered.is_empty()
        && let Some((compressed, message)) = whole(bytes).filter(|(_, message)| message.len() <= length_max)
    {
        let used = PREFIX_BYTES + message.len();
        return transform_one(core, id, compressed, message).then_some(used);
    }
    if gathered.capacity() == 0 {
        *gathered = core.shared.large.take();
    }
    // The prefix first: it tells how much belongs to the message.
    let needed = prefix(gathered).map_or(PREFIX_BYTES, |(_, length)| PREFIX_BYTES + length);
    let used = needed.saturating_sub(gathered.len()).min(bytes.len());
    gathered.extend_from_slice(bytes.get(..used).unwrap_or_default());
    if prefix(gathered).is_some_and(|(_, length)| length > length_max) {
        core.shared.counters.breach(Breach::TransformedMessage);
        refuse(core, id, Why::MessageTooLong);
        return None;
    }
    if whole(gathered).is_none() {
        return Some(used);
    }
    let gathered = std::mem::take(gathered);
    let goes_on = match whole(&gathered) {
        Some((compressed, message)) => transform_one(core, id, compressed, message),
        None => true,
    };
    core.shared.large.give(gathered);
    goes_on.then_some(used)
}

fn transform_one<G: Gate>(core: &mut Core<G>, id: CallId, compressed: bool, message: &[u8]) -> bool {
    let mut out = std::mem::take(&mut core.shared.scratch.message);
    out.clear();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    core.reply.clear();
    let call = sure!(core.calls.get_mut(id), false);
    let goes_on = match core.gate.transform(&mut call.own, compressed, message, &mut out, &mut core.reply) {
        Transformed::Cut => {
            tell(core, id);
            false
        }
        Transformed::Send { compressed } => {
            let length = (out.len() - PREFIX_BYTES.min(out.len())) as u32;
            if let Some(prefix) = out.first_chunk_mut::<PREFIX_BYTES>() {
                let [a, b, c, d] = length.to_be_bytes();
                *prefix = [u8::from(compressed), a, b, c, d];
            }
            call.response.meter.count(&out);
            send(core, id, Direction::Response, &out);
            true
        }
    };
    core.shared.scratch.message = out;
    goes_on
}
