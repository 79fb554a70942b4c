//! A record as attributes of a standard span.

use super::{CallRecord, Outcome, address};
use crate::policy::Reason;

/// A value of a span attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'r> {
    /// Text.
    Text(&'r str),
    /// Sixteen bytes, as text of 32 lowercase hex digits.
    Hex([u8; 16]),
    /// A count.
    Count(u64),
}

/// Attributes of a record at most: room for them is taken once.
const ATTRIBUTES_MAX: usize = 28;

impl<'r> CallRecord<'r> {
    /// Hands each span attribute that carries this record to `each`: `rpc.*`, `server.*` and `network.*` as in OpenTelemetry's
    /// semantic conventions, our own as `chapar.*`. Empty texts are left out. Allocates nothing.
    ///
    /// Together with the span's own fields (trace, times, flags) they hold the whole record: its canonical bytes can be
    /// made again from them.
    pub fn each_attribute(&self, mut each: impl FnMut(&'static str, Value<'r>)) {
        let method = self.method();
        // Only a path that is no method's own needs telling apart: one leading slash is how every method's begins.
        let odd_path = if self.path.strip_prefix('/') == Some(method) { "" } else { self.path };
        let (server_host, server_port) = address::split(self.server_address);
        let (peer_host, peer_port) = address::split(self.peer_address);
        let texts = [
            ("rpc.system.name", "grpc"),
            ("rpc.method", method),
            ("rpc.response.status_code", self.status.as_str()),
            ("server.address", server_host),
            ("network.peer.address", peer_host),
            ("chapar.side", self.side.as_str()),
            ("chapar.consumer", self.consumer),
            ("chapar.provider", self.provider),
            ("chapar.inquiry", self.inquiry),
            ("chapar.kind", self.kind),
            ("chapar.path", odd_path),
            ("chapar.grant", self.grant),
            ("chapar.resolution", self.resolution),
            ("chapar.clause", self.clause),
            ("chapar.purpose", self.purpose),
            ("chapar.decision", if self.outcome == Outcome::Refused { "refused" } else { "permitted" }),
            ("chapar.reason", self.reason.map_or("", Reason::as_str)),
            ("chapar.outcome", self.outcome.as_str()),
        ];
        let counts = [
            ("chapar.policy_version", self.policy_version),
            ("chapar.request.messages", self.request.messages),
            ("chapar.request.bytes", self.request.bytes),
            ("chapar.response.messages", self.response.messages),
            ("chapar.response.bytes", self.response.bytes),
        ];
        each("chapar.call_id", Value::Hex(*self.call_id.as_bytes()));
        texts.into_iter().filter(|(_, text)| !text.is_empty()).for_each(|(key, text)| each(key, Value::Text(text)));
        counts.into_iter().for_each(|(key, count)| each(key, Value::Count(count)));
        for (key, port) in [("server.port", server_port), ("network.peer.port", peer_port)] {
            port.into_iter().for_each(|port| each(key, Value::Count(port.into())));
        }
        if let Some(subject) = self.subject {
            each("chapar.subject.key", Value::Count(subject.key.into()));
            each("chapar.subject.hash", Value::Hex(subject.hash));
        }
    }

    /// All of them: see [`CallRecord::each_attribute`].
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, Value<'r>)> {
        let mut all = Vec::with_capacity(ATTRIBUTES_MAX);
        self.each_attribute(|key, value| all.push((key, value)));
        all
    }
}
