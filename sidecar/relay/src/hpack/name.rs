//! The names that the relay treats in a way of their own.

use super::Word;

/// A field's name, as far as the relay knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KnownName {
    /// `:method`.
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority`.
    Authority,
    /// `:path`.
    Path,
    /// `:protocol` (RFC 8441), which we never offer.
    Protocol,
    /// `:status`.
    Status,
    /// `content-type`.
    ContentType,
    /// `content-length`.
    ContentLength,
    /// `te`.
    Te,
    /// `user-agent`.
    UserAgent,
    /// `grpc-timeout`.
    GrpcTimeout,
    /// `grpc-status`.
    GrpcStatus,
    /// `grpc-message`.
    GrpcMessage,
    /// `grpc-encoding`.
    GrpcEncoding,
    /// `traceparent`.
    Traceparent,
    /// `tracestate`.
    Tracestate,
    /// `connection`.
    Connection,
    /// `keep-alive`.
    KeepAlive,
    /// `proxy-connection`.
    ProxyConnection,
    /// `transfer-encoding`.
    TransferEncoding,
    /// `upgrade`.
    Upgrade,
    /// `host`.
    Host,
    /// `chapar-call-id`.
    ChaparCallId,
    /// `chapar-provider`.
    ChaparProvider,
    /// `chapar-refused`.
    ChaparRefused,
    /// `chapar-purpose`.
    ChaparPurpose,
    /// Any other name that begins with `chapar-`.
    ChaparOther,
    /// Any name that has no variant.
    Other,
}

/// The names that are compared whole; what begins with `chapar-` beyond these is found by its beginning.
const NAMES: [(KnownName, Word); 26] = [
    (KnownName::Te, Word::new("te")),
    (KnownName::ContentType, Word::new("content-type")),
    (KnownName::GrpcTimeout, Word::new("grpc-timeout")),
    (KnownName::GrpcStatus, Word::new("grpc-status")),
    (KnownName::GrpcMessage, Word::new("grpc-message")),
    (KnownName::Traceparent, Word::new("traceparent")),
    (KnownName::Tracestate, Word::new("tracestate")),
    (KnownName::GrpcEncoding, Word::new("grpc-encoding")),
    (KnownName::UserAgent, Word::new("user-agent")),
    (KnownName::Path, Word::new(":path")),
    (KnownName::Method, Word::new(":method")),
    (KnownName::Scheme, Word::new(":scheme")),
    (KnownName::Authority, Word::new(":authority")),
    (KnownName::Status, Word::new(":status")),
    (KnownName::Protocol, Word::new(":protocol")),
    (KnownName::ContentLength, Word::new("content-length")),
    (KnownName::Connection, Word::new("connection")),
    (KnownName::KeepAlive, Word::new("keep-alive")),
    (KnownName::ProxyConnection, Word::new("proxy-connection")),
    (KnownName::TransferEncoding, Word::new("transfer-encoding")),
    (KnownName::Upgrade, Word::new("upgrade")),
    (KnownName::Host, Word::new("host")),
    (KnownName::ChaparCallId, Word::new("chapar-call-id")),
    (KnownName::ChaparProvider, Word::new("chapar-provider")),
    (KnownName::ChaparRefused, Word::new("chapar-refused")),
    (KnownName::ChaparPurpose, Word::new("chapar-purpose")),
];

/// Of names of one length, plain or coded, no more than this many are known.
const SHARED_LENGTH_MAX: usize = 6;

/// One above the longest known name, plain or coded.
const LENGTHS: usize = 20;

/// For each length the places in `NAMES` of the names that have it; `NONE` ends the list.
type ByLength = [[u8; SHARED_LENGTH_MAX]; LENGTHS];
const NONE: u8 = u8::MAX;

const CHAPAR: Word = Word::new("chapar-");

static WORDS: [(KnownName, Word); NAMES.len()] = NAMES;
static PLAIN: ByLength = by_length(false);
static HUFFMAN: ByLength = by_length(true);

const fn by_length(coded: bool) -> ByLength {
    let mut table = [[NONE; SHARED_LENGTH_MAX]; LENGTHS];
    let mut place = 0;
    while place < NAMES.len() {
        let word = &NAMES[place].1;
        let length = if coded { word.huffman().len() } else { word.plain().len() };
        let mut slot = 0;
        while table[length][slot] != NONE {
            slot += 1;
        }
        table[length][slot] = place as u8;
        place += 1;
    }
    table
}

impl KnownName {
    /// Classifies a plain name.
    #[inline]
    pub(super) fn of_plain(name: &[u8]) -> Self {
        match Self::found(&PLAIN, name, false) {
            Some((known, _)) => known,
            None if name.starts_with(b"chapar-") => Self::ChaparOther,
            None => Self::Other,
        }
    }

    /// Classifies a name in Huffman coding, if it is one of those that are compared whole, and tells its decoded size.
    #[inline]
    pub(super) fn of_huffman(raw: &[u8]) -> Option<(Self, u32)> {
        Self::found(&HUFFMAN, raw, true).map(|(known, word)| (known, word.plain().len() as u32))
    }

    /// Classifies a name in Huffman coding that is none of those that are compared whole.
    #[inline]
    pub(super) fn by_coded_beginning(raw: &[u8]) -> Self {
        // "chapar-" takes 39 bits, one less than its five bytes.
        let chapar = match (raw.first_chunk::<5>(), CHAPAR.huffman().first_chunk::<5>()) {
            (Some(raw), Some(chapar)) => raw[..4] == chapar[..4] && raw[4] | 1 == chapar[4],
            _ => false,
        };
        if chapar { Self::ChaparOther } else { Self::Other }
    }

    #[inline]
    fn found(table: &ByLength, name: &[u8], coded: bool) -> Option<(Self, &'static Word)> {
        for &place in table.get(name.len())? {
            let (known, word) = WORDS.get(usize::from(place))?;
            if name == if coded { word.huffman() } else { word.plain() } {
                return Some((*known, word));
            }
        }
        None
    }

    /// Whether the name belongs to a pseudo-header field (RFC 9113, section 8.3).
    #[inline]
    pub const fn is_pseudo(self) -> bool {
        matches!(self, Self::Method | Self::Scheme | Self::Authority | Self::Path | Self::Protocol | Self::Status)
    }

    /// Whether HTTP/2 forbids the field since it speaks of one connection (RFC 9113, section 8.2.2). `te` is not among them: it may
    /// say `trailers`.
    #[inline]
    pub const fn is_connection_specific(self) -> bool {
        matches!(self, Self::Connection | Self::KeepAlive | Self::ProxyConnection | Self::TransferEncoding | Self::Upgrade)
    }

    /// Whether the name begins with `chapar-`, so is ours to write and to strip.
    #[inline]
    pub const fn is_chapar(self) -> bool {
        matches!(self, Self::ChaparCallId | Self::ChaparProvider | Self::ChaparRefused | Self::ChaparPurpose | Self::ChaparOther)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_both_codings() {
        for (known, word) in &WORDS {
            assert_eq!(KnownName::of_plain(word.plain()), *known);
            assert_eq!(KnownName::of_huffman(word.huffman()), Some((*known, word.plain().len() as u32)));
        }
    }

    #[test]
    fn a_name_that_only_resembles_a_known_one_is_another() {
        for (_, word) in &WORDS {
            let mut name = word.plain().to_vec();
            let last = name.last_mut().expect("a name has a byte");
            *last = if *last == b'q' { b'x' } else { b'q' };
            assert!(matches!(KnownName::of_plain(&name), KnownName::Other | KnownName::ChaparOther));
        }
        assert_eq!(KnownName::of_plain(b""), KnownName::Other);
        assert_eq!(KnownName::of_plain(&[b'a'; 300]), KnownName::Other);
        assert_eq!(KnownName::of_huffman(&[0; 300]), None);
    }

    #[test]
    fn our_own_names_are_found_by_their_beginning() {
        assert_eq!(KnownName::of_plain(b"chapar-anything"), KnownName::ChaparOther);
        assert_eq!(KnownName::of_plain(b"chapar-"), KnownName::ChaparOther);
        assert_eq!(KnownName::of_plain(b"chapar"), KnownName::Other);
        let coded = |word: &Word| KnownName::by_coded_beginning(word.huffman());
        assert_eq!(coded(&Word::new("chapar-anything")), KnownName::ChaparOther);
        assert_eq!(coded(&Word::new("chapar-zzz")), KnownName::ChaparOther);
        assert_eq!(coded(&Word::new("chapar-")), KnownName::ChaparOther);
        assert_eq!(coded(&Word::new("chapar.anything")), KnownName::Other);
        assert_eq!(coded(&Word::new("chapar")), KnownName::Other);
    }
}
