//! Frames: no bytes make a reader panic, and what a reader accepts a writer writes again.

use chapar_relay::frame::{
    BlockWriter, DataShape, FRAME_BYTES_MAX_DEFAULT, FrameHead, GoAway, HEAD_BYTES, Headers, Kind, Priority, Reset, Settings,
    WindowUpdate, flags, ping, put_data_head, put_headers, put_ping, put_reset, put_settings, put_settings_ack,
    put_window_update,
};

use super::input::Input;

pub fn run(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(head) = FrameHead::read(rest) {
        let mut again = head.bytes();
        again[5] |= rest[5] & 0x80;
        assert_eq!(again, rest[..HEAD_BYTES], "a head is written as it was read");
        let after = &rest[HEAD_BYTES..];
        // A fuzzer seldom hits a length: what is there counts as the whole payload too.
        let payload = &after[..after.len().min(head.payload_bytes as usize)];
        if head.check(FRAME_BYTES_MAX_DEFAULT).is_ok() {
            look(&head, payload);
        }
        let shorter = FrameHead::new(head.kind, head.flags, head.stream, payload.len() as u32);
        if shorter.check(FRAME_BYTES_MAX_DEFAULT).is_ok() {
            look(&shorter, payload);
            write_again(&shorter, payload);
        }
        rest = &after[payload.len()..];
    }
    divide(bytes);
}

/// Every view of a payload.
fn look(head: &FrameHead, payload: &[u8]) {
    match head.kind {
        Kind::Data => {
            if let Ok(Some(shape)) = DataShape::of(head, payload) {
                assert_eq!(shape.lead_bytes + shape.data_bytes + shape.trail_bytes, head.payload_bytes);
            }
        }
        Kind::Headers => {
            if let Ok(headers) = Headers::read(head, payload) {
                assert!(headers.fragment.len() <= payload.len());
                let _ = headers.check_priority(head.stream);
            }
        }
        Kind::Priority => drop(Priority::read(head, payload)),
        Kind::Reset => drop(Reset::read(payload)),
        Kind::Settings => drop(Settings::read(payload)),
        Kind::Ping => drop(ping(payload)),
        Kind::GoAway => drop(GoAway::read(payload)),
        Kind::WindowUpdate => drop(WindowUpdate::read(head, payload)),
        Kind::PushPromise | Kind::Continuation | Kind::Unknown(_) => {}
    }
}

/// Writes what was read; reads it back; both are the same.
fn write_again(head: &FrameHead, payload: &[u8]) {
    let mut out = Vec::new();
    let ack = head.has(flags::ACK);
    match head.kind {
        Kind::Settings if ack => put_settings_ack(&mut out),
        Kind::Settings => {
            let Ok(settings) = Settings::read(payload) else { return };
            put_settings(&mut out, &settings);
            assert_eq!(Settings::read(&out[HEAD_BYTES..]), Ok(settings));
        }
        Kind::Ping => {
            let Ok(opaque) = ping(payload) else { return };
            put_ping(&mut out, opaque, ack);
            assert_eq!(&out[HEAD_BYTES..], payload);
        }
        Kind::Reset => {
            let Ok(reset) = Reset::read(payload) else { return };
            put_reset(&mut out, head.stream, reset.code);
            assert_eq!(&out[HEAD_BYTES..], payload);
        }
        Kind::WindowUpdate => {
            let Ok(update) = WindowUpdate::read(head, payload) else { return };
            put_window_update(&mut out, head.stream, update.increment_bytes);
            assert_eq!(WindowUpdate::read(head, &out[HEAD_BYTES..]), Ok(update));
        }
        Kind::Data => put_data_head(&mut out, head.stream, head.payload_bytes, head.has(flags::END_STREAM)),
        _ => return,
    }
    let again = FrameHead::read(&out).expect("a whole head was written");
    assert_eq!((again.kind, again.stream), (head.kind, head.stream));
    assert_eq!(again.check(FRAME_BYTES_MAX_DEFAULT), Ok(()));
}

/// A block of any size is divided into frames of any size, and is whole again.
fn divide(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let frame_bytes_max = 1 + u32::from(input.byte());
    let end_stream = input.byte() & 1 == 1;
    let block = input.rest();
    let mut out = b"before".to_vec();
    put_headers(&mut out, 1, block, end_stream, frame_bytes_max);
    let mut rest = &out[6..];
    let (mut whole, mut is_first, mut ended) = (Vec::new(), true, false);
    while let Some(head) = FrameHead::read(rest) {
        assert!(!ended, "nothing follows END_HEADERS");
        assert_eq!(head.kind, if is_first { Kind::Headers } else { Kind::Continuation });
        assert!(head.payload_bytes <= frame_bytes_max);
        let (frame, after) = rest.split_at(head.frame_bytes());
        whole.extend_from_slice(&frame[HEAD_BYTES..]);
        (rest, is_first, ended) = (after, false, head.has(flags::END_HEADERS));
    }
    assert!(ended && rest.is_empty());
    assert_eq!(whole, block);

    let mut undone = b"before".to_vec();
    let writer = BlockWriter::begin(&mut undone, 1);
    undone.extend_from_slice(block);
    writer.undo(&mut undone);
    assert_eq!(undone, b"before");
}
