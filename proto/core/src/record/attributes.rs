//! A record as attributes of a standard span: those that it shares with most calls of one inquiry between the same two sidecars, and
//! its own. A batch says the former once for all of them.

use super::{CallRecord, Outcome, RecordVersion, address, canonical::put_text};
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
    /// Bytes.
    Bytes(&'r [u8]),
}

/// Attributes of a record at most: room for them is taken once.
const ATTRIBUTES_MAX: usize = 30;

impl<'r> CallRecord<'r> {
    /// Hands each attribute that carries this record to `each`: [`CallRecord::each_shared_attribute`], then
    /// [`CallRecord::each_own_attribute`]. Allocates nothing.
    ///
    /// Together with the span's own fields (trace, times, flags) they hold the whole record: its canonical bytes can be
    /// made again from them.
    pub fn each_attribute(&self, mut each: impl FnMut(&'static str, Value<'r>)) {
        self.each_shared_attribute(&mut each);
        self.each_own_attribute(&mut each);
    }

    /// Hands each attribute that many a call has in common to `each`: `rpc.*`, `server.*` and `network.*` as in OpenTelemetry's
    /// semantic conventions, our own as `chapar.*`. Empty texts are left out.
    pub fn each_shared_attribute(&self, mut each: impl FnMut(&'static str, Value<'r>)) {
        let method = self.method();
        let (server_host, server_port) = address::split(self.server_address);
        let (peer_host, _) = address::split(self.peer_address);
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
            ("chapar.path", self.odd_path()),
            ("chapar.grant", self.grant),
            ("chapar.resolution", self.resolution),
            ("chapar.clause", self.clause),
            ("chapar.decision", if self.outcome == Outcome::Refused { "refused" } else { "permitted" }),
            ("chapar.reason", self.reason.map_or("", Reason::as_str)),
            ("chapar.outcome", self.outcome.as_str()),
        ];
        let counts = [
            ("chapar.policy_version", self.policy_version),
            ("chapar.request.messages", self.request.messages),
            ("chapar.response.messages", self.response.messages),
        ];
        texts.into_iter().filter(|(_, text)| !text.is_empty()).for_each(|(key, text)| each(key, Value::Text(text)));
        counts.into_iter().for_each(|(key, count)| each(key, Value::Count(count)));
        server_port.into_iter().for_each(|port| each("server.port", Value::Count(port.into())));
        // The first version is what says nothing of its version.
        if self.version != RecordVersion::One {
            each("chapar.record.version", Value::Count(self.version.number().into()));
        }
    }

    /// Hands each attribute that tells this call from others to `each`.
    pub fn each_own_attribute(&self, mut each: impl FnMut(&'static str, Value<'r>)) {
        each("chapar.call_id", Value::Hex(*self.call_id.as_bytes()));
        if !self.purpose.is_empty() {
            each("chapar.purpose", Value::Text(self.purpose));
        }
        each("chapar.request.bytes", Value::Count(self.request.bytes));
        each("chapar.response.bytes", Value::Count(self.response.bytes));
        // A consumer may open a connection for each call.
        if let (_, Some(port)) = address::split(self.peer_address) {
            each("network.peer.port", Value::Count(port.into()));
        }
        if let Some(subject) = self.subject {
            each("chapar.subject.key", Value::Count(subject.key.into()));
            each("chapar.subject.hash", Value::Hex(subject.hash));
        }
        if !self.further.is_empty() {
            each("chapar.record.further", Value::Bytes(self.further.as_bytes()));
        }
    }

    /// Appends bytes that are the same for two records exactly when what [`CallRecord::each_shared_attribute`] hands out is.
    pub fn put_shared(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.side as u8, self.status as u8, self.outcome as u8, self.version.number()]);
        for count in [self.policy_version, self.request.messages, self.response.messages] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        let (peer_host, _) = address::split(self.peer_address);
        let texts = [
            self.method(),
            self.odd_path(),
            self.consumer,
            self.provider,
            self.inquiry,
            self.kind,
            self.grant,
            self.resolution,
            self.clause,
            self.reason.map_or("", Reason::as_str),
            self.server_address,
            peer_host,
        ];
        texts.into_iter().for_each(|text| put_text(text, out));
    }

    /// All of them: see [`CallRecord::each_attribute`].
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, Value<'r>)> {
        let mut all = Vec::with_capacity(ATTRIBUTES_MAX);
        self.each_attribute(|key, value| all.push((key, value)));
        all
    }

    /// The path, where the method does not say it: one leading slash is how every method's begins.
    fn odd_path(&self) -> &'r str {
        if self.path.strip_prefix('/') == Some(self.method()) { "" } else { self.path }
    }
}
