//! What a client and a server are to do in one call.

use super::super::{gate::letter, input::Input};
use super::{Ending, Taken};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// With the last piece of the body; with the head, where there is no body.
    Data,
    Trailers,
    Reset(u32),
}

#[derive(Debug)]
pub struct Message {
    pub fields: Vec<(String, Vec<u8>)>,
    pub pieces: Vec<Vec<u8>>,
    pub trailers: Vec<(String, Vec<u8>)>,
    pub close: Close,
}

#[derive(Debug)]
pub struct Plan {
    pub path: String,
    pub status: u16,
    pub request: Message,
    pub response: Message,
    /// The server answers without waiting for the request's end.
    pub is_early: bool,
}

impl Plan {
    pub fn new(input: &mut Input<'_>) -> Self {
        let shape = input.byte();
        let mut path = String::from("/");
        match shape & 3 {
            1 => path.push(char::from(letter::PEEKED)),
            2 => path.push(char::from(letter::HELD)),
            _ => {}
        }
        let each_message = shape & 4 != 0;
        if each_message {
            path.push(char::from(letter::EACH_MESSAGE));
        }
        let request = Message::new(input, false);
        let response = Message::new(input, each_message);
        let status = if shape & 16 == 0 { 200 } else { 200 + u16::from(input.byte()) };
        Self { path, status, request, response, is_early: shape & 8 != 0 }
    }

    fn is_disturbed(&self) -> bool {
        self.is_early || matches!(self.request.close, Close::Reset(_)) || matches!(self.response.close, Close::Reset(_))
    }

    /// The server has seen the same, or the beginning of the same where someone broke off.
    pub fn compare_requests(&self, direct: &Taken, relayed: &Taken) {
        if !self.is_disturbed() {
            assert_eq!(relayed, direct, "a request is delivered alike");
            return;
        }
        // Who breaks off may do so before a request was seen at all.
        if !relayed.fields.is_empty() && !direct.fields.is_empty() {
            assert_eq!(relayed.fields, direct.fields, "a request's head is delivered alike");
        }
        assert!(self.request.pieces.concat().starts_with(&relayed.body), "a request's body is a beginning of what was sent");
        if matches!(relayed.ending, Ending::Ended | Ending::Trailers(_)) {
            assert!(!matches!(self.request.close, Close::Reset(_)), "a request that was broken off does not end well");
        }
    }

    /// The client has seen the same, or the beginning of the same where someone broke off.
    pub fn compare_responses(&self, direct: &Taken, relayed: &Taken) {
        if matches!(self.request.close, Close::Reset(_)) {
            return;
        }
        if !matches!(self.response.close, Close::Reset(_)) {
            assert_eq!(relayed, direct, "a response is delivered alike");
            return;
        }
        assert_eq!(relayed.ending, direct.ending, "a response that is broken off is seen to be");
        if !relayed.fields.is_empty() && !direct.fields.is_empty() {
            assert_eq!(relayed.fields, direct.fields, "a response's head is delivered alike");
        }
        assert!(self.response.pieces.concat().starts_with(&relayed.body), "a response's body is a beginning of what was sent");
    }
}

impl Message {
    fn new(input: &mut Input<'_>, framed: bool) -> Self {
        let shape = input.byte();
        let mut pieces: Vec<Vec<u8>> = (0..shape & 3).map(|_| piece(input)).collect();
        if framed {
            for piece in &mut pieces {
                piece.truncate(1_000);
                let length = (piece.len() as u32).to_be_bytes();
                piece.splice(0..0, [0].into_iter().chain(length));
            }
        }
        let close = match shape >> 2 & 7 {
            0..=2 => Close::Data,
            3..=6 => Close::Trailers,
            _ => Close::Reset(match input.byte() {
                // A stream that is refused is tried elsewhere, which the reference does not do; no error is for a whole answer.
                0 | 7 => 8,
                code => u32::from(code),
            }),
        };
        Self { fields: fields(input), pieces, trailers: fields(input), close }
    }
}

fn piece(input: &mut Input<'_>) -> Vec<u8> {
    let mark = input.byte();
    let bytes = if mark & 1 == 0 { usize::from(input.byte()) } else { input.below(4_000) };
    (0..bytes).map(|at| mark.wrapping_add(at as u8)).collect()
}

/// Fields that every end may send and no end means anything by.
fn fields(input: &mut Input<'_>) -> Vec<(String, Vec<u8>)> {
    (0..input.byte() & 3)
        .map(|_| {
            let name = ["a-bin", "x-trace", "grpc-message", "user-agent", "cookie", "accept", "b"][usize::from(input.byte() % 7)];
            let value: Vec<u8> =
                input.string().iter().filter(|byte| byte.is_ascii_graphic() || **byte >= 0x80).copied().collect();
            (name.to_owned(), value)
        })
        .collect()
}
