//! The static table (RFC 7541, appendix A).

use super::KnownName;

/// `:authority`.
pub const AUTHORITY: u8 = 1;
/// `:method: GET`.
pub const METHOD_GET: u8 = 2;
/// `:method: POST`.
pub const METHOD_POST: u8 = 3;
/// `:path`.
pub const PATH: u8 = 4;
/// `:scheme: http`.
pub const SCHEME_HTTP: u8 = 6;
/// `:scheme: https`.
pub const SCHEME_HTTPS: u8 = 7;
/// `:status`.
pub const STATUS: u8 = 8;
/// `:status: 200`.
pub const STATUS_200: u8 = 8;
/// `content-length`.
pub const CONTENT_LENGTH: u8 = 28;
/// `content-type`.
pub const CONTENT_TYPE: u8 = 31;
/// `host`.
pub const HOST: u8 = 38;
/// `user-agent`.
pub const USER_AGENT: u8 = 58;

/// The number of entries; indices begin at 1.
pub const ENTRIES: usize = 61;

/// An entry: its name, its value, and what we know the name as.
pub(super) type Entry = (&'static str, &'static str, KnownName);

/// The entry at `index`, from 1 to 61.
#[inline]
pub(super) fn entry(index: usize) -> Option<&'static Entry> {
    TABLE.get(index.wrapping_sub(1))
}

use KnownName::Other;

static TABLE: [Entry; ENTRIES] = [
    (":authority", "", KnownName::Authority),
    (":method", "GET", KnownName::Method),
    (":method", "POST", KnownName::Method),
    (":path", "/", KnownName::Path),
    (":path", "/index.html", KnownName::Path),
    (":scheme", "http", KnownName::Scheme),
    (":scheme", "https", KnownName::Scheme),
    (":status", "200", KnownName::Status),
    (":status", "204", KnownName::Status),
    (":status", "206", KnownName::Status),
    (":status", "304", KnownName::Status),
    (":status", "400", KnownName::Status),
    (":status", "404", KnownName::Status),
    (":status", "500", KnownName::Status),
    ("accept-charset", "", Other),
    ("accept-encoding", "gzip, deflate", Other),
    ("accept-language", "", Other),
    ("accept-ranges", "", Other),
    ("accept", "", Other),
    ("access-control-allow-origin", "", Other),
    ("age", "", Other),
    ("allow", "", Other),
    ("authorization", "", Other),
    ("cache-control", "", Other),
    ("content-disposition", "", Other),
    ("content-encoding", "", Other),
    ("content-language", "", Other),
    ("content-length", "", KnownName::ContentLength),
    ("content-location", "", Other),
    ("content-range", "", Other),
    ("content-type", "", KnownName::ContentType),
    ("cookie", "", Other),
    ("date", "", Other),
    ("etag", "", Other),
    ("expect", "", Other),
    ("expires", "", Other),
    ("from", "", Other),
    ("host", "", KnownName::Host),
    ("if-match", "", Other),
    ("if-modified-since", "", Other),
    ("if-none-match", "", Other),
    ("if-range", "", Other),
    ("if-unmodified-since", "", Other),
    ("last-modified", "", Other),
    ("link", "", Other),
    ("location", "", Other),
    ("max-forwards", "", Other),
    ("proxy-authenticate", "", Other),
    ("proxy-authorization", "", Other),
    ("range", "", Other),
    ("referer", "", Other),
    ("refresh", "", Other),
    ("retry-after", "", Other),
    ("server", "", Other),
    ("set-cookie", "", Other),
    ("strict-transport-security", "", Other),
    ("transfer-encoding", "", KnownName::TransferEncoding),
    ("user-agent", "", KnownName::UserAgent),
    ("vary", "", Other),
    ("via", "", Other),
    ("www-authenticate", "", Other),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_indices_are_the_entries_that_their_names_tell() {
        let at = |index: u8| entry(usize::from(index)).map(|(name, value, _)| (*name, *value));
        assert_eq!(at(0), None);
        assert_eq!(at(AUTHORITY), Some((":authority", "")));
        assert_eq!(at(METHOD_GET), Some((":method", "GET")));
        assert_eq!(at(METHOD_POST), Some((":method", "POST")));
        assert_eq!(at(PATH), Some((":path", "/")));
        assert_eq!(at(SCHEME_HTTP), Some((":scheme", "http")));
        assert_eq!(at(SCHEME_HTTPS), Some((":scheme", "https")));
        assert_eq!(at(STATUS_200), Some((":status", "200")));
        assert_eq!(at(CONTENT_LENGTH), Some(("content-length", "")));
        assert_eq!(at(CONTENT_TYPE), Some(("content-type", "")));
        assert_eq!(at(HOST), Some(("host", "")));
        assert_eq!(at(USER_AGENT), Some(("user-agent", "")));
        assert_eq!(at(61), Some(("www-authenticate", "")));
        assert_eq!(at(62), None);
    }

    #[test]
    fn every_entry_is_known_as_its_name_tells() {
        for (name, _, known) in &TABLE {
            assert_eq!(KnownName::of_plain(name.as_bytes()), *known, "{name}");
        }
    }
}
