//! Attempts: choosing an endpoint, taking room there, sending the head.

use super::{Problem, Stage, Stream, Way};
use crate::{
    Relay,
    connection::{CloseReason, Role},
    counters::Breach,
    endpoint::Reputation,
    frame::{BlockWriter, STREAM_ID_MAX},
    gate::{Assignment, Gate},
    head::HeadWriter,
    hpack::put_table_size_zero,
    keys::EndpointKey,
};

use super::refuse::Why;

/// Links with a void peer that a call meets before it ends.
const VOID_PEERS_MAX: u8 = 2;

impl<G: Gate> Relay<G> {
    /// Seeks room for a call, at one endpoint after the other.
    pub(crate) fn assign(&mut self, call: u32) {
        loop {
            let Some(held) = self.calls.get_mut(call) else { return };
            held.stage = Stage::Held;
            let made = held.attempts.made;
            let chosen = if made < self.limits.attempts_max { self.choose(call) } else { None };
            // The first attempt is free; every other one must have been earned.
            let endpoint = chosen.filter(|_| made == 0 || self.retries.spend());
            let Some(endpoint) = endpoint else { return self.give_up(call) };
            self.counters.retries += u64::from(made > 0);
            if let Some(held) = self.calls.get_mut(call) {
                held.attempts.made += 1;
            }
            if self.attempt_at(call, endpoint) {
                return;
            }
        }
    }

    /// Ends a call that found no endpoint, by what its last attempt came to.
    pub(crate) fn give_up(&mut self, call: u32) {
        let Some(held) = self.calls.get(call) else { return };
        let why = match held.attempts.last {
            Some((endpoint, Problem::Unreachable)) => Why::Unreachable(endpoint),
            Some((endpoint, Problem::Full)) => Why::Full(endpoint),
            Some((endpoint, Problem::TimedOut)) => Why::TimedOut(endpoint),
            Some((endpoint, Problem::NotTaken)) => Why::NotTaken(endpoint),
            None => Why::NoEndpoint,
        };
        self.refuse(call, why);
    }

    /// The less busy of two endpoints at random ("power of two choices"), of those that do well. Endpoints that are left out are tried only
    /// when there is no other: better a try than a certain failure.
    fn choose(&mut self, call: u32) -> Option<u32> {
        let mut endpoints = std::mem::take(&mut self.scratch.endpoints);
        endpoints.clear();
        let held = self.calls.get_mut(call)?;
        self.gate.candidates(&mut held.own, &mut endpoints);
        let chosen = self.choose_of(call, &mut endpoints);
        self.scratch.endpoints = endpoints;
        chosen
    }

    fn choose_of(&mut self, call: u32, endpoints: &mut Vec<EndpointKey>) -> Option<u32> {
        if let ([only], Some(held)) = (&**endpoints, self.calls.get(call)) {
            return self.find_endpoint(*only).filter(|endpoint| !held.attempts.is_left_out(*endpoint));
        }
        let held = self.calls.get(call)?;
        endpoints.retain(|endpoint| self.find_endpoint(*endpoint).is_some_and(|endpoint| !held.attempts.is_left_out(endpoint)));
        let now_ms = self.now_ms;
        let is_available = |key: &EndpointKey| self.endpoints.get(key.slot).is_some_and(|endpoint| endpoint.is_available(now_ms));
        if endpoints.iter().any(is_available) {
            endpoints.retain(is_available);
        }
        let count = endpoints.len() as u64;
        if count < 2 {
            return endpoints.first().map(|key| key.slot);
        }
        let random = self.random();
        let one = (random >> 32) % count;
        let other = (one + 1 + (random & 0xffff_ffff) % (count - 1)) % count;
        let at = |number: u64| endpoints.get(number as usize).map(|key| key.slot);
        let (one, other) = (at(one)?, at(other)?);
        let load = |endpoint: u32| self.endpoints.get(endpoint).map_or(usize::MAX, super::super::endpoint::Endpoint::load);
        Some(if load(other) < load(one) { other } else { one })
    }

    /// Tries one endpoint. False: it has no room, not even for someone who waits.
    pub(crate) fn attempt_at(&mut self, call: u32, endpoint: u32) -> bool {
        loop {
            let reputation = self.reputation_of_caller(call);
            let Some(link) = self.free_link(endpoint, reputation) else { return self.wait_at(call, endpoint, reputation) };
            let (Some(held), Some(at), Some(connection)) =
                (self.calls.get_mut(call), self.endpoints.get(endpoint), self.connections.get(link))
            else {
                return true;
            };
            let Role::Link { peer, .. } = &connection.role else { return true };
            match self.gate.assigned(&mut held.own, &at.own, peer, self.now) {
                Assignment::Go => {
                    self.start(call, endpoint, link);
                    return true;
                }
                Assignment::Void => {
                    held.attempts.void_peers += 1;
                    let is_over = held.attempts.void_peers >= VOID_PEERS_MAX;
                    self.retire_connection(link, CloseReason::Retired);
                    if is_over {
                        self.refuse(call, Why::PeerVoid(endpoint));
                        return true;
                    }
                }
            }
        }
    }

    fn reputation_of_caller(&self, call: u32) -> Reputation {
        let near = self.calls.get(call).and_then(|held| self.connections.get(held.near.connection));
        near.map_or(Reputation::None, |near| near.guard.reputation())
    }

    /// Sends the head of a call over a link that has room, and what waits of its body.
    fn start(&mut self, call: u32, endpoint: u32, link: u32) {
        if self.writer(link).is_none() {
            return;
        }
        let (Some(held), Some(at), Some(connection)) =
            (self.calls.get_mut(call), self.endpoints.get_mut(endpoint), self.connections.get_mut(link))
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
        (held.stage, held.endpoint, held.pending_until_ms) = (Stage::Flying, endpoint, u64::MAX);
        at.calls += 1;
        if stream + 2 > STREAM_ID_MAX {
            self.retire_connection(link, CloseReason::Retired);
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
        let endpoint = held.endpoint;
        held.stage = Stage::Held;
        if !far.is_somewhere() {
            return;
        }
        if let Some(connection) = self.connections.get_mut(far.connection) {
            connection.streams.remove(far.stream);
            connection.recent.reset(far.stream);
            connection.times.busy_ms = self.now_ms;
        }
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.calls -= 1;
        }
        self.ready.push(endpoint);
        self.end_if_empty(far.connection);
    }

    /// The other side provably did not take the call on (RFC 9113, section 8.7).
    pub(crate) fn not_taken(&mut self, call: u32, may_be_same_endpoint: bool) {
        let Some(held) = self.calls.get_mut(call) else { return };
        if held.http_status != 0 {
            return self.link_lost(call);
        }
        let endpoint = held.endpoint;
        held.attempts.last = Some((endpoint, Problem::NotTaken));
        if !may_be_same_endpoint {
            held.attempts.leave_out(endpoint);
        }
        self.detach(call);
        if self.rewind(call) { self.assign(call) } else { self.give_up(call) }
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

    /// Lets a call wait for room at an endpoint. False: too many wait there.
    fn wait_at(&mut self, call: u32, endpoint: u32, reputation: Reputation) -> bool {
        let pending_until_ms = self.ms_after(self.limits.pending_timeout);
        let (Some(held), Some(at)) = (self.calls.get_mut(call), self.endpoints.get_mut(endpoint)) else { return true };
        if at.pending >= self.limits.pending_per_endpoint_max {
            self.counters.breach(Breach::Pending);
            held.attempts.last = Some((endpoint, Problem::Full));
            held.attempts.leave_out(endpoint);
            return false;
        }
        held.stage = Stage::Pending { endpoint, reputation };
        held.pending_until_ms = pending_until_ms;
        self.wait_last(call, endpoint, reputation);
        self.wake_call_by(call, pending_until_ms);
        self.want_dial(endpoint);
        true
    }

    /// Sends a call that waits at `endpoint` elsewhere. No problem: the endpoint is no more, and what is wrong there tells nobody anything.
    pub(crate) fn go_elsewhere(&mut self, call: u32, endpoint: u32, problem: Option<Problem>) {
        self.leave_pending(call);
        if let Some(held) = self.calls.get_mut(call) {
            if let Some(problem) = problem {
                held.attempts.last = Some((endpoint, problem));
            }
            held.attempts.leave_out(endpoint);
            held.pending_until_ms = u64::MAX;
        }
        self.assign(call);
    }
}
