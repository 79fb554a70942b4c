//! The record that a span was made of.

use chapar_core::{
    policy::{GrpcCode, Reason, Side},
    record::{CallId, CallRecord, Flow, FurtherFields, Outcome, RecordVersion, TraceContext, address},
    time::Timestamp,
};

use super::fields::WORD_BYTES_MAX;
use crate::ledger::wire::{Key, Span, Value};

/// gRPC numbers its statuses from 0 to this.
const STATUS_NUMBER_MAX: u32 = 16;

/// Texts of a record that are not in its span as they stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'a> {
    path: &'a str,
    /// `None`: host and port make no address of a record.
    peer_address: Option<&'a str>,
    server_address: Option<&'a str>,
}

/// Puts them together in `room`.
pub(super) fn texts<'a>(span: &Span<'a>, room: &'a mut String) -> Texts<'a> {
    room.clear();
    room.push('/');
    room.push_str(span.text(Key::Method));
    let path_end = room.len();
    let peer_sound = put_address(span, Key::PeerAddress, Key::PeerPort, room);
    let peer_end = room.len();
    let server_sound = put_address(span, Key::ServerAddress, Key::ServerPort, room);
    let (path, rest) = room.split_at(path_end);
    let (peer, server) = rest.split_at(peer_end - path_end);
    Texts { path, peer_address: peer_sound.then_some(peer), server_address: server_sound.then_some(server) }
}

/// Appends an address; tells whether the same host and port can be made of it again.
fn put_address(span: &Span<'_>, host: Key, port: Key, room: &mut String) -> bool {
    let from = room.len();
    let host = span.text(host);
    let port = match span.value(port) {
        None => None,
        Some(Value::Count(number @ 1..=0xffff)) => u16::try_from(number).ok(),
        Some(_) => return false,
    };
    address::join(host, port, room);
    port.is_none() || address::split(&room[from..]) == (host, port)
}

/// The record that the span was made of. `None` when it says something that no record of this version can: the span is then kept
/// as it came.
pub(super) fn record<'a>(span: &Span<'a>, trace: TraceContext, side: Side, texts: Texts<'a>) -> Option<CallRecord<'a>> {
    // A record's times are whole: its start in milliseconds, its duration in microseconds.
    if !span.start_ns.is_multiple_of(1_000_000) || !(span.end_ns - span.start_ns).is_multiple_of(1_000) {
        return None;
    }
    let reason = match span.text(Key::Reason) {
        "" => None,
        name => Some(Reason::ALL.iter().copied().find(|reason| reason.as_str() == name)?),
    };
    let path = match span.text(Key::Path) {
        "" => texts.path,
        odd => odd,
    };
    let (version, further) = version(span)?;
    let (peer_address, server_address) = (texts.peer_address?, texts.server_address?);
    let all = [
        span.text(Key::Consumer),
        span.text(Key::Provider),
        path,
        span.text(Key::Grant),
        span.text(Key::Clause),
        span.text(Key::Purpose),
        peer_address,
        server_address,
    ];
    if all.iter().any(|text| text.len() > WORD_BYTES_MAX) {
        return None;
    }
    Some(CallRecord {
        call_id: CallId::from_bytes([0; 16]),
        trace,
        side,
        consumer: span.text(Key::Consumer),
        provider: span.text(Key::Provider),
        inquiry: span.text(Key::Inquiry),
        kind: span.text(Key::Kind),
        path,
        grant: span.text(Key::Grant),
        resolution: span.text(Key::Resolution),
        clause: span.text(Key::Clause),
        purpose: span.text(Key::Purpose),
        subject: None,
        policy_version: span.count(Key::PolicyVersion),
        outcome: Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == span.text(Key::Outcome))?,
        reason,
        status: (0..=STATUS_NUMBER_MAX).map(GrpcCode::from_number).find(|code| code.as_str() == span.text(Key::Status))?,
        started_at: Timestamp::from_unix_ms(i64::try_from(span.start_ns / 1_000_000).ok()?),
        duration_us: (span.end_ns - span.start_ns) / 1_000,
        request: Flow { messages: span.count(Key::RequestMessages), bytes: span.count(Key::RequestBytes) },
        response: Flow { messages: span.count(Key::ResponseMessages), bytes: span.count(Key::ResponseBytes) },
        peer_address,
        server_address,
        version,
        further,
    })
}

/// The version that the record was hashed into its chain in, and what it holds beyond what is known here. The first version is what
/// says nothing of its version.
fn version<'a>(span: &Span<'a>) -> Option<(RecordVersion, FurtherFields<'a>)> {
    let version = match span.value(Key::RecordVersion) {
        None => RecordVersion::One,
        Some(Value::Count(number)) => RecordVersion::from_number(number)?,
        Some(_) => return None,
    };
    let further = match span.value(Key::RecordFurther) {
        None => FurtherFields::NONE,
        Some(Value::Bytes(bytes)) if version != RecordVersion::One => FurtherFields::parse(bytes).ok()?,
        Some(_) => return None,
    };
    Some((version, further))
}
