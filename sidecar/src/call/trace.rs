//! The place of a call in a distributed trace: W3C Trace Context, joined where the caller brings one, else begun.

use chapar_core::record::{CallId, TraceContext};

/// Length of a version 00 `traceparent`, in bytes.
const TRACEPARENT_BYTES: usize = 55;

/// Joins the trace of `traceparent`, as a child of the span that it names; begins a new one where there is none or where it
/// is malformed (Trace Context, section 3.2.2.5: then `tracestate` must be dropped too).
#[must_use]
pub fn join(traceparent: Option<&str>) -> (TraceContext, Joined) {
    if let Some((trace_id, parent_span_id, flags)) = traceparent.and_then(parse) {
        let trace = TraceContext { trace_id, span_id: span_id(), parent_span_id: Some(parent_span_id), sampled: flags & 1 == 1 };
        return (trace, Joined::Caller);
    }
    let trace = TraceContext {
        trace_id: nonzero(),
        span_id: span_id(),
        parent_span_id: None,
        // Every call of the exchange is recorded, so whatever comes below may count on the rest of the trace.
        sampled: true,
    };
    (trace, Joined::Begun)
}

/// Where the trace of a call began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// At the caller or before: its `tracestate` is passed on.
    Caller,
    /// Here.
    Begun,
}

/// The `traceparent` for whatever is called from within `trace`.
#[must_use]
pub fn traceparent(trace: &TraceContext) -> String {
    let mut text = String::with_capacity(TRACEPARENT_BYTES);
    text.push_str("00-");
    push_hex(&mut text, &trace.trace_id);
    text.push('-');
    push_hex(&mut text, &trace.span_id);
    text.push_str(if trace.sampled { "-01" } else { "-00" });
    text
}

/// A new tracking ID: 128 random bits.
#[must_use]
pub fn call_id() -> CallId {
    CallId::from_bytes(nonzero())
}

fn parse(text: &str) -> Option<([u8; 16], [u8; 8], u8)> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() >= TRACEPARENT_BYTES && [2, 35, 52].iter().all(|&at| bytes.get(at) == Some(&b'-'));
    if !shaped {
        return None;
    }
    let version = hex::<1>(bytes.get(0..2)?)?[0];
    // Version ff is forbidden; 00 ends here; a later one may only go on after a dash (section 3.2.2.1 and 3.2.4).
    let ends_well = match version {
        0xff => false,
        0 => bytes.len() == TRACEPARENT_BYTES,
        _ => bytes.len() == TRACEPARENT_BYTES || bytes.get(TRACEPARENT_BYTES) == Some(&b'-'),
    };
    let trace_id = hex::<16>(bytes.get(3..35)?)?;
    let span_id = hex::<8>(bytes.get(36..52)?)?;
    let flags = hex::<1>(bytes.get(53..55)?)?[0];
    (ends_well && trace_id != [0; 16] && span_id != [0; 8]).then_some((trace_id, span_id, flags))
}

fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    const fn digit(byte: u8) -> Option<u8> {
        match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        }
    }
    let mut out = [0; N];
    for (at, pair) in text.chunks_exact(2).enumerate() {
        *out.get_mut(at)? = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (text.len() == N * 2).then_some(out)
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
}

fn nonzero<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    while bytes == [0; N] {
        rand::fill(&mut bytes[..]);
    }
    bytes
}

fn span_id() -> [u8; 8] {
    nonzero()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn joins_the_trace_of_the_caller() {
        let (trace, joined) = join(Some(GOOD));
        assert_eq!(joined, Joined::Caller);
        assert!(traceparent(&trace).starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert_eq!(trace.parent_span_id, Some([0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
        assert!(trace.sampled);
        assert_ne!(Some(trace.span_id), trace.parent_span_id);
    }

    #[test]
    fn begins_a_trace_where_the_caller_brings_none_or_a_malformed_one() {
        let later_version = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more";
        assert_eq!(join(Some(later_version)).1, Joined::Caller);
        for bad in [
            None,
            Some(""),
            Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
            Some("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
            Some("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"),
            Some("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more"),
        ] {
            let (trace, joined) = join(bad);
            assert_eq!((joined, trace.parent_span_id), (Joined::Begun, None), "{bad:?}");
        }
    }

    #[test]
    fn no_two_calls_have_one_tracking_id() {
        assert_ne!(call_id(), call_id());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = join(Some(&text));
        }
    }
}
