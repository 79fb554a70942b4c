//! The first bytes of a connection: HTTP/2 begins with its preface, and whoever sends something else is told so.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::io::Io;

/// RFC 9113, section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What an HTTP/1 client can read.
const NOT_HTTP_2: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    content-type: text/plain\r\nconnection: close\r\ncontent-length: 64\r\n\r\n\
    This port speaks gRPC over HTTP/2 without upgrade from HTTP/1.1\n";

/// Why a connection did not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotHttp2 {
    /// It closed or broke first.
    Closed,
    /// Something else was sent.
    OtherProtocol,
}

impl NotHttp2 {
    /// Stable name, for metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::OtherProtocol => "not_http2",
        }
    }
}

/// Reads into `first`, which has room for it, until the preface is there. Gives back what was read: it begins with the preface.
pub(crate) async fn expect_preface<'f>(io: &mut Io, first: &'f mut [u8]) -> Result<&'f [u8], NotHttp2> {
    let mut len = 0;
    while len < PREFACE.len() {
        match io.read(&mut first[len..]).await {
            Ok(0) | Err(_) => return Err(NotHttp2::Closed),
            Ok(more) => len += more,
        }
        let known = len.min(PREFACE.len());
        if first[..known] != PREFACE[..known] {
            // A courtesy: whether it arrives makes no difference.
            let _ = io.write_all(NOT_HTTP_2).await;
            let _ = io.shutdown().await;
            return Err(NotHttp2::OtherProtocol);
        }
    }
    Ok(&first[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_courtesy_states_its_own_length() {
        let text = std::str::from_utf8(NOT_HTTP_2).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
