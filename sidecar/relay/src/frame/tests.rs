//! Each rule beside what keeps it; whatever is written is read back.

use proptest::prelude::*;

use super::*;

fn head(kind: Kind, flags: u8, stream: u32, payload_bytes: u32) -> Result<(), Violation> {
    FrameHead::new(kind, flags, stream, payload_bytes).check(FRAME_BYTES_MAX_DEFAULT)
}

fn told(result: Result<(), Violation>) -> Option<(Scope, ErrorCode)> {
    result.err().map(|violation| (violation.scope, violation.code))
}

const PROTOCOL: Option<(Scope, ErrorCode)> = Some((Scope::Connection, ErrorCode::PROTOCOL_ERROR));
const SIZE: Option<(Scope, ErrorCode)> = Some((Scope::Connection, ErrorCode::FRAME_SIZE_ERROR));

#[test]
fn a_frame_above_the_limit_ends_the_connection() {
    assert_eq!(told(head(Kind::Data, 0, 1, 16_384)), None);
    assert_eq!(told(head(Kind::Data, 0, 1, 16_385)), SIZE);
    assert_eq!(told(head(Kind::Unknown(0xaa), 0, 0, 16_385)), SIZE);
}

#[test]
fn a_frame_of_a_stream_stands_on_a_stream_and_one_of_the_connection_does_not() {
    for (kind, bytes) in [
        (Kind::Data, 1),
        (Kind::Headers, 1),
        (Kind::Priority, 5),
        (Kind::Reset, 4),
        (Kind::PushPromise, 4),
        (Kind::Continuation, 1),
    ] {
        assert_eq!(told(head(kind, 0, 1, bytes)), None, "{kind:?}");
        assert_eq!(told(head(kind, 0, 0, bytes)), PROTOCOL, "{kind:?}");
    }
    for (kind, bytes) in [(Kind::Settings, 6), (Kind::Ping, 8), (Kind::GoAway, 8)] {
        assert_eq!(told(head(kind, 0, 0, bytes)), None, "{kind:?}");
        assert_eq!(told(head(kind, 0, 1, bytes)), PROTOCOL, "{kind:?}");
    }
    for stream in [0, 1] {
        assert_eq!(told(head(Kind::WindowUpdate, 0, stream, 4)), None);
        assert_eq!(told(head(Kind::Unknown(0xaa), 0, stream, 4)), None);
    }
}

#[test]
fn a_kind_with_a_size_of_its_own_has_it() {
    assert_eq!(told(head(Kind::Priority, 0, 1, 4)), Some((Scope::Stream, ErrorCode::FRAME_SIZE_ERROR)));
    assert_eq!(told(head(Kind::Reset, 0, 1, 5)), SIZE);
    assert_eq!(told(head(Kind::Settings, 0, 0, 7)), SIZE);
    assert_eq!(told(head(Kind::Settings, flags::ACK, 0, 6)), SIZE);
    assert_eq!(told(head(Kind::Settings, flags::ACK, 0, 0)), None);
    assert_eq!(told(head(Kind::Ping, 0, 0, 7)), SIZE);
    assert_eq!(told(head(Kind::GoAway, 0, 0, 7)), SIZE);
    assert_eq!(told(head(Kind::GoAway, 0, 0, 100)), None);
    assert_eq!(told(head(Kind::WindowUpdate, 0, 0, 3)), SIZE);
}

#[test]
fn data_divides_into_data_and_padding() {
    let shape = |flags, bytes, arrived: &[u8]| DataShape::of(&FrameHead::new(Kind::Data, flags, 1, bytes), arrived);
    let (padded, plain) = (flags::PADDED, 0);
    assert_eq!(shape(plain, 10, &[]), Ok(Some(DataShape { lead_bytes: 0, data_bytes: 10, trail_bytes: 0 })));
    assert_eq!(shape(padded, 10, &[]), Ok(None));
    assert_eq!(shape(padded, 10, &[4]), Ok(Some(DataShape { lead_bytes: 1, data_bytes: 5, trail_bytes: 4 })));
    assert_eq!(shape(padded, 10, &[9]), Ok(Some(DataShape { lead_bytes: 1, data_bytes: 0, trail_bytes: 9 })));
    assert_eq!(told(shape(padded, 10, &[10]).map(drop)), PROTOCOL);
    assert_eq!(told(shape(padded, 0, &[]).map(drop)), SIZE);
}

#[test]
fn headers_give_up_padding_and_priority() {
    let read =
        |flags, payload: &'static [u8]| Headers::read(&FrameHead::new(Kind::Headers, flags, 1, payload.len() as u32), payload);
    assert_eq!(read(0, b"block"), Ok(Headers { fragment: b"block", priority: None }));
    assert_eq!(read(flags::PADDED, b"\x02block\0\0"), Ok(Headers { fragment: b"block", priority: None }));
    assert_eq!(read(flags::PADDED, b"\x05block"), Ok(Headers { fragment: b"", priority: None }));
    assert_eq!(told(read(flags::PADDED, b"\x06block").map(drop)), PROTOCOL);
    assert_eq!(told(read(flags::PADDED, b"").map(drop)), SIZE);
    let priority = Some(Priority { exclusive: true, depends_on: 3, weight: 9 });
    assert_eq!(read(flags::PRIORITY, b"\x80\0\0\x03\x09block"), Ok(Headers { fragment: b"block", priority }));
    assert_eq!(
        read(flags::PRIORITY | flags::PADDED, b"\x01\x80\0\0\x03\x09block\0"),
        Ok(Headers { fragment: b"block", priority })
    );
    assert_eq!(told(read(flags::PRIORITY, b"\x80\0\0\x03").map(drop)), SIZE);
    assert_eq!(told(read(flags::PRIORITY | flags::PADDED, b"\x06\x80\0\0\x03\x09block").map(drop)), PROTOCOL);
}

#[test]
fn a_stream_cannot_depend_on_itself() {
    let itself = Some((Scope::Stream, ErrorCode::PROTOCOL_ERROR));
    let read = |stream| Priority::read(&FrameHead::new(Kind::Priority, 0, stream, 5), b"\0\0\0\x03\x09").map(drop);
    assert_eq!(told(read(1)), None);
    assert_eq!(told(read(3)), itself);
    let headers = Headers::read(&FrameHead::new(Kind::Headers, flags::PRIORITY, 3, 5), b"\0\0\0\x03\x09").expect("sound padding");
    assert_eq!(told(headers.check_priority(1)), None);
    assert_eq!(told(headers.check_priority(3)), itself);
}

#[test]
fn a_window_update_of_zero_ends_what_it_is_for() {
    let read = |stream, payload: &[u8]| WindowUpdate::read(&FrameHead::new(Kind::WindowUpdate, 0, stream, 4), payload);
    assert_eq!(read(1, &[0x80, 0, 0, 1]), Ok(WindowUpdate { increment_bytes: 1 }));
    assert_eq!(told(read(0, &[0, 0, 0, 0]).map(drop)), PROTOCOL);
    assert_eq!(told(read(1, &[0x80, 0, 0, 0]).map(drop)), Some((Scope::Stream, ErrorCode::PROTOCOL_ERROR)));
}

#[test]
fn settings_hold_their_bounds() {
    let read = |identifier: u16, value: u32| Settings::read(&[&identifier.to_be_bytes()[..], &value.to_be_bytes()].concat());
    for (identifier, value) in [(0x2, 2), (0x5, 16_383), (0x5, 1 << 24)] {
        assert_eq!(told(read(identifier, value).map(drop)), PROTOCOL, "{identifier} {value}");
    }
    assert_eq!(told(read(0x4, 1 << 31).map(drop)), Some((Scope::Connection, ErrorCode::FLOW_CONTROL_ERROR)));
    for (identifier, value) in
        [(0x1, u32::MAX), (0x2, 0), (0x2, 1), (0x3, 0), (0x4, WINDOW_BYTES_MAX), (0x5, 16_384), (0x5, FRAME_BYTES_MAX)]
    {
        assert_eq!(told(read(identifier, value).map(drop)), None, "{identifier} {value}");
    }
    assert_eq!(read(0x9, 1), Ok(Settings::default()));
    assert_eq!(told(Settings::read(&[0; 5]).map(drop)), SIZE);
    let twice = Settings::read(&[0, 3, 0, 0, 0, 1, 0, 3, 0, 0, 0, 2]);
    assert_eq!(twice, Ok(Settings { streams_max: Some(2), ..Settings::default() }));
}

/// Splits bytes that we wrote into frames.
fn frames(mut bytes: &[u8]) -> Vec<(FrameHead, &[u8])> {
    let mut frames = Vec::new();
    while let Some(head) = FrameHead::read(bytes) {
        let (frame, rest) = bytes.split_at(head.frame_bytes());
        frames.push((head, &frame[HEAD_BYTES..]));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "no part of a frame is left");
    frames
}

#[test]
fn what_is_written_is_read_back() {
    let settings =
        Settings { header_table_bytes_max: Some(0), push: Some(false), window_bytes: Some(1 << 20), ..Settings::default() };
    let mut out = Vec::new();
    put_settings(&mut out, &settings);
    put_settings_ack(&mut out);
    put_ping(&mut out, *b"opaque!!", true);
    put_goaway(&mut out, 7, ErrorCode::ENHANCE_YOUR_CALM, "why");
    put_reset(&mut out, 5, ErrorCode::CANCEL);
    put_window_update(&mut out, 3, 1_000);
    put_data_head(&mut out, 9, 4, true);
    out.extend_from_slice(b"data");
    let frames = frames(&out);
    for (head, _) in &frames {
        assert_eq!(head.check(FRAME_BYTES_MAX_DEFAULT), Ok(()));
    }
    assert_eq!(Settings::read(frames[0].1), Ok(settings));
    assert_eq!(frames[1].0, FrameHead::new(Kind::Settings, flags::ACK, 0, 0));
    assert_eq!((frames[2].0.flags, ping(frames[2].1)), (flags::ACK, Ok(*b"opaque!!")));
    assert_eq!(GoAway::read(frames[3].1), Ok(GoAway { last_stream: 7, code: ErrorCode::ENHANCE_YOUR_CALM, debug: b"why" }));
    assert_eq!((frames[4].0.stream, Reset::read(frames[4].1)), (5, Ok(Reset { code: ErrorCode::CANCEL })));
    assert_eq!(WindowUpdate::read(&frames[5].0, frames[5].1), Ok(WindowUpdate { increment_bytes: 1_000 }));
    assert_eq!(frames[6], (FrameHead::new(Kind::Data, flags::END_STREAM, 9, 4), &b"data"[..]));
}

#[test]
fn a_block_that_is_undone_was_never_there() {
    let mut out = b"before".to_vec();
    let writer = BlockWriter::begin(&mut out, 1);
    out.extend_from_slice(b"block");
    assert_eq!(writer.block_bytes(&out), 5);
    writer.undo(&mut out);
    assert_eq!(out, b"before");
}

proptest! {
    #[test]
    fn a_head_is_read_as_it_was_written(payload_bytes in 0..=FRAME_BYTES_MAX, kind: u8, flags: u8, stream in 0..=STREAM_ID_MAX, reserved: bool) {
        let head = FrameHead::new(Kind::of(kind), flags, stream, payload_bytes);
        let mut bytes = head.bytes();
        bytes[5] |= u8::from(reserved) << 7;
        prop_assert_eq!(FrameHead::read(&bytes), Some(head));
        prop_assert_eq!(FrameHead::read(&bytes[..8]), None);
        prop_assert_eq!(bytes[3], kind);
    }

    #[test]
    fn a_long_block_is_divided_and_whole(block in prop::collection::vec(any::<u8>(), 0..200), frame_bytes_max in 1u32..60, end_stream: bool) {
        let mut out = Vec::new();
        put_headers(&mut out, 5, &block, end_stream, frame_bytes_max);
        let frames = frames(&out);
        let last = frames.len() - 1;
        for (at, (head, payload)) in frames.iter().enumerate() {
            prop_assert_eq!(head.kind, if at == 0 { Kind::Headers } else { Kind::Continuation });
            prop_assert_eq!(head.has(flags::END_HEADERS), at == last);
            prop_assert_eq!(head.flags & flags::END_STREAM != 0, at == 0 && end_stream);
            prop_assert!(payload.len() <= frame_bytes_max as usize && (last == 0 || !payload.is_empty()));
            prop_assert_eq!(head.stream, 5);
        }
        prop_assert_eq!(frames.iter().flat_map(|(_, payload)| payload.iter().copied()).collect::<Vec<_>>(), block);
    }

    #[test]
    fn views_of_arbitrary_payloads_never_panic(kind: u8, flags: u8, stream in 0u32..3, payload in prop::collection::vec(any::<u8>(), 0..20)) {
        let head = FrameHead::new(Kind::of(kind), flags, stream, payload.len() as u32);
        let _ = head.check(FRAME_BYTES_MAX_DEFAULT);
        let _ = Headers::read(&head, &payload).map(|headers| headers.check_priority(stream));
        let _ = Priority::read(&head, &payload);
        let _ = Settings::read(&payload);
        let _ = GoAway::read(&payload);
        let _ = Reset::read(&payload);
        let _ = WindowUpdate::read(&head, &payload);
        let _ = ping(&payload);
        if let Ok(Some(shape)) = DataShape::of(&head, &payload) {
            prop_assert_eq!(shape.lead_bytes + shape.data_bytes + shape.trail_bytes, head.payload_bytes);
        }
    }
}
