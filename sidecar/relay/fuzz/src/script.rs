//! Frames that scripted ends send: mostly sound.

use chapar_relay::{
    frame::{ErrorCode, FrameHead, Kind, Settings, flags, put_goaway, put_headers, put_ping, put_settings, put_window_update},
    hpack::{put_indexed, put_literal, put_static_name, statics},
};

use super::{gate::letter, input::Input};

/// A frame of either.
pub fn either(operation: u8, input: &mut Input<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let stream = u32::from(input.byte());
    match operation % 10 {
        0..=2 => put_window_update(&mut out, stream, (1 + u32::from(input.word())) << (input.byte() & 15)),
        3..=4 => {
            let settings = Settings {
                header_table_bytes_max: (stream & 1 == 1).then(|| u32::from(input.word())),
                window_bytes: (stream & 2 == 2).then(|| u32::from(input.word())),
                frame_bytes_max: (stream & 4 == 4).then(|| 16_384 + u32::from(input.word())),
                streams_max: (stream & 8 == 8).then(|| u32::from(input.byte())),
                ..Settings::default()
            };
            put_settings(&mut out, &settings);
        }
        5 => put_ping(&mut out, [7; 8], stream & 1 == 1),
        6 => put_goaway(&mut out, stream, ErrorCode(u32::from(input.byte())), ""),
        _ => {
            let (kind, flags, payload) = (Kind::of(input.byte() % 12), input.byte(), input.string());
            FrameHead::new(kind, flags, stream, payload.len() as u32).put(&mut out);
            out.extend_from_slice(payload);
        }
    }
    out
}

/// The head of a request whose path holds letters for the gate.
pub fn request(input: &mut Input<'_>) -> Vec<u8> {
    let letters: Vec<u8> = (0..input.byte() % 4).map(|_| b"rkhcwam2xdnvqz"[usize::from(input.byte()) % 14]).collect();
    request_for(&letters, input)
}

/// The head of a request that awaits the gate's answer.
pub fn awaiting_request(input: &mut Input<'_>) -> Vec<u8> {
    request_for(&[letter::AWAITS_BEFORE], input)
}

fn request_for(letters: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    let mut block = Vec::new();
    put_indexed(&mut block, statics::METHOD_POST);
    put_indexed(&mut block, statics::SCHEME_HTTP);
    put_static_name(&mut block, statics::PATH, &[b"/", letters].concat());
    put_static_name(&mut block, statics::AUTHORITY, b"here");
    put_literal(&mut block, b"te", b"trailers");
    put_fields(&mut block, input);
    block
}

/// The head of a response.
pub fn response(input: &mut Input<'_>) -> Vec<u8> {
    let mut block = Vec::new();
    match input.byte() % 8 {
        0 => put_static_name(&mut block, statics::STATUS, b"100"),
        1 => put_static_name(&mut block, statics::STATUS, input.bytes(3)),
        _ => put_indexed(&mut block, statics::STATUS_200),
    }
    put_static_name(&mut block, statics::CONTENT_TYPE, b"application/grpc");
    put_fields(&mut block, input);
    block
}

pub fn put_trailers(out: &mut Vec<u8>, stream: u32, input: &mut Input<'_>) {
    let mut block = Vec::new();
    put_literal(&mut block, b"grpc-status", &[b'0' + input.byte() % 10]);
    put_fields(&mut block, input);
    put_headers(out, stream, &block, true, 16_384);
}

fn put_fields(block: &mut Vec<u8>, input: &mut Input<'_>) {
    match input.byte() % 16 {
        0 => block.extend_from_slice(input.string()),
        1 => put_literal(block, input.string(), input.string()),
        2 => put_literal(block, b"content-length", &[b'0' + input.byte() % 10]),
        3 => put_literal(block, b"name", &[b'v'; 300]),
        _ => {}
    }
}

/// DATA: sometimes gRPC messages, sometimes not, sometimes padded.
pub fn put_message(out: &mut Vec<u8>, stream: u32, input: &mut Input<'_>, end: bool) {
    let bytes = usize::from(input.word()) % 17_000;
    let shape = input.byte();
    let mut data = vec![shape; bytes];
    if shape & 1 == 0 {
        data.splice(0..0, [&[0][..], &(bytes as u32).to_be_bytes()].concat());
    }
    let mut flags = if end { flags::END_STREAM } else { 0 };
    if shape & 2 == 2 {
        flags |= flags::PADDED;
        data.insert(0, 3);
        data.extend_from_slice(&[0; 3]);
    }
    data.truncate(16_384);
    FrameHead::new(Kind::Data, flags, stream, data.len() as u32).put(out);
    out.extend_from_slice(&data);
}
