//! The attacks on a sidecar that any peer can try, each by its name. The tests try each of them; `tests/bench --attacks` lasts
//! them out.

use anyhow::Result;
use prost::Message as _;

use crate::{
    attacker::Disguise,
    echo::pb::EchoRequest,
    frames::{ACK, END_HEADERS, END_STREAM, Ears, Heard, Kind, PREFACE, Wire, block, call, frame},
    sidecar::Sidecar,
};

/// Which of a sidecar's listeners is attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// The one for the agency's own applications, without TLS.
    Outbound,
    /// The one for other sidecars, with mutual TLS.
    Inbound,
}

impl Door {
    /// As the sidecar calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// By what a sidecar counts an attack.
#[derive(Debug, Clone, Copy)]
pub enum Counted {
    /// A limit of the relay that was broken.
    Breach(&'static str),
    /// A connection that was closed before it carried anything, by its cause.
    Refused(&'static str),
    /// A handshake that came to nothing, by its cause.
    Handshake(&'static str),
}

impl Counted {
    /// How the line of the sidecar's metrics begins.
    #[must_use]
    pub fn line(self, door: Door) -> String {
        match self {
            Self::Breach(limit) => format!("chapar_sidecar_limit_breaches_total{{limit=\"{limit}\"}} "),
            Self::Refused(cause) => {
                format!("chapar_sidecar_connections_refused_total{{cause=\"{cause}\",listener=\"{}\"}} ", door.as_str())
            }
            Self::Handshake(cause) => format!("chapar_sidecar_handshakes_failed_total{{cause=\"{cause}\"}} "),
        }
    }
}

/// How far the attacker goes before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It begins a TLS handshake, and leaves it at that.
    HalfHandshake,
    /// It connects, with TLS where that is spoken, and says nothing.
    Silent,
    /// It says its preface and SETTINGS, and acknowledges the sidecar's.
    Begun,
}

/// What an attacker does on one connection.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// Its name in every output.
    pub name: &'static str,
    /// By what the sidecar counts it.
    pub counted: Counted,
    /// Where it can be tried.
    pub doors: &'static [Door],
    /// How it begins.
    pub arrival: Arrival,
    /// Whether it listens.
    pub ears: Ears,
    /// What it says once.
    pub opening: fn() -> Vec<u8>,
    /// What it then says again and again, by the number of the repetition. `None`: it waits.
    pub unit: Option<fn(u32) -> Vec<u8>>,
}

const BOTH: &[Door] = &[Door::Outbound, Door::Inbound];
const OUTBOUND: &[Door] = &[Door::Outbound];
const INBOUND: &[Door] = &[Door::Inbound];

/// A TLS record of 512 bytes that says it holds a ClientHello, of which no more comes.
const HALF_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1];
/// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, section 6.5.2).
const INITIAL_WINDOW: u8 = 4;
/// `accept-encoding: gzip, deflate` of HPACK's static table: one byte on the wire, 60 bytes as HTTP/2 counts them.
pub const INDEXED_FIELD: u8 = 0x80 | 16;
/// So many of them are more than a sidecar's default of 256 fields.
const BOMB_FIELDS: usize = 300;
/// Bytes of each message that a slow reader has sent back to it, and how many they are: together more than the sockets of both ends
/// hold, and less than the window of 4 MiB in which they may be sent at once.
const UNREAD_BYTES: usize = 512 * 1024;
const UNREAD_MESSAGES: u32 = 7;

const fn flood(name: &'static str, opening: fn() -> Vec<u8>, unit: fn(u32) -> Vec<u8>) -> Attack {
    let counted = Counted::Breach(name);
    Attack { name, counted, doors: BOTH, arrival: Arrival::Begun, ears: Ears::Open, opening, unit: Some(unit) }
}

const fn wait(name: &'static str, counted: Counted, opening: fn() -> Vec<u8>) -> Attack {
    Attack { name, counted, doors: BOTH, arrival: Arrival::Begun, ears: Ears::Open, opening, unit: None }
}

/// More of something than any honest peer sends. Whoever goes on is cut, and told ENHANCE_YOUR_CALM if it listens.
pub const FLOODS: [Attack; 14] = [
    flood("settings", Vec::new, |_| frame(Kind::Settings, 0, 0, &[])),
    flood("pings", Vec::new, |number| ping(0, number)),
    flood("priorities", Vec::new, |_| frame(Kind::Priority, 0, 1, &[0, 0, 0, 0, 16])),
    Attack { counted: Counted::Breach("priorities"), ..flood("unknown_frames", Vec::new, |_| frame(Kind::Unknown, 0, 0, b"?")) },
    flood("window_updates", Vec::new, |_| frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 1])),
    flood("empty_data", open_call, |_| frame(Kind::Data, 0, 1, &[])),
    flood("resets", Vec::new, |number| [begun(number), frame(Kind::RstStream, 0, odd(number), &[0, 0, 0, 8])].concat()),
    flood("streams", Vec::new, begun),
    flood("header_list", Vec::new, bomb),
    flood("continuations", unfinished_block, |_| frame(Kind::Continuation, 0, 1, &field())),
    flood("header_block", unfinished_block, |_| frame(Kind::Continuation, 0, 1, &field().repeat(2_800))),
    // Window updates of nothing reset their stream; what comes on it from then on is late.
    flood(
        "strays",
        || [open_call(), frame(Kind::WindowUpdate, 0, 1, &[0; 4])].concat(),
        |_| frame(Kind::Data, END_STREAM, 1, &[]),
    ),
    // Answers that are heads alone know no flow control.
    Attack {
        ears: Ears::Deaf,
        ..flood("output", Vec::new, |number| frame(Kind::Headers, END_HEADERS | END_STREAM, odd(number), &call("NoSuchMethod")))
    },
    // It wants an echo into a window that it never opens, so that the server takes nothing any more at some point. The call is then
    // reset as FLOW_CONTROL_ERROR; who goes on is cut.
    flood("window", open_call, |_| frame(Kind::Data, 0, 1, &[0; 16 * 1024])),
];

/// Who keeps a sidecar waiting, or lets it talk without listening. They are let go in time; of a slow call its caller loses the call
/// alone.
pub const WAITS: [Attack; 9] = [
    Attack {
        doors: INBOUND,
        arrival: Arrival::HalfHandshake,
        ..wait("unfinished_handshake", Counted::Handshake("broken"), Vec::new)
    },
    Attack { arrival: Arrival::Silent, ..wait("silent", Counted::Refused("silent"), Vec::new) },
    Attack { arrival: Arrival::Silent, ..wait("half_open", Counted::Breach("half_open"), || PREFACE.to_vec()) },
    wait("half_a_frame", Counted::Breach("slow_writer"), || ping(0, 0)[..12].to_vec()),
    wait("half_a_head", Counted::Breach("slow_writer"), unfinished_block),
    // No PING is ever answered, so that at the other listener it is dead before it is idle.
    Attack { doors: OUTBOUND, ..wait("idle", Counted::Breach("idle"), Vec::new) },
    // A call that is under way keeps it from being idle.
    Attack { doors: INBOUND, ..wait("unanswered", Counted::Breach("unanswered"), open_call) },
    wait(SLOW_CALL, Counted::Breach("slow_call"), || [closed_windows(), unary(1, 100)].concat()),
    Attack { ears: Ears::Deaf, ..wait("slow_reader", Counted::Breach("slow_reader"), unread) },
];

/// One connection more than a peer may have is closed at once.
pub const CROWD: Attack =
    Attack { doors: INBOUND, arrival: Arrival::Silent, ..wait("peer_full", Counted::Refused("peer_full"), Vec::new) };

const SLOW_CALL: &str = "slow_call";

impl Attack {
    /// Connects to `sidecar` and says what comes first, as `disguise` where TLS is spoken.
    ///
    /// # Errors
    /// When it is not let in at all.
    pub async fn begin(&self, door: Door, sidecar: &Sidecar, disguise: &Disguise) -> Result<Wire> {
        let address = sidecar.address(door.as_str());
        let mut wire = match door {
            Door::Inbound if self.arrival != Arrival::HalfHandshake => Wire::tls(address, disguise, self.ears).await?,
            Door::Outbound | Door::Inbound => Wire::plain(address, self.ears).await?,
        };
        match self.arrival {
            Arrival::HalfHandshake => wire.send(HALF_HELLO).await?,
            Arrival::Silent => {}
            Arrival::Begun => wire.begin().await?,
        }
        wire.send(&(self.opening)()).await?;
        Ok(wire)
    }

    /// Whether it is over: its connection, or for a slow call that call, whose head is then followed by trailers.
    #[must_use]
    pub fn is_over(&self, heard: &Heard) -> bool {
        heard.ended || (self.name == SLOW_CALL && heard.answered.len() > 1)
    }
}

/// PING, or the answer to one.
#[must_use]
pub fn ping(flags: u8, number: u32) -> Vec<u8> {
    frame(Kind::Ping, flags, 0, &u64::from(number).to_be_bytes())
}

/// The answer to a PING that was never sent: it is let pass, and shows whether the connection is still there.
#[must_use]
pub fn knock() -> Vec<u8> {
    ping(ACK, 0)
}

/// SETTINGS that set one value.
#[must_use]
pub fn settings(identifier: u8, value: u32) -> Vec<u8> {
    let payload = [&[0, identifier][..], &value.to_be_bytes()].concat();
    frame(Kind::Settings, 0, 0, &payload)
}

/// A whole request of `method` on `stream`, in as many frames as it needs.
#[must_use]
pub fn request(stream: u32, method: &str, ask: &EchoRequest) -> Vec<u8> {
    let message = ask.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let framed = [&[0][..], &length, &message].concat();
    let mut bytes = frame(Kind::Headers, END_HEADERS, stream, &call(method));
    let mut parts = framed.chunks(16 * 1024).peekable();
    while let Some(part) = parts.next() {
        bytes.extend(frame(Kind::Data, if parts.peek().is_some() { 0 } else { END_STREAM }, stream, part));
    }
    bytes
}

/// A unary call with a payload of `bytes` bytes, which is sent back.
#[must_use]
pub fn unary(stream: u32, bytes: usize) -> Vec<u8> {
    request(stream, "Unary", &EchoRequest { payload: vec![0x5a; bytes], ..Default::default() })
}

/// Opens the windows of all calls, and of the connection, as wide as they go.
#[must_use]
pub fn wide_windows() -> Vec<u8> {
    let connection = (i32::MAX as u32 - 65_535).to_be_bytes();
    [settings(INITIAL_WINDOW, i32::MAX as u32), frame(Kind::WindowUpdate, 0, 0, &connection)].concat()
}

/// No call of the caller's may send anything back.
#[must_use]
pub fn closed_windows() -> Vec<u8> {
    settings(INITIAL_WINDOW, 0)
}

/// The number of the stream that a client opens as its `number`th, counted from 0.
#[must_use]
pub const fn odd(number: u32) -> u32 {
    2 * number + 1
}

/// Requests for more than the sockets hold, by somebody who does not read.
fn unread() -> Vec<u8> {
    let mut bytes = wide_windows();
    (0..UNREAD_MESSAGES).for_each(|number| bytes.extend(unary(odd(number), UNREAD_BYTES)));
    bytes
}

/// A call whose request has not ended.
#[must_use]
pub fn begun(number: u32) -> Vec<u8> {
    frame(Kind::Headers, END_HEADERS, odd(number), &call("BidiStream"))
}

fn open_call() -> Vec<u8> {
    begun(0)
}

fn unfinished_block() -> Vec<u8> {
    frame(Kind::Headers, END_STREAM, 1, &call("Unary"))
}

fn bomb(number: u32) -> Vec<u8> {
    let block = [call("Unary"), vec![INDEXED_FIELD; BOMB_FIELDS]].concat();
    frame(Kind::Headers, END_HEADERS | END_STREAM, odd(number), &block)
}

fn field() -> Vec<u8> {
    block(&[("x-more", "and more")])
}
