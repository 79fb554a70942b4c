//! Watches one connection of the relay from the other end: what the relay writes must be sound HTTP/2, whatever it was sent.

use std::collections::HashMap;

use chapar_relay::frame::{
    FRAME_BYTES_MAX_DEFAULT, FrameHead, GoAway, HEAD_BYTES, Kind, PREFACE, Settings, WINDOW_BYTES_DEFAULT, WindowUpdate, flags,
    ping,
};

use super::trace;

/// What the relay has done on a stream, and what it was told about it.
#[derive(Debug, Default)]
struct Stream {
    /// Bytes of DATA that the relay may still send, apart from the initial window.
    window: i64,
    heads: u32,
    relay_ended: bool,
    relay_reset: bool,
    peer_ended: bool,
    peer_reset: bool,
}

pub struct Referee {
    /// The relay dialled this connection, so it is the client.
    is_link: bool,
    /// Bytes that the relay wrote and that are not a whole frame yet.
    written: Vec<u8>,
    preface_left: usize,
    settings_seen: bool,
    /// The stream of the block that the relay is in the middle of, and the block so far.
    block: Option<(u32, bool, Vec<u8>)>,
    decoder: loona_hpack::Decoder<'static>,
    streams: HashMap<u32, Stream>,
    last_opened: u32,
    goaway: Option<u32>,
    window: i64,
    /// What the peer, so the script, told in SETTINGS.
    initial_window: i64,
    frame_bytes_max: u32,
    /// The script broke a rule, so nothing it said afterwards may have been heard.
    lawless: bool,
    /// Streams that the relay opened on a link, oldest first.
    pub opened: Vec<u32>,
    /// Fields of blocks, for those who want to compare them.
    pub heads: u64,
}

impl Referee {
    pub fn new(is_link: bool) -> Self {
        let mut decoder = loona_hpack::Decoder::new();
        decoder.set_max_allowed_table_size(4_096);
        Self {
            is_link,
            written: Vec::new(),
            preface_left: if is_link { PREFACE.len() } else { 0 },
            settings_seen: false,
            block: None,
            decoder,
            streams: HashMap::new(),
            last_opened: 0,
            goaway: None,
            window: i64::from(WINDOW_BYTES_DEFAULT),
            initial_window: i64::from(WINDOW_BYTES_DEFAULT),
            frame_bytes_max: FRAME_BYTES_MAX_DEFAULT,
            lawless: false,
            opened: Vec::new(),
            heads: 0,
        }
    }

    /// The script is about to send a whole frame. It says what the relay may do from then on.
    pub fn sending(&mut self, head: &FrameHead, payload: &[u8]) {
        trace!("{} is sent {head:?} {}", self.name(), payload[..payload.len().min(60)].escape_ascii());
        if self.lawless || head.check(1 << 16).is_err() || head.payload_bytes as usize != payload.len() {
            self.lawless = true;
            return;
        }
        match head.kind {
            Kind::Settings if !head.has(flags::ACK) => match Settings::read(payload) {
                Ok(settings) => {
                    self.initial_window = settings.window_bytes.map_or(self.initial_window, i64::from);
                    self.frame_bytes_max = settings.frame_bytes_max.unwrap_or(self.frame_bytes_max);
                }
                Err(_) => self.lawless = true,
            },
            Kind::WindowUpdate => match WindowUpdate::read(head, payload) {
                Ok(update) if head.stream == 0 => self.window += i64::from(update.increment_bytes),
                Ok(update) => self.stream(head.stream).window += i64::from(update.increment_bytes),
                Err(_) if head.stream == 0 => self.lawless = true,
                Err(_) => {}
            },
            Kind::Reset => self.stream(head.stream).peer_reset = true,
            Kind::Data | Kind::Headers if head.has(flags::END_STREAM) => self.stream(head.stream).peer_ended = true,
            _ => {}
        }
    }

    /// The script broke HTTP/2's framing.
    pub fn break_law(&mut self) {
        self.lawless = true;
    }

    const fn name(&self) -> &'static str {
        if self.is_link { "link" } else { "accepted" }
    }

    fn stream(&mut self, stream: u32) -> &mut Stream {
        self.streams.entry(stream).or_default()
    }

    /// The relay wrote `bytes`, in answer to what was sent so far.
    pub fn wrote(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        let mut written = std::mem::take(&mut self.written);
        let mut at = 0;
        if self.preface_left > 0 && written.len() >= PREFACE.len() {
            assert_eq!(&written[..PREFACE.len()], PREFACE, "a link begins with the preface");
            (at, self.preface_left) = (PREFACE.len(), 0);
        }
        while self.preface_left == 0
            && let Some(head) = FrameHead::read(&written[at..])
            && written.len() - at >= head.frame_bytes()
        {
            let payload = &written[at + HEAD_BYTES..at + head.frame_bytes()];
            self.frame(&head, payload);
            at += head.frame_bytes();
        }
        written.drain(..at);
        self.written = written;
    }

    fn frame(&mut self, head: &FrameHead, payload: &[u8]) {
        trace!("  {} writes {head:?} {}", self.name(), payload[..payload.len().min(60)].escape_ascii());
        assert_eq!(head.check(self.frame_bytes_max.max(FRAME_BYTES_MAX_DEFAULT)), Ok(()), "a sound head: {head:?}");
        assert!(self.lawless || head.payload_bytes <= self.frame_bytes_max, "a frame that the peer allows: {head:?}");
        if let Some((stream, ..)) = self.block {
            assert_eq!((head.kind, head.stream), (Kind::Continuation, stream), "a block is not interrupted");
        }
        if !self.settings_seen {
            assert!(head.kind == Kind::Settings && !head.has(flags::ACK), "SETTINGS come first");
            self.settings_seen = true;
        }
        match head.kind {
            Kind::Data => self.data(head),
            Kind::Headers | Kind::Continuation => self.block_part(head, payload),
            Kind::Reset => {
                let stream = self.stream(head.stream);
                assert!(!stream.relay_reset, "a stream is reset once: {head:?}");
                stream.relay_reset = true;
            }
            Kind::WindowUpdate => {
                assert!(WindowUpdate::read(head, payload).is_ok(), "an increment above zero");
                assert!(!self.stream(head.stream).relay_reset, "no window for a stream that was reset: {head:?}");
            }
            Kind::Settings => assert!(head.has(flags::ACK) || Settings::read(payload).is_ok()),
            Kind::Ping => drop(ping(payload).expect("eight bytes")),
            Kind::GoAway => {
                let last = GoAway::read(payload).expect("a sound GOAWAY").last_stream;
                assert!(self.goaway.is_none_or(|before| last <= before), "GOAWAY never goes back");
                self.goaway = Some(last);
            }
            Kind::Priority | Kind::PushPromise | Kind::Unknown(_) => panic!("the relay sends none of these: {head:?}"),
        }
    }

    fn data(&mut self, head: &FrameHead) {
        let (initial, lawless) = (self.initial_window, self.lawless);
        assert_eq!(head.flags & flags::PADDED, 0);
        let bytes = i64::from(head.payload_bytes);
        self.window -= bytes;
        let window = self.window;
        let stream = self.stream(head.stream);
        assert!(stream.heads > 0 && !stream.relay_ended && !stream.relay_reset, "DATA where it may stand: {head:?} {stream:?}");
        stream.window -= bytes;
        stream.relay_ended = head.has(flags::END_STREAM);
        if !lawless && bytes > 0 {
            assert!(!stream.peer_reset, "no DATA for a stream that the peer reset: {head:?}");
            assert!(
                initial + stream.window >= 0 && window >= 0,
                "DATA within the windows: {head:?} {initial} {stream:?} {window}"
            );
        }
    }

    fn block_part(&mut self, head: &FrameHead, payload: &[u8]) {
        let (stream, end_stream, mut block) = match self.block.take() {
            None => {
                assert_eq!(head.kind, Kind::Headers, "CONTINUATION follows HEADERS");
                assert_eq!(head.flags & (flags::PADDED | flags::PRIORITY), 0);
                (head.stream, head.has(flags::END_STREAM), Vec::new())
            }
            Some(begun) => begun,
        };
        block.extend_from_slice(payload);
        if !head.has(flags::END_HEADERS) {
            self.block = Some((stream, end_stream, block));
            return;
        }
        let fields = self.decoder.decode(&block).expect("a block that the reference decodes");
        self.heads += 1;
        self.head(stream, end_stream, &fields);
    }

    fn head(&mut self, id: u32, end_stream: bool, fields: &[(Vec<u8>, Vec<u8>)]) {
        let find =
            |name: &[u8]| fields.iter().filter(|(found, _)| found == name).map(|(_, value)| &value[..]).collect::<Vec<_>>();
        let pseudo = fields.iter().take_while(|(name, _)| name.starts_with(b":")).count();
        assert!(fields.iter().skip(pseudo).all(|(name, _)| !name.starts_with(b":")), "pseudo-header fields come first");
        for forbidden in [&b"connection"[..], b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"] {
            assert!(find(forbidden).is_empty(), "nothing about one connection: {fields:?}");
        }
        let (is_link, lawless) = (self.is_link, self.lawless);
        let is_new = is_link && !self.streams.contains_key(&id);
        if is_new {
            assert!(id % 2 == 1 && id > self.last_opened, "streams are opened in their order");
            self.last_opened = id;
            self.opened.push(id);
        }
        let stream = self.stream(id);
        assert!(!stream.relay_ended && !stream.relay_reset, "a head where it may stand: {id} {stream:?}");
        assert!(lawless || !stream.peer_reset, "no head for a stream that the peer reset: {id}");
        stream.relay_ended = end_stream;
        let status = find(b":status");
        let interim = matches!(&status[..], [[b'1', ..]]);
        match (is_link, stream.heads) {
            (true, 0) => {
                assert_eq!(
                    (find(b":method").len(), find(b":path").len(), find(b":scheme").len(), pseudo),
                    (1, 1, 1, 4),
                    "{fields:?}"
                );
                assert_eq!(find(b"chapar-call-id"), [b"onward"], "a mark on what goes on");
            }
            (false, 0) => {
                assert_eq!((status.len(), pseudo), (1, 1), "{fields:?}");
                assert!(!(interim && end_stream), "an interim head ends nothing");
            }
            _ => assert!(pseudo == 0 && end_stream, "trailers end the stream: {fields:?}"),
        }
        if !interim {
            stream.heads += 1;
        }
    }

    /// A stream on which the peer may still send.
    pub fn is_live(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_some_and(|stream| !stream.peer_ended && !stream.peer_reset && !stream.relay_reset)
    }
}
