//! Attempts: choosing a place, taking a seat there, sending the head.

use super::{Problem, Stage, Stream, Way};
use crate::{
    Relay,
    connection::{CloseWhy, Role},
    counters::Breach,
    frame::{BlockWriter, STREAM_ID_MAX},
    gate::{Gate, Seating},
    head::HeadWriter,
    hpack::put_table_size_zero,
    keys::PlaceKey,
    place::Name,
};

use super::refuse::Why;

/// Links with a void peer that a call meets before it ends.
const VOID_PEERS_MAX: u8 = 2;

impl<G: Gate> Relay<G> {
    /// Seeks a seat for a call, at one place after the other.
    pub(crate) fn seat(&mut self, call: u32) {
        loop {
            let Some(held) = self.calls.get_mut(call) else { return };
            held.stage = Stage::Held;
            let made = held.attempts.made;
            let chosen = if made < self.limits.attempts_max { self.choose(call) } else { None };
            // The first attempt is free; every other one must have been earned.
            let place = chosen.filter(|_| made == 0 || self.retries.spend());
            let Some(place) = place else { return self.give_up(call) };
            self.counters.retries += u64::from(made > 0);
            if let Some(held) = self.calls.get_mut(call) {
                held.attempts.made += 1;
            }
            if self.attempt_at(call, place) {
                return;
            }
        }
    }

    /// Ends a call that found no place, by what its last attempt came to.
    pub(crate) fn give_up(&mut self, call: u32) {
        let Some(held) = self.calls.get(call) else { return };
        let why = match held.attempts.last {
            Some((place, Problem::Unreachable)) => Why::Unreachable(place),
            Some((place, Problem::Full)) => Why::Full(place),
            Some((place, Problem::NotTaken)) => Why::NotTaken(place),
            None => Why::NoPlace,
        };
        self.refuse(call, why);
    }

    /// The less busy of two places at random ("power of two choices"), of those that do well. Places that are left out are tried only
    /// when there is no other: better a try than a certain failure.
    fn choose(&mut self, call: u32) -> Option<u32> {
        let mut places = std::mem::take(&mut self.scratch.places);
        places.clear();
        let held = self.calls.get_mut(call)?;
        self.gate.candidates(&mut held.own, &mut places);
        let chosen = self.choose_of(call, &mut places);
        self.scratch.places = places;
        chosen
    }

    fn choose_of(&mut self, call: u32, places: &mut Vec<PlaceKey>) -> Option<u32> {
        if let ([only], Some(held)) = (&**places, self.calls.get(call)) {
            return self.find_place(*only).filter(|place| !held.attempts.is_left_out(*place));
        }
        let held = self.calls.get(call)?;
        places.retain(|place| self.find_place(*place).is_some_and(|place| !held.attempts.is_left_out(place)));
        let now_ms = self.now_ms;
        let is_available = |key: &PlaceKey| self.places.get(key.slot).is_some_and(|place| place.is_available(now_ms));
        if places.iter().any(is_available) {
            places.retain(is_available);
        }
        let count = places.len() as u64;
        if count < 2 {
            return places.first().map(|key| key.slot);
        }
        let random = self.random();
        let one = (random >> 32) % count;
        let other = (one + 1 + (random & 0xffff_ffff) % (count - 1)) % count;
        let at = |number: u64| places.get(number as usize).map(|key| key.slot);
        let (one, other) = (at(one)?, at(other)?);
        let load = |place: u32| self.places.get(place).map_or(usize::MAX, super::super::place::Place::load);
        Some(if load(other) < load(one) { other } else { one })
    }

    /// Tries one place. False: it has no room, not even for someone who waits.
    pub(crate) fn attempt_at(&mut self, call: u32, place: u32) -> bool {
        loop {
            let name = self.name_of_caller(call);
            let Some(link) = self.free_link(place, name) else { return self.park(call, place, name) };
            let (Some(held), Some(at), Some(connection)) =
                (self.calls.get_mut(call), self.places.get(place), self.connections.get(link))
            else {
                return true;
            };
            let Role::Link { peer, .. } = &connection.role else { return true };
            match self.gate.seated(&mut held.own, &at.own, peer, self.now) {
                Seating::Go => {
                    self.start(call, place, link);
                    return true;
                }
                Seating::Void => {
                    held.attempts.void_peers += 1;
                    let is_over = held.attempts.void_peers >= VOID_PEERS_MAX;
                    self.retire_connection(link, CloseWhy::Retired);
                    if is_over {
                        self.refuse(call, Why::PeerVoid(place));
                        return true;
                    }
                }
            }
        }
    }

    fn name_of_caller(&self, call: u32) -> Name {
        let near = self.calls.get(call).and_then(|held| self.connections.get(held.near.connection));
        near.map_or(Name::None, |near| near.guard.name())
    }

    /// Sends the head of a call over a link that has room, and what waits of its body.
    fn start(&mut self, call: u32, place: u32, link: u32) {
        if self.writer(link).is_none() {
            return;
        }
        let (Some(held), Some(at), Some(connection)) =
            (self.calls.get_mut(call), self.places.get_mut(place), self.connections.get_mut(link))
        else {
            return;
        };
        let Role::Link { peer, .. } = &connection.role else { return };
        let stream = match connection.recent.last() {
            0 => 1,
            last => last + 2,
        };
        connection.recent.open(stream);
        connection.streams.insert(stream, call);
        connection.guard.stream_opened(&self.limits);
        let left = held.deadline.map(|deadline| deadline.saturating_duration_since(self.now));
        let out = connection.output.buffer();
        let block = BlockWriter::begin(out, stream);
        if std::mem::take(&mut connection.table_size_due) {
            put_table_size_zero(out);
        }
        out.extend_from_slice(&at.origin);
        out.extend_from_slice(&held.head);
        self.gate.write_onward(&held.own, &at.own, peer, left, &mut HeadWriter::new(out));
        let request = &mut held.request;
        let end_stream = request.source_ended && request.queue.is_empty() && request.trailers.is_empty();
        block.end(out, end_stream, connection.peer.frame_bytes_max);
        request.sink_ended = end_stream;
        request.send_window = connection.peer.window_bytes;
        request.moved_ms = self.now_ms;
        held.far = Stream { connection: link, stream };
        held.response.receive_window = i64::from(self.limits.call_window_bytes);
        (held.stage, held.place, held.seat_until_ms) = (Stage::Flying, place, u64::MAX);
        at.calls += 1;
        if stream + 2 > STREAM_ID_MAX {
            self.retire_connection(link, CloseWhy::Retired);
        }
        if !end_stream {
            self.pump(call, Way::Request);
        }
    }

    /// Takes a call off its link, so that it can be sent again.
    pub(crate) fn detach(&mut self, call: u32) {
        self.wait_no_more(call, Way::Request);
        let Some(held) = self.calls.get_mut(call) else { return };
        let far = std::mem::replace(&mut held.far, Stream::NOWHERE);
        let place = held.place;
        held.stage = Stage::Held;
        if !far.is_somewhere() {
            return;
        }
        if let Some(connection) = self.connections.get_mut(far.connection) {
            connection.streams.remove(far.stream);
            connection.recent.reset(far.stream);
            connection.times.busy_ms = self.now_ms;
        }
        if let Some(place) = self.places.get_mut(place) {
            place.calls -= 1;
        }
        self.hungry.push(place);
        self.end_if_empty(far.connection);
    }

    /// The other side provably did not take the call on (RFC 9113, section 8.7).
    pub(crate) fn not_taken(&mut self, call: u32, may_be_same_place: bool) {
        let Some(held) = self.calls.get_mut(call) else { return };
        if held.http_status != 0 {
            return self.link_lost(call);
        }
        let place = held.place;
        held.attempts.last = Some((place, Problem::NotTaken));
        if !may_be_same_place {
            held.attempts.leave_out(place);
        }
        self.detach(call);
        if self.rewind(call) { self.seat(call) } else { self.give_up(call) }
    }

    /// Goes back to the beginning of the request, if all that has come of it can be sent again.
    fn rewind(&mut self, call: u32) -> bool {
        let Some(held) = self.calls.get_mut(call) else { return false };
        if !held.replay.is_whole {
            return false;
        }
        let request = &mut held.request;
        // What waits is among what was kept; the caller's window is opened for it all the same.
        let waiting = request.queue.len() - request.prepaid_bytes.min(request.queue.len());
        request.queue.advance(request.queue.len());
        if !held.replay.bytes.is_empty() {
            let large = &mut self.large;
            request.queue.furnish(|| large.take());
            request.queue.buffer().extend_from_slice(&held.replay.bytes);
        }
        request.prepaid_bytes = request.queue.len();
        request.sink_ended = false;
        if waiting > 0 {
            self.release(call, Way::Request, waiting);
        }
        true
    }

    /// Lets a call wait for room at a place. False: too many wait there.
    fn park(&mut self, call: u32, place: u32, name: Name) -> bool {
        let seat_until_ms = self.ms_after(self.limits.seat_wait);
        let (Some(held), Some(at)) = (self.calls.get_mut(call), self.places.get_mut(place)) else { return true };
        if at.parked >= self.limits.parked_per_place_max {
            self.counters.breach(Breach::Parked);
            held.attempts.last = Some((place, Problem::Full));
            held.attempts.leave_out(place);
            return false;
        }
        held.stage = Stage::Parked { place, name };
        held.seat_until_ms = seat_until_ms;
        self.park_last(call, place, name);
        self.wake_call_by(call, seat_until_ms);
        self.want_dial(place);
        true
    }

    /// Sends a call that waits at `place` elsewhere. No problem: the place is no more, and what is wrong there tells nobody anything.
    pub(crate) fn go_elsewhere(&mut self, call: u32, place: u32, problem: Option<Problem>) {
        self.leave_parked(call);
        if let Some(held) = self.calls.get_mut(call) {
            if let Some(problem) = problem {
                held.attempts.last = Some((place, problem));
            }
            held.attempts.leave_out(place);
            held.seat_until_ms = u64::MAX;
        }
        self.seat(call);
    }
}
