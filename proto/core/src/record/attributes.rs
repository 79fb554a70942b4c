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

impl<'r> CallRecord<'r> {
    /// The span attributes that carry this record: `rpc.*`, `server.*` and `network.*` as in OpenTelemetry's semantic
    /// conventions, our own as `chapar.*`. Empty texts are left out.
    ///
    /// Together with the span's own fields (trace, times, flags) they hold the whole record: its canonical bytes can be
    /// made again from them.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, Value<'r>)> {
        let method = self.method();
        // Only a path that is no method's own needs telling apart: one leading slash is how every method's begins.
        let odd_path = if self.path.strip_prefix('/') == Some(method) { "" } else { self.path };
        let (server_host, server_port) = address::split(self.server_address);
        let (peer_host, peer_port) = address::split(self.peer_address);
        let mut all = vec![
            ("rpc.system.name", Value::Text("grpc")),
            ("rpc.method", Value::Text(method)),
            ("rpc.response.status_code", Value::Text(self.status.as_str())),
            ("server.address", Value::Text(server_host)),
            ("network.peer.address", Value::Text(peer_host)),
            ("chapar.call_id", Value::Hex(*self.call_id.as_bytes())),
            ("chapar.side", Value::Text(self.side.as_str())),
            ("chapar.consumer", Value::Text(self.consumer)),
            ("chapar.provider", Value::Text(self.provider)),
            ("chapar.inquiry", Value::Text(self.inquiry)),
            ("chapar.kind", Value::Text(self.kind)),
            ("chapar.path", Value::Text(odd_path)),
            ("chapar.grant", Value::Text(self.grant)),
            ("chapar.resolution", Value::Text(self.resolution)),
            ("chapar.clause", Value::Text(self.clause)),
            ("chapar.purpose", Value::Text(self.purpose)),
            ("chapar.policy_version", Value::Count(self.policy_version)),
            ("chapar.decision", Value::Text(if self.outcome == Outcome::Refused { "refused" } else { "permitted" })),
            ("chapar.reason", Value::Text(self.reason.map_or("", Reason::as_str))),
            ("chapar.outcome", Value::Text(self.outcome.as_str())),
            ("chapar.request.messages", Value::Count(self.request.messages)),
            ("chapar.request.bytes", Value::Count(self.request.bytes)),
            ("chapar.response.messages", Value::Count(self.response.messages)),
            ("chapar.response.bytes", Value::Count(self.response.bytes)),
        ];
        for (key, port) in [("server.port", server_port), ("network.peer.port", peer_port)] {
            all.extend(port.map(|port| (key, Value::Count(port.into()))));
        }
        if let Some(subject) = self.subject {
            all.push(("chapar.subject.key", Value::Count(subject.key.into())));
            all.push(("chapar.subject.hash", Value::Hex(subject.hash)));
        }
        all.retain(|(_, value)| !matches!(value, Value::Text("")));
        all
    }
}
