//! The place of a call in a distributed trace: W3C Trace Context, joined where the caller brings one, else begun.

use chapar_core::record::{CallId, TraceContext};
use rand::{Rng as _, rngs::StdRng};

use super::hex;

/// Length of a version 00 `traceparent`, in bytes.
const TRACEPARENT_BYTES: usize = 55;

/// Joins the trace of `traceparent`, as a child of the span that it names; begins a new one where there is none or where it
/// is malformed (Trace Context, section 3.2.2.5: then `tracestate` must be dropped too).
#[must_use]
pub fn join(traceparent: Option<&[u8]>, rng: &mut StdRng) -> (TraceContext, Joined) {
    let span_id = nonzero(rng);
    if let Some((trace_id, parent_span_id, flags)) = traceparent.and_then(parse) {
        let trace = TraceContext { trace_id, span_id, parent_span_id: Some(parent_span_id), sampled: flags & 1 == 1 };
        return (trace, Joined::Caller);
    }
    let trace = TraceContext {
        trace_id: nonzero(rng),
        span_id,
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
pub fn traceparent(trace: &TraceContext) -> [u8; TRACEPARENT_BYTES] {
    let mut text = *b"00-................................-................-00";
    hex::write(&trace.trace_id, &mut text[3..35]);
    hex::write(&trace.span_id, &mut text[36..52]);
    if trace.sampled {
        text[54] = b'1';
    }
    text
}

/// A new tracking ID: 128 random bits.
#[must_use]
pub fn call_id(rng: &mut StdRng) -> CallId {
    CallId::from_bytes(nonzero(rng))
}

fn parse(bytes: &[u8]) -> Option<([u8; 16], [u8; 8], u8)> {
    let shaped = bytes.len() >= TRACEPARENT_BYTES && [2, 35, 52].iter().all(|&at| bytes.get(at) == Some(&b'-'));
    if !shaped {
        return None;
    }
    let [version] = hex::read(bytes.get(0..2)?)?;
    // Version ff is forbidden; 00 ends here; a later one may only go on after a dash (section 3.2.2.1 and 3.2.4).
    let ends_well = match version {
        0xff => false,
        0 => bytes.len() == TRACEPARENT_BYTES,
        _ => bytes.len() == TRACEPARENT_BYTES || bytes.get(TRACEPARENT_BYTES) == Some(&b'-'),
    };
    let trace_id: [u8; 16] = hex::read(bytes.get(3..35)?)?;
    let span_id: [u8; 8] = hex::read(bytes.get(36..52)?)?;
    let [flags] = hex::read(bytes.get(53..55)?)?;
    (ends_well && trace_id != [0; 16] && span_id != [0; 8]).then_some((trace_id, span_id, flags))
}

fn nonzero<const N: usize>(rng: &mut StdRng) -> [u8; N] {
    let mut bytes = [0; N];
    while bytes == [0; N] {
        rng.fill_bytes(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const GOOD: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn joined(traceparent: Option<&[u8]>) -> (TraceContext, Joined) {
        join(traceparent, &mut StdRng::seed_from_u64(1))
    }

    #[test]
    fn joins_the_trace_of_the_caller() {
        let (trace, joined) = joined(Some(GOOD));
        assert_eq!(joined, Joined::Caller);
        assert!(traceparent(&trace).starts_with(b"00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert_eq!(trace.parent_span_id, Some([0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
        assert!(trace.sampled);
        assert_ne!(Some(trace.span_id), trace.parent_span_id);
    }

    #[test]
    fn what_it_writes_it_joins() {
        for flags in ["00", "01"] {
            let given = [&GOOD[..53], flags.as_bytes()].concat();
            let (trace, _) = joined(Some(&given));
            let (below, how) = joined(Some(&traceparent(&trace)));
            assert_eq!((how, below.trace_id, below.parent_span_id), (Joined::Caller, trace.trace_id, Some(trace.span_id)));
            assert_eq!(below.sampled, flags == "01");
        }
    }

    #[test]
    fn begins_a_trace_where_the_caller_brings_none_or_a_malformed_one() {
        let later_version = b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more";
        assert_eq!(joined(Some(later_version)).1, Joined::Caller);
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
        ] {
            let (trace, joined) = joined(Some(bad.as_bytes()));
            assert_eq!((joined, trace.parent_span_id), (Joined::Begun, None), "{bad:?}");
        }
        assert_eq!(joined(None).1, Joined::Begun);
    }

    #[test]
    fn tracking_ids_differ() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_ne!(call_id(&mut rng), call_id(&mut rng));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(0_u8.., 0..80)) {
            let _ = joined(Some(&bytes));
        }
    }
}
